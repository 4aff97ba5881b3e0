"""The clips of a split: what training and a test protocol see of each video.

What a training clip shows depends on (seed, epoch, clip) alone: not on the order of clips, on workers or on
what a model drew. That is what makes variants with the same seed comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from harness.data.columns import chosen, in_split, numbers_of
from harness.data.config import DataConfig
from harness.data.frames import first_frames, open_frames, read_clip
from harness.data.index import Index
from harness.data.mirror import mirrored_classes
from harness.data.sampling import dense_train, frames_at_test, segment_train
from harness.data.transforms import place_crop, train_crop
from harness.data.views import TestProtocol
from harness.errors import DataError, nearest


class TrainKey(NamedTuple):
    """What decides a training clip."""

    seed: int
    epoch: int
    clip: int  # index within the split


Item = tuple[Tensor | None, int, int]
"""A clip (T, 3, crop, crop) uint8, or None where it cannot be read; its label; its index within the split."""


ORDERS = ("as_is", "reversed", "shuffled", "frozen")
"""In which order a test shows the frames of a clip: probes of what a network makes of order."""


def reordered(frames: np.ndarray, order: str, seed: Sequence[int] = (0,)) -> np.ndarray:
    """The frames of one clip in another order, (T, ...) -> (T, ...); "frozen" shows the middle one T times.

    Raises:
        ValueError: no such order.
    """
    t = len(frames)
    if order == "as_is":
        return frames
    if order == "reversed":
        return frames[::-1]
    if order == "shuffled":
        return frames[np.random.default_rng(list(seed)).permutation(t)]
    if order == "frozen":
        return frames[np.full(t, t // 2)]
    raise ValueError(f"no order {order!r}{nearest(order, ORDERS)}")


class UnreadableError(Exception):
    """A clip cannot be read, and the user chose to leave such clips out."""


class ClipDataset(Dataset[Item]):
    """One split: `dataset[TrainKey(...)]` is sampled and cropped at random, `views` as a test protocol says.

    Raises:
        ValueError: no such split.
        DataError: on reading, the frames were not decoded yet, or the clip cannot be read.
        UnreadableError: instead, with `on_unreadable` "skip".
    """

    def __init__(self, config: DataConfig, index: Index, split: str) -> None:
        places = np.flatnonzero(in_split(index.clips, split))
        if not len(places):
            raise ValueError(f"no clips in split {split!r}")
        self.config = config
        self.index = index
        self.clips = chosen(index.clips, places)
        self.labels = numbers_of(self.clips, "label")
        self._mirrored = mirrored_classes(index.classes)
        self._first = first_frames(index)[places]
        self._frames: np.ndarray | None = None  # opened when first read

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: TrainKey) -> Item:
        n, label, config = self.clips[key.clip].frames, int(self.labels[key.clip]), self.config
        rng = np.random.default_rng(list(key))
        draw = segment_train if config.sampling == "segment" else dense_train
        try:
            frames = self._read(key.clip, draw(n, config.num_frames, rng))
        except UnreadableError:
            return None, label, key.clip
        clip = train_crop(frames, config.crop, config.scales, rng)
        if config.mirror != "off" and rng.random() < 0.5:  # drawn last: frames and crops are those without it
            clip = clip.flip(-1)
            label = self._mirrored[label] if config.mirror == "swap_labels" else label
        return clip, label, key.clip

    def views(self, index: int, protocol: TestProtocol, order: str = "as_is", seed: int = 0) -> Tensor:
        """What a test protocol shows of one video, (views, T, 3, side, side) uint8, in the order of its views.

        Args:
            order: in which order the frames are shown, one of ORDERS.
            seed: decides the order "shuffled", together with the video and the clip.
        """
        config = self.config
        times = frames_at_test(self.clips[index].frames, config.num_frames, config.sampling, protocol.clips)
        side = config.crop if protocol.size == "crop" else config.short_side
        decoded = self._read(index, times.ravel())
        decoded = decoded.reshape(*times.shape, *decoded.shape[1:])
        clips = [reordered(frames, order, (seed, index, i)) for i, frames in enumerate(decoded)]
        views = []
        for view in protocol.views():
            crop = place_crop(clips[view.clip], side, view.along, view.across)
            views.append(crop.flip(-1) if view.mirrored else crop)
        return torch.stack([view.permute(0, 2, 3, 1) for view in views]).permute(0, 1, 4, 2, 3)

    def _read(self, index: int, times: np.ndarray) -> np.ndarray:
        """Frames `times` of a video, (len(times), H, W, 3)."""
        if self.index.one_size:
            if self._frames is None:
                self._frames = open_frames(self.index, self.config.short_side)
            decoded: np.ndarray = self._frames[self._first[index] + times]
            return decoded
        try:
            return read_clip(self.clips[index], times, self.config.short_side)
        except DataError as error:
            if self.config.on_unreadable == "skip":
                raise UnreadableError(str(error)) from None
            raise DataError(f"clip {self.clips[index].id}: {error}") from None

    def __getstate__(self) -> dict[str, Any]:
        # Pickling a memory map would copy every frame to every worker.
        return {**self.__dict__, "_frames": None}
