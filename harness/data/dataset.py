"""From settings to clips: opening a data set, and what training and evaluation see of a video.

What a training clip shows depends on (seed, epoch, clip) alone: not on the order of clips, on workers or on
what a model drew. That is what makes variants with the same seed comparable.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from harness.data.frames import decode_all, first_frames, open_frames, read_clip
from harness.data.generated import making
from harness.data.generated.making import GeneratedConfig
from harness.data.index import Index
from harness.data.mirror import mirrored_classes
from harness.data.parallel import Progress
from harness.data.sampling import SAMPLING_WORDS, WINDOW, dense_train, frames_at_test, segment_train
from harness.data.sources import index_files
from harness.data.sources.readers import READERS, ReaderConfig
from harness.data.transforms import place_crop, train_crop
from harness.data.views import EvalConfig, TestProtocol
from harness.errors import DataError, nearest
from harness.records import with_name

DATASETS: dict[str, type[GeneratedConfig] | type[ReaderConfig]] = {
    "generated": GeneratedConfig,
    **READERS,
}
"""Settings of each data set, by its name."""

ON_UNREADABLE = ("error", "skip")
MIRRORING = ("off", "on", "swap_labels")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which clips, and how they are sampled and cropped. Defaults: MixTConv paper, Sec. 4.1, and TSN's crops.

    dataset: a name, or a mapping of `name` and the data set's own settings.
    sampling: "segment", one frame from each of T equal segments; "dense", T frames of a 64-frame window.
    mirror: of training clips. "on" mirrors each with probability 1/2; "swap_labels" also makes a mirrored clip of
        "left" one of "right", and so for every class that names a direction (mirror.py).
    on_unreadable: what becomes of a clip that cannot be read: "error" stops, "skip" leaves it out, and counts and
        names it in the result. No clip ever takes another one's place.
    test: how results are taken.
    """

    dataset: str | Mapping[str, Any] = "generated"
    num_frames: int = 8  # T, one from each segment
    short_side: int = 256  # pixels, before cropping
    crop: int = 224  # pixels, what the network sees
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)  # of short_side, training crops
    sampling: str = "segment"
    mirror: bool | str = "off"  # YAML reads a bare on and off as true and false
    on_unreadable: str = "error"
    test: EvalConfig = field(default_factory=EvalConfig)

    def __post_init__(self) -> None:
        for name in ("num_frames", "short_side", "crop"):
            if getattr(self, name) < 1:
                raise DataError(f"{name}: {getattr(self, name)} is too few; use 1 or more")
        if self.crop > self.short_side:
            raise DataError(f"crop: {self.crop} pixels do not fit into short_side {self.short_side}")
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise DataError(f"scales: {list(self.scales)}: use one or more numbers above 0 and up to 1")
        if self.sampling not in SAMPLING_WORDS:
            raise DataError(f"sampling: {self.sampling!r} is none of {', '.join(SAMPLING_WORDS)}")
        if self.sampling == "dense" and self.num_frames > WINDOW:
            raise DataError(
                f"num_frames: {self.num_frames} frames do not fit into a dense window of {WINDOW}"
            )
        if self.sampling == "segment" and self.test.resolved().clips > 2:
            raise DataError(
                f"test.clips: {self.test.resolved().clips}: segment sampling has 1 or 2 clips a video; "
                "use sampling: dense for more"
            )
        if isinstance(self.mirror, bool):
            object.__setattr__(self, "mirror", "on" if self.mirror else "off")
        for name, choices in (("mirror", MIRRORING), ("on_unreadable", ON_UNREADABLE)):
            if getattr(self, name) not in choices:
                raise DataError(f"{name}: {getattr(self, name)!r} is none of {', '.join(choices)}")
        self.source()

    @property
    def dataset_name(self) -> str:
        """The data set's key."""
        return str(with_name(self.dataset)["name"])

    def source(self) -> GeneratedConfig | ReaderConfig:
        """The checked settings of the data set itself.

        Raises:
            DataError: no such data set or setting, or a value of the wrong kind.
        """
        settings = with_name(self.dataset)
        name = settings.pop("name", None)
        if name not in DATASETS:
            raise DataError(f"dataset: no data set {name!r}{nearest(str(name), DATASETS)}")
        kind = DATASETS[name]
        hints = typing.get_type_hints(kind)
        known = [field.name for field in dataclasses.fields(kind)]
        for key, value in settings.items():
            if key not in known:
                raise DataError(f"dataset: {name} has no setting {key!r}{nearest(key, known)}")
            if type(value) is not hints[key]:
                raise DataError(
                    f"dataset.{key}: {value!r} is not {'text' if hints[key] is str else 'a whole number'}"
                )
        try:
            return kind(**settings)
        except DataError as error:
            raise DataError(f"dataset.{error}") from None


