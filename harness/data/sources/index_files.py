"""The index of a data set from elsewhere: what its annotations and the disk say together, found out once.

It lies in the data directory under a name that settings, root and the annotations' bytes decide: changed annotations
have another index. What later becomes of the clips themselves shows when they are read.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
import os
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.data.columns import (
    SPLITS,
    UNKNOWN,
    Clip,
    Columns,
    Table,
    read_columns,
    with_problem,
    write_columns,
)
from harness.data.index import Index
from harness.data.orientation import UPRIGHT
from harness.data.parallel import Progress, one_by_one
from harness.data.pictures import picture_orientation
from harness.data.sources.annotations import Report, checked, refuse
from harness.data.sources.layout import advice, agreed
from harness.data.sources.readers import ROOTS, ListConfig, ReaderConfig, sha256
from harness.data.video import look_and_count
from harness.errors import DataError
from harness.files import set_aside, writable, write_once, write_whole

INDEX_VERSION = 2
"""Raised when the same files would give another index."""


def missing(config: ReaderConfig) -> str:
    """Which folder or annotation is not there, and what to do, in one line; "" where none is missing."""
    try:
        root = config.folder()
    except DataError as error:
        return str(error).removeprefix("root: ")
    if not os.path.isdir(root):  # Path's own raises where a name is too long
        return f"{root}: no such folder; put or link {config.name} there, or set data.dataset.root or {ROOTS}"
    gone = [file for file in config.files() if not os.path.exists(config.annotation(root, file))]
    return f"{root}: no {', no '.join(gone)}; set data.dataset.root to where they are" if gone else ""


def find(config: ReaderConfig, data_dir: Path) -> Index | None:
    """The data set if it was indexed before with these annotations, else None. Writes nothing."""
    if missing(config):
        return None
    file = _index_file(config, data_dir)
    return _read(config, file) if file.exists() else None


def prepare(config: ReaderConfig, data_dir: Path, progress: Progress, *, look_again: bool = False) -> Index:
    """Index the data set unless that was done before with the same annotations.

    Args:
        look_again: where an earlier index has clips that could not be read, see whether they can be now.

    Raises:
        DataError: a file or folder is missing, or an annotation cannot be used.
    """
    if gone := missing(config):
        raise DataError(gone)
    file = _index_file(config, data_dir)
    write_once(file, lambda new: _write(new, config, None, progress))
    try:
        index = _read(config, file)
    except DataError as error:
        logging.getLogger(__name__).warning("%s: it is %s now", error, set_aside(file))
        return prepare(config, data_dir, progress)
    if look_again and with_problem(index.clips).any():
        known = index
        with writable(file, "make room"):
            write_whole(file, lambda new: _write(new, config, known, progress))
        index = _read(config, file)
    return index


def forget(config: ReaderConfig, data_dir: Path) -> None:
    """Drop the index, so that every clip is counted anew."""
    _index_file(config, data_dir).unlink(missing_ok=True)


def clips_of(config: ReaderConfig, root: Path, report: Report) -> tuple[list[str], Columns, np.ndarray]:
    """Classes, every clip that the annotations name, not looked at yet, and the frames that they state, 0 for none.

    Clips of a test list have the label -1.
    """
    classes, lists = config.entries(root, report)
    place, table, stated = config.places(root), Table(), array("i")
    for split, entries in checked(lists, classes, report).items():
        for entry, label in entries:
            folder = config.is_folder(place(entry.id, False)[0])
            table.add(entry.id, split, label, pictures=folder)
            stated.append(entry.frames)
    clips = Columns(table.columns(), {}, place, config.first_picture)
    return classes, clips, np.frombuffer(stated, np.int32)


class Jobs(Sequence[tuple[Clip, int]]):
    """Clips with the number of frames that is stated of each, for `count`."""

    def __init__(self, clips: Columns, stated: np.ndarray) -> None:
        self.clips, self.stated = clips, stated

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: Any) -> Any:
        return self.clips[place], int(self.stated[place])


class Counted(NamedTuple):
    """What the disk says about a clip. kind and problem: as in annotations.Problem, "" where nothing is wrong.

    special: as Clip has it.
    """

    frames: int
    kind: str = ""
    problem: str = ""
    special: int | None = 0


def count(job: tuple[Clip, int]) -> Counted:
    """How many frames a clip has, against the number that its annotation states, 0 for none."""
    clip, stated = job
    try:
        if not os.path.exists(clip.file):
            return Counted(0, "missing", f"{clip.file}: no such {'video' if clip.is_video else 'folder'}")
        frames, special = look_and_count(clip.file) if clip.is_video else (_count_pictures(clip), 0)
    except DataError as error:
        return Counted(0, "unreadable", str(error))
    except OSError as error:
        return Counted(0, "unreadable", f"{clip.file}: cannot be read: {error.strerror}")
    if frames < 0 and (stated_first := _counts_from(clip)) < clip.first_picture:
        first = clip.pictures.format(frame=stated_first)
        text = f"{clip.file}: its pictures count from {first}; first_picture={stated_first} reads them"
        return Counted(0, "wrong frame count", text)
    if frames < 0:
        last = clip.picture(-frames - 1).name
        text = f"{clip.file}: pictures are missing between the first and {last}"
        return Counted(0, "wrong frame count", text)
    if stated and frames != stated:
        text = f"{clip.file}: has {frames} frames, its annotation says {stated}"
        return Counted(0, "wrong frame count", text)
    if not clip.is_video and (turn := picture_orientation(clip.picture(0))) != UPRIGHT:
        special = turn
    return Counted(frames, special=special)


def _count_pictures(clip: Clip) -> int:
    """Pictures in a clip's folder; where some between them are missing, minus the number there should be."""
    numbers = _numbers(clip)
    if not numbers:
        there, how = advice(clip, f"{{id}}/{clip.pictures}")
        hint = f"; it {there}, which {how} would read" if there else ""
        raise DataError(f"{clip.file}: holds no picture named like {clip.picture(0).name}{hint}")
    expected = numbers[-1] - clip.first_picture + 1
    whole = len(numbers) == expected and numbers[0] == clip.first_picture
    return expected if whole else -max(expected, 1)


