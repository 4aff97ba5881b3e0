"""What every data set is brought to before its frames are read: classes, and a list of clips."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError

SPLITS = ("train", "val")


def only_one_class(classes: list[str]) -> str:
    """What is wrong with such a data set, in words."""
    return f"has one class, {classes[0]!r}; there is nothing to tell it from"


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip of a data set: a video file, or a folder with one picture a frame.

    id: what the data set's publisher calls it.
    file: the video, or the folder of pictures.
    pictures: how the pictures are named, as in "{frame:05d}.jpg"; "" for a video.
    first_picture: the number in the first picture's name.
    frames: counted when the index was made; 0 where the clip cannot be read.
    problem: why it cannot be read, "" where it can.
    level: how hard it is, a number whose meaning is the data set's `level_name`; None where clips have none.
    special: 0 for a clip whose frames are stored as they are shown. Of pictures, their orientation as EXIF counts it, 2
        to 8; of a video, video.SPECIAL. None where nobody looked; then it is looked up when frames are read.
    sha256: of a video that this project wrote itself, "" for others.
    cluster: what clips share that are not independent of each other, such as one clip forwards and backwards; "" for
        a clip on its own. Statistics over clips count clusters.
    """

    id: str
    file: Path
    split: str  # one of SPLITS
    label: int
    frames: int
    level: float | None = None
    pictures: str = ""
    first_picture: int = 1
    problem: str = ""
    special: int | None = None
    sha256: str = ""
    cluster: str = ""

    @property
    def is_video(self) -> bool:
        """A video file rather than a folder of pictures."""
        return not self.pictures

    def picture(self, frame: int) -> Path:
        """The picture of a frame, counted from 0 like everywhere in the code, whatever its name says."""
        return self.file / self.pictures.format(frame=self.first_picture + frame)


@dataclass(frozen=True, kw_only=True)
class Index:
    """A data set as it lies on the disk.

    folder: where what is made of it lies, such as decoded frames.
    fingerprint: changes whenever any clip or label does.
    groups: the group of each class, "" where a data set has none.
    height, width: of every frame, in pixels; 0 where clips differ or nobody looked. Only clips of one size can be
        decoded into one file (frames.py).
    files: changes whenever the file of a clip does, and is part of the name of their decoded frames; "" for clips
        that this project wrote itself, which know their own bytes.
    skipped: ids of the clips that were left out because they cannot be read, by split (`on_unreadable: skip`).
    named_classes: whether `classes` are words; else they are the numbers that the annotation gives.
    twins: pairs of class indices whose clips are each other's, played backwards.
    level_name: what the level of every clip counts, such as "lag"; "" where clips have no level.
    chance: top-1 of a network that guesses or sees no order, in per cent; None where that is not known.
    """

    folder: Path
    fingerprint: str
    classes: list[str]
    groups: list[str]
    clips: list[Clip]
    height: int = 0
    width: int = 0
    files: str = ""
    skipped: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    named_classes: bool = True
    twins: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    level_name: str = ""
    chance: float | None = None

    @property
    def one_size(self) -> bool:
        """All frames of all clips have the same size."""
        return self.height > 0

    def readable(self, on_unreadable: str) -> Index:
        """Without the clips that cannot be read, where the user chose so.

        Args:
            on_unreadable: "error" or "skip".

        Raises:
            DataError: "error", and there is such a clip; or no clip of a split can be read.
        """
        bad = [clip for clip in self.clips if clip.problem]
        if bad and on_unreadable == "error":
            more = f" (and {len(bad) - 1:,} more clips)" if len(bad) > 1 else ""
            raise DataError(
                f"clip {bad[0].id}: {bad[0].problem}{more}; `python -m harness.data check` lists every such clip, "
                "and data.on_unreadable: skip leaves them out and counts them"
            )
        good = [clip for clip in self.clips if not clip.problem]
        for split in SPLITS:
            if not any(clip.split == split for clip in good):
                first = next((f": clip {c.id}: {c.problem}" for c in bad if c.split == split), "")
                raise DataError(f"split {split!r} of this data set has no clip that can be read{first}")
        skipped = {s: [c.id for c in bad if c.split == s] for s in SPLITS} if bad else {}
        return dataclasses.replace(self, clips=good, skipped={s: ids for s, ids in skipped.items() if ids})
