"""Opening a data set: found, generated or indexed, and then one DataSet whatever it came from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from harness.data.clips import ClipDataset
from harness.data.config import DataConfig
from harness.data.frames import decode_all, decode_small
from harness.data.generated import making
from harness.data.generated.config import GeneratedConfig
from harness.data.index import Index, only_one_class
from harness.data.mirror import mirrored_classes
from harness.data.parallel import Progress
from harness.data.sources import index_files
from harness.errors import DataError
from harness.records import with_name


def _silent(done: int, total: int) -> None:
    """No progress shown."""


def open_data(config: DataConfig, data_dir: Path, progress: Progress = _silent) -> DataSet:
    """The data set, where not done before the generated one written, another one indexed. Clips that are few and
    of one size are decoded.

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
        index.readable(config.on_unreadable)  # what is wrong is said before anything is decoded
        index = decode_small(index, config.short_side, progress)
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
    if (folder := data_folder(config)) is None:
        return config
    return dataclasses.replace(config, dataset=with_name(config.dataset) | {"root": str(folder)})


def data_folder(config: DataConfig) -> Path | None:
    """Where a data set lies; None of the generated ones, which are made in the data folder."""
    source = config.source()
    return None if isinstance(source, GeneratedConfig) else source.folder()


class DataSet:
    """Classes and clips of one data set, under one DataConfig.

    Attributes:
        fingerprint: changes whenever any clip or label does.
        classes: class names; labels are positions in it.
        groups: the group of each class, "" where the data set has none.
        mirrored: the class that each class becomes in a mirror, indices.
        twins: pairs of class indices whose clips are each other's, played backwards.
        level_name: what the level of every clip counts, such as "lag"; "" where clips have no level.
        levels: those of the validation clips, in order.
        chance: top-1 of a network that guesses or sees no order, in per cent; None where that is not known.
        skipped: ids of the clips that were left out when the data set was indexed, by split.

    Raises:
        DataError: a clip cannot be read and `on_unreadable` is "error"; there is one class; there are no class names
            to swap; or the test protocol mirrors classes that name a direction.
    """

    def __init__(self, config: DataConfig, index: Index) -> None:
        self.config = config
        index = index.readable(config.on_unreadable)
        if len(index.classes) < 2:
            raise DataError(f"dataset: {config.dataset_name} {only_one_class(index.classes)}")
        self.index = index = index.held_out(config.holdout) if config.holdout else index
        if "swap_labels" in (config.mirror, config.test.resolved().mirror) and not index.named_classes:
            raise DataError("mirror: swap_labels needs class names; give dataset.labels, or use on or off")
        self.fingerprint = index.fingerprint
        self.classes = index.classes
        self.groups = index.groups
        self.mirrored = mirrored_classes(index.classes)
        self._check_mirror_images()
        self.twins = index.twins
        self.level_name = index.level_name
        validation = (clip for clip in index.clips if clip.split == "val") if index.level_name else ()
        self.levels = sorted({clip.level for clip in validation if clip.level is not None})
        self.chance = index.chance
        self.skipped = index.skipped

    def _check_mirror_images(self) -> None:
        """Mirror images that only a protocol's name asks for must not show one class as another."""
        test = self.config.test
        if test.resolved().mirror == "on" and test.mirror is None:
            for place, other in enumerate(self.mirrored):
                if place != other:
                    raise DataError(
                        f"test.protocol: {test.protocol} shows mirror images, "
                        f"which make {self.classes[place]!r} of {self.classes[other]!r}; "
                        "use test.mirror: swap_labels (reads their scores the other way round), "
                        "off (leaves them out), or on (takes them as they are)"
                    )

    def split(self, name: str) -> ClipDataset:
        """The clips of "train" or "val"."""
        return ClipDataset(self.config, self.index, name)
