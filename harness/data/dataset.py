"""From settings to batches: opening a data set, and the clips that training and evaluation see.

What a training clip shows depends on (seed, epoch, clip) alone: not on the order of clips, on workers or on
what a model drew. That is what makes variants with the same seed comparable.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from harness.data import generated
from harness.data.frames import decode_all, first_frames, open_frames
from harness.data.generated import GeneratedConfig
from harness.data.index import Index
from harness.data.sampling import segment_test, segment_train
from harness.data.transforms import centre_crop, train_crop
from harness.data.writing import Progress
from harness.errors import DataError, nearest

DATASETS: dict[str, type[GeneratedConfig]] = {"generated": GeneratedConfig}
"""Settings of each data set, by its name."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which clips, and how they are sampled and cropped. Defaults: MixTConv paper, Sec. 4.1, and TSN's crops.

    dataset: a name, or a mapping of `name` and the data set's own settings.
    """

    dataset: str | Mapping[str, Any] = "generated"
    num_frames: int = 8  # T, one from each segment
    short_side: int = 256  # pixels, before cropping
    crop: int = 224  # pixels, what the network sees
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)  # of short_side, training crops

    def __post_init__(self) -> None:
        for name in ("num_frames", "short_side", "crop"):
            if getattr(self, name) < 1:
                raise DataError(f"{name}: {getattr(self, name)} is too few; use 1 or more")
        if self.crop > self.short_side:
            raise DataError(f"crop: {self.crop} pixels do not fit into short_side {self.short_side}")
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise DataError(f"scales: {list(self.scales)}: use one or more numbers above 0 and up to 1")
        self.source()

    def source(self) -> GeneratedConfig:
        """The checked settings of the data set itself.

        Raises:
            DataError: no such data set or setting, or a value of the wrong kind.
        """
        settings = {"name": self.dataset} if isinstance(self.dataset, str) else dict(self.dataset)
        name = settings.pop("name", None)
        if name not in DATASETS:
            raise DataError(f"dataset: no data set {name!r}{nearest(str(name), DATASETS)}")
        kind = DATASETS[name]
        known = [field.name for field in dataclasses.fields(kind)]
        for key, value in settings.items():
            if key not in known:
                raise DataError(f"dataset: {name} has no setting {key!r}{nearest(key, known)}")
            if type(value) is not int:
                raise DataError(f"dataset.{key}: {value!r} is not a whole number")
        try:
            return kind(**settings)
        except DataError as error:
            raise DataError(f"dataset.{error}") from None


def _silent(done: int, total: int) -> None:
    """No progress shown."""


def open_data(config: DataConfig, data_dir: Path, progress: Progress = _silent) -> DataSet:
    """The data set, generated and decoded first where that was not done before.

    Args:
        progress: told (done, total) of two passes over the clips: writing, then decoding.

    Raises:
        DataError: the folder cannot be written, or a clip cannot be used.
    """
    index = generated.prepare(config.source(), data_dir, progress)
    decode_all(index, config.short_side, progress)
    return DataSet(config, index)


def find_data(config: DataConfig, data_dir: Path) -> DataSet | None:
    """The data set if it was written before, else None. Writes nothing; its frames may not be decoded yet."""
    index = generated.find(config.source(), data_dir)
    return None if index is None else DataSet(config, index)


class DataSet:
    """Classes and clips of one data set, under one DataConfig.

    Attributes:
        fingerprint: changes whenever any clip or label does.
        classes: class names; labels are positions in it.
        groups: the group of each class, "" where the data set has none.
    """

    def __init__(self, config: DataConfig, index: Index) -> None:
        self.config = config
        self.index = index
        self.fingerprint = index.fingerprint
        self.classes = index.classes
        self.groups = index.groups

    def split(self, name: str) -> ClipDataset:
        """The clips of "train" or "val"."""
        return ClipDataset(self.config, self.index, name)

    def clip_id(self, split: str, index: int) -> str:
        """The name that the data set itself gives a clip."""
        return self.split(split).clips[index].id


class TrainKey(NamedTuple):
    """What decides a training clip."""

    seed: int
    epoch: int
    clip: int  # index within the split


Item = tuple[Tensor, int, int]
"""A clip (T, 3, crop, crop) uint8, its label, its index within the split."""

Batch = tuple[Tensor, Tensor, Tensor]
"""Clips (N, T, 3, crop, crop) uint8, channels last in memory; labels (N,) and indices (N,) int64."""


class ClipDataset(Dataset[Item]):
    """One split: `dataset[TrainKey(...)]` is sampled and cropped at random, `dataset[index]` in the middle.

    Raises:
        ValueError: no such split.
        DataError: on reading, the frames were not decoded yet.
    """

    def __init__(self, config: DataConfig, index: Index, split: str) -> None:
        places = [place for place, clip in enumerate(index.clips) if clip.split == split]
        if not places:
            raise ValueError(f"no clips in split {split!r}")
        self.config = config
        self.index = index
        self.clips = [index.clips[place] for place in places]
        self.labels = np.array([clip.label for clip in self.clips])
        self._first = first_frames(index)[places]
        self._frames: np.ndarray | None = None  # opened when first read

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: TrainKey | int) -> Item:
        if self._frames is None:
            self._frames = open_frames(self.index, self.config.short_side)
        index = key.clip if isinstance(key, TrainKey) else int(key)
        n, config = self.clips[index].frames, self.config
        if isinstance(key, TrainKey):
            rng = np.random.default_rng(list(key))
            frames = self._frames[self._first[index] + segment_train(n, config.num_frames, rng)]
            clip = train_crop(frames, config.crop, config.scales, rng)
        else:
            frames = self._frames[self._first[index] + segment_test(n, config.num_frames)]
            clip = centre_crop(frames, config.crop)
        return clip, int(self.labels[index]), index

    def __getstate__(self) -> dict[str, Any]:
        # Pickling a memory map would copy every frame to every worker.
        return {**self.__dict__, "_frames": None}


class _TrainOrder(Sampler[TrainKey]):
    """All clips once, in an order that only seed and epoch decide."""

    def __init__(self, size: int, seed: int, epoch: int) -> None:
        self.size, self.seed, self.epoch = size, seed, epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[TrainKey]:
        for index in np.random.default_rng([self.seed, self.epoch]).permutation(self.size):
            yield TrainKey(self.seed, self.epoch, int(index))


def train_batches(
    dataset: ClipDataset, batch_size: int, seed: int, epoch: int, workers: int = 0
) -> DataLoader[Item]:
    """One epoch of shuffled, augmented batches; a last, smaller one is dropped unless it is the only one."""
    order = _TrainOrder(len(dataset), seed, epoch)
    drop_last = len(dataset) > batch_size
    return DataLoader(
        dataset, batch_size, sampler=order, drop_last=drop_last, num_workers=workers, collate_fn=collate
    )


def eval_batches(dataset: ClipDataset, batch_size: int, workers: int = 0) -> DataLoader[Item]:
    """Every clip once, in order, sampled and cropped in the middle."""
    return DataLoader(dataset, batch_size, num_workers=workers, collate_fn=collate)


def collate(items: list[Item]) -> Batch:
    """Items -> a batch that keeps the channels last in memory, and `clips.flatten(0, 1)` a view."""
    clips, labels, indices = zip(*items, strict=True)
    frames = torch.stack([clip.permute(0, 2, 3, 1) for clip in clips])
    return frames.permute(0, 1, 4, 2, 3), torch.tensor(labels), torch.tensor(indices)