def _counts_from(clip: Clip) -> int:
    """The number of a clip's first picture, where none between it and the last is missing."""
    numbers = _numbers(clip)
    return numbers[0] if len(numbers) == numbers[-1] - numbers[0] + 1 else clip.first_picture


def _numbers(clip: Clip) -> list[int]:
    """In the names of a clip's pictures, in order."""
    with os.scandir(clip.file) as listing:
        names = {entry.name for entry in listing}
    name = _name_pattern(clip.pictures)
    numbers = sorted(int(found[1]) for found in map(name.fullmatch, names) if found)
    return [number for number in numbers if clip.pictures.format(frame=number) in names]


@functools.cache
def _name_pattern(pictures: str) -> re.Pattern[str]:
    before, after = re.split(r"\{frame[^}]*\}", pictures)
    return re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")


def _index_file(config: ReaderConfig, data_dir: Path) -> Path:
    root = config.folder()
    decisive = {
        "version": INDEX_VERSION,
        "settings": dataclasses.asdict(config) | {"root": str(root)},
        "annotations": config.digest(root),
    }
    digest = sha256(json.dumps(decisive, sort_keys=True).encode())
    return Path(data_dir) / f"{config.name}-{digest[:12]}" / "index.columns"


def _write(file: Path, config: ReaderConfig, known: Index | None, progress: Progress) -> None:
    """The index. Clips that `known` could read are not looked at again."""
    root = config.folder()
    classes, clips, stated = clips_of(config, root, refuse)
    places = np.flatnonzero(clips.column("split") < len(SPLITS))
    if wrong := agreed(clips.select(places), config.clips):
        raise DataError(wrong)
    before = {} if known is None else {c.id: (c.frames, c.special) for c in known.clips if not c.problem}
    left = []
    for row in places.tolist():
        if found := before.get(clips.id_of(row)):
            clips.table["frames"][row], special = found
            clips.table["special"][row] = UNKNOWN if special is None else special
        else:
            left.append(row)
    rows = np.array(left, dtype=np.int64)
    for row, counted in zip(
        left, one_by_one(count, Jobs(clips.select(rows), stated[rows]), progress), strict=True
    ):
        clips.table["frames"][row], clips.table["special"][row] = counted.frames, counted.special
        if counted.problem:
            clips.problems[row] = counted.problem
    about = {
        "fingerprint": _fingerprint(config, config.digest(root), classes, clips, places),
        "classes": classes,
        "orientation": "as shown",
    }
    write_columns(file, about, clips)


def _fingerprint(
    config: ReaderConfig, annotated: str, classes: list[str], clips: Columns, places: np.ndarray
) -> str:
    """Changes whenever a clip does. Neither with the root nor with the words of a problem: a data set that moved is
    the same one."""
    settings = {key: value for key, value in dataclasses.asdict(config).items() if key != "root"}
    decisive = json.dumps([INDEX_VERSION, config.name, settings, annotated, classes], sort_keys=True)
    digest = hashlib.sha256(f"{decisive[:-1]}, [".encode())
    for number, clip in enumerate(map(clips.__getitem__, places.tolist())):
        listed = [clip.id, clip.split, clip.label, clip.frames, *([clip.special] if clip.special else [])]
        digest.update(f"{', ' if number else ''}{json.dumps(listed)}".encode())
    digest.update(b"]]")
    return hashlib.sha256(digest.digest()).hexdigest()  # as `sha256` of one part


def _read(config: ReaderConfig, file: Path) -> Index:
    try:
        about, clips = read_columns(file, config.places(config.folder()), config.first_picture)
        _check_head(about, clips)
        return Index(
            folder=file.parent,
            fingerprint=about["fingerprint"],
            classes=about["classes"],
            groups=[""] * len(about["classes"]),
            clips=clips.select(np.flatnonzero(clips.column("split") < len(SPLITS))),
            named_classes=not isinstance(config, ListConfig) or bool(config.labels),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read ({error}); the next run indexes the data set anew") from None


def _check_head(about: Any, clips: Columns) -> None:
    classes, labels = about["classes"], clips.column("label")
    if not isinstance(about["fingerprint"], str) or not isinstance(classes, list):
        raise ValueError("its head is none")
    if not all(isinstance(name, str) for name in classes):
        raise ValueError("a class has no name")
    if (labels >= len(classes)).any() or (labels[clips.column("split") < len(SPLITS)] < 0).any():
        raise ValueError("a label is no class")