def _silent(done: int, total: int) -> None:
    """No progress shown."""


def open_data(config: DataConfig, data_dir: Path, progress: Progress = _silent) -> DataSet:
    """The data set. The generated one is written and decoded first, another one indexed, where not done before.

    Args:
        progress: told (done, total) of each pass over the clips.

    Raises:
        DataError: the folder cannot be written, or a clip cannot be used.
    """
    source = config.source()
    if isinstance(source, GeneratedConfig):
        index = making.prepare(source, data_dir, progress)
        decode_all(index, config.short_side, progress)
    else:
        index = index_files.prepare(source, data_dir, progress, look_again=config.on_unreadable == "error")
    return DataSet(config, index)


def find_data(config: DataConfig, data_dir: Path) -> DataSet | None:
    """The data set if it was written or indexed before, else None, also where its folder is missing. Writes nothing;
    its frames may not be decoded yet."""
    source = config.source()
    found = (
        making.find(source, data_dir)
        if isinstance(source, GeneratedConfig)
        else index_files.find(source, data_dir)
    )
    return None if found is None else DataSet(config, found)


def missing_data(config: DataConfig) -> str:
    """Which folder or file is missing before this data set can be used, and what to do; "" where none is."""
    source = config.source()
    return "" if isinstance(source, GeneratedConfig) else index_files.missing(source)


def located(config: DataConfig) -> DataConfig:
    """With the data set's root as it is found here: another process may have another folder and environment."""
    source = config.source()
    if isinstance(source, GeneratedConfig):
        return config
    return dataclasses.replace(config, dataset=with_name(config.dataset) | {"root": str(source.folder())})


class DataSet:
    """Classes and clips of one data set, under one DataConfig.

    Attributes:
        fingerprint: changes whenever any clip or label does.
        classes: class names; labels are positions in it.
        groups: the group of each class, "" where the data set has none.
        mirrored: the class that each class becomes in a mirror, indices.
        twins: pairs of class indices whose clips are each other's, played backwards.
        skipped: ids of the clips that were left out when the data set was indexed, by split.

    Raises:
        DataError: a clip cannot be read and `on_unreadable` is "error"; there are no class names to swap; or the
            test protocol mirrors classes that name a direction.
    """

    def __init__(self, config: DataConfig, index: Index) -> None:
        self.config = config
        self.index = index = index.readable(config.on_unreadable)
        if "swap_labels" in (config.mirror, config.test.resolved().mirror) and not index.named_classes:
            raise DataError("mirror: swap_labels needs class names; give dataset.labels, or use on or off")
        self.fingerprint = index.fingerprint
        self.classes = index.classes
        self.groups = index.groups
        self.mirrored = mirrored_classes(index.classes)
        self._check_mirror_images()
        self.twins = index.twins
        self.skipped = index.skipped

    def _check_mirror_images(self) -> None:
        """Mirror images that only a protocol's name asks for must not show one class as another."""
        test = self.config.test
        if test.resolved().mirror == "on" and test.mirror is None:
            for place, other in enumerate(self.mirrored):
                if place != other:
                    raise DataError(
                        f"test.protocol: {test.protocol} shows mirror images, which make {self.classes[place]!r} of "
                        f"{self.classes[other]!r}; use test.mirror: swap_labels (reads their scores the other way "
                        "round), off (leaves them out), or on (takes them as they are)"
                    )

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
        places = [place for place, clip in enumerate(index.clips) if clip.split == split]
        if not places:
            raise ValueError(f"no clips in split {split!r}")
        self.config = config
        self.index = index
        self.clips = [index.clips[place] for place in places]
        self.labels = np.array([clip.label for clip in self.clips])
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
