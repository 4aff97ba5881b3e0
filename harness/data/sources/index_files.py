"""The index of a data set from elsewhere: what its annotations and the disk say together, found out once.

It lies in the data directory under a name that settings, root and the annotations' bytes decide: changed annotations
have another index. What later becomes of the clips themselves shows when they are read.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

from harness.data.index import SPLITS, Clip, Index
from harness.data.orientation import UPRIGHT
from harness.data.parallel import Progress, in_parallel
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
    if not root.is_dir():
        return f"{root}: no such folder; put or link {config.name} there, or set data.dataset.root or {ROOTS}"
    gone = [file for file in config.files() if not config.annotation(root, file).exists()]
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
    write_once(file, lambda new: write_whole(new, _contents(config, None, progress)))
    try:
        index = _read(config, file)
    except DataError as error:
        logging.getLogger(__name__).warning("%s: it is %s now", error, set_aside(file))
        return prepare(config, data_dir, progress)
    if look_again and any(clip.problem for clip in index.clips):
        found = _contents(config, index, progress)
        with writable(file, "make room"):
            write_whole(file, found)
        index = _read(config, file)
    return index


def forget(config: ReaderConfig, data_dir: Path) -> None:
    """Drop the index, so that every clip is counted anew."""
    _index_file(config, data_dir).unlink(missing_ok=True)


def clips_of(config: ReaderConfig, root: Path, report: Report) -> tuple[list[str], list[tuple[Clip, int]]]:
    """Classes, and every clip that the annotations name, not looked at yet, with the frames they state, 0 for none.

    Clips of a test list have the label -1.
    """
    classes, lists = config.entries(root, report)
    place, clips = config.places(root), []
    for split, entries in checked(lists, classes, report).items():
        for entry, label in entries:
            file, pictures = place(entry.id)
            clip = Clip(
                id=entry.id,
                file=file,
                split=split,
                label=label,
                frames=0,
                pictures=pictures,
                first_picture=config.first_picture,
            )
            clips.append((clip, entry.frames))
    return classes, clips


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
        if not clip.file.exists():
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
    return Path(data_dir) / f"{config.name}-{digest[:12]}" / "index.json"


def _contents(config: ReaderConfig, known: Index | None, progress: Progress) -> str:
    """The index as it is written, JSON. Clips that `known` could read are not looked at again."""
    root = config.folder()
    classes, clips = clips_of(config, root, refuse)
    clips = [(clip, stated) for clip, stated in clips if clip.split in SPLITS]
    if wrong := agreed([clip for clip, _ in clips], config.clips):
        raise DataError(wrong)
    before = (
        {c.id: Counted(c.frames, special=c.special) for c in known.clips if not c.problem} if known else {}
    )
    jobs = [job for job in clips if job[0].id not in before]
    counted = before | {
        clip.id: found for (clip, _), found in zip(jobs, in_parallel(count, jobs, progress), strict=True)
    }
    contents = {
        "annotations": config.digest(root),
        "classes": classes,
        "orientation": "as shown",
        "clips": [
            [c.id, c.split, c.label, found.frames, found.problem, found.special]
            for c, found in ((c, counted[c.id]) for c, _ in clips)
        ],
    }
    return json.dumps(contents, indent=0, ensure_ascii=False)


def _read(config: ReaderConfig, file: Path) -> Index:
    root = config.folder()
    try:
        contents = json.loads(file.read_text(encoding="utf-8"))
        place, clips = config.places(root), []
        for id_, split, label, frames, problem, *looked in contents["clips"]:
            path, pictures = place(id_)
            known = {"split": split, "label": label, "frames": frames, "problem": problem}
            known["special"] = looked[0] if looked else None  # an index of an earlier version has none
            clips.append(
                Clip(id=id_, file=path, pictures=pictures, first_picture=config.first_picture, **known)
            )
        # Neither the root nor the words of a problem: a data set that moved is the same one.
        settings = {key: value for key, value in dataclasses.asdict(config).items() if key != "root"}
        listed = [[c.id, c.split, c.label, c.frames, *([c.special] if c.special else [])] for c in clips]
        annotated = [contents["annotations"], contents["classes"]]
        decisive = [INDEX_VERSION, config.name, settings, *annotated, listed]
        return Index(
            folder=file.parent,
            fingerprint=sha256(json.dumps(decisive, sort_keys=True).encode()),
            classes=contents["classes"],
            groups=[""] * len(contents["classes"]),
            clips=clips,
            named_classes=not isinstance(config, ListConfig) or bool(config.labels),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); the next run indexes the data set anew") from None
