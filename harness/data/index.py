"""What every data set is brought to before its frames are read: classes, and a list of clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One video of a data set."""

    id: str
    file: Path
    split: str  # "train" or "val"
    label: int
    frames: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Index:
    """A data set as it lies on the disk; all videos are height x width pixels.

    fingerprint: changes whenever any clip or label does.
    groups: the group of each class, "" where a data set has none.
    """

    folder: Path
    fingerprint: str
    classes: list[str]
    groups: list[str]
    clips: list[Clip]
    height: int
    width: int
