"""Batches: the clips of a split in training order, and its videos in order under a test protocol."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from harness.data.clips import ClipDataset, Item, TrainKey, UnreadableError
from harness.data.views import TestProtocol
from harness.errors import DataError


class Batch(NamedTuple):
    """What a step sees. N may be smaller than asked for, down to 0, where clips cannot be read.

    clips: (N, T, 3, crop, crop) uint8, channels last in memory.
    labels, indices: (N,) int64; indices within the split.
    unreadable: indices of the clips that this batch was left without, int64.
    """

    clips: Tensor
    labels: Tensor
    indices: Tensor
    unreadable: Tensor


class _TrainBatches(Sampler[list[TrainKey]]):
    """All clips once, in an order that only seed and epoch decide, in batches; of each, one of `world` parts."""

    epoch = 0

    def __init__(self, size: int, batch_size: int, seed: int, rank: int, world: int) -> None:
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return max(1, self.size // self.batch_size)

    def __iter__(self) -> Iterator[list[TrainKey]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size)
        for step in range(len(self)):
            batch = order[step * self.batch_size : (step + 1) * self.batch_size]
            part = batch[self.rank * len(batch) // self.world : (self.rank + 1) * len(batch) // self.world]
            yield [TrainKey(self.seed, self.epoch, int(index)) for index in part]


class TrainBatches:
    """Shuffled, augmented batches, epoch after epoch, from worker processes that live as long as this object.

    A last, smaller batch is dropped unless it is the only one.

    Args:
        batch_size: clips of a whole batch.
        workers: processes that load clips; 0 loads in this one.
        rank, world: give this one of `world` parts of every batch; together they are the batch, in its order.
        pin: put batches where a GPU copies from without waiting.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        batch_size: int,
        seed: int,
        workers: int = 0,
        *,
        rank: int = 0,
        world: int = 1,
        pin: bool = False,
    ) -> None:
        self._batches = _TrainBatches(len(dataset), batch_size, seed, rank, world)
        self._loader: DataLoader[Any] = DataLoader(
            _Carried(dataset),
            batch_sampler=self._batches,
            num_workers=workers,
            multiprocessing_context=_how_to_start(workers),
            persistent_workers=workers > 0,
            pin_memory=pin,
            collate_fn=collate,
        )

    def __len__(self) -> int:
        """Steps of an epoch."""
        return len(self._batches)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch.

        Raises:
            DataError: a clip cannot be read.
        """
        self._batches.epoch = epoch
        return _delivered(self._loader)


def _how_to_start(workers: int) -> str | None:
    """Loading processes are forked on Linux, also where Python would spawn them, as in a rank that was itself spawned.

    A forked one starts at once and shares the index; a spawned one imports torch first, for every evaluation anew.
    """
    return "fork" if workers and sys.platform == "linux" else None


class _Carried(Dataset[Any]):
    """A clip that cannot be read is given back as its error: raised in a worker, it would lose its one line."""

    def __init__(self, dataset: Dataset[Item]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, key: Any) -> Item | DataError:
        try:
            return self.dataset[key]
        except DataError as error:
            return error


def _delivered(loader: DataLoader[Any]) -> Iterator[Batch]:
    for batch in loader:
        if isinstance(batch, DataError):
            raise batch
        yield batch


class _TestClips(Dataset[Item]):
    """Chosen videos of a split under a test protocol: all views of one, its label, its index within the split."""

    def __init__(
        self, clips: ClipDataset, indices: Sequence[int], protocol: TestProtocol, order: str, seed: int
    ) -> None:
        self.clips, self.indices = clips, indices
        self.how = (protocol, order, seed)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> Item:
        index = self.indices[place]
        label = int(self.clips.labels[index])
        try:
            return self.clips.views(index, *self.how), label, index
        except UnreadableError:
            return None, label, index


def eval_batches(
    dataset: ClipDataset,
    batch_size: int,
    workers: int = 0,
    *,
    protocol: TestProtocol | None = None,
    indices: Sequence[int] | None = None,
    order: str = "as_is",
    seed: int = 0,
    pin: bool = False,
) -> Iterator[Batch]:
    """Videos in order, under a test protocol: clips (N * views, T, 3, side, side), labels (N,) and indices (N,).

    Args:
        batch_size: clips; a batch holds batch_size // views videos, at least one.
        protocol: the settings' own without it.
        indices: which videos of the split; all without it.
        order, seed: see ClipDataset.views.
        pin: see TrainBatches.

    Raises:
        DataError: on iterating, a video cannot be read.
    """
    protocol = protocol or dataset.config.test.resolved()
    chosen = range(len(dataset)) if indices is None else [int(i) for i in indices]
    videos = max(1, batch_size // len(protocol.views()))
    clips = _TestClips(dataset, chosen, protocol, order, seed)
    loader: DataLoader[Any] = DataLoader(
        _Carried(clips),
        videos,
        num_workers=workers,
        multiprocessing_context=_how_to_start(workers),
        pin_memory=pin,
        collate_fn=_collate_views,
    )
    return _delivered(loader)


def collate(items: list[Item | DataError]) -> Batch | DataError:
    """Items -> a batch that keeps the channels last in memory, and `clips.flatten(0, 1)` a view; or the first error."""
    return _batch(items, torch.stack)


def _collate_views(items: list[Item | DataError]) -> Batch | DataError:
    """The same for items of several views each."""
    return _batch(items, torch.cat)


def _batch(carried: list[Item | DataError], join: Callable[[list[Tensor]], Tensor]) -> Batch | DataError:
    items: list[Item] = []
    for item in carried:
        if isinstance(item, DataError):
            return item
        items.append(item)
    clips = [clip.movedim(-3, -1) for clip, _, _ in items if clip is not None]
    frames = join(clips) if clips else torch.empty(0, 1, 1, 1, 3, dtype=torch.uint8)
    return Batch(
        clips=frames.movedim(-1, -3),
        labels=torch.tensor([label for clip, label, _ in items if clip is not None], dtype=torch.int64),
        indices=torch.tensor([index for clip, _, index in items if clip is not None], dtype=torch.int64),
        unreadable=torch.tensor([index for clip, _, index in items if clip is None], dtype=torch.int64),
    )
