"""Looking through a data set for everything that is wrong with it, rather than stopping at the first thing."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.columns import SPLITS, Clip, in_split, with_problem
from harness.data.index import only_one_class
from harness.data.parallel import Progress, one_by_one
from harness.data.sources.annotations import Problem
from harness.data.sources.copies import copies, size_of
from harness.data.sources.index_files import Counted, Jobs, clips_of, count, missing
from harness.data.sources.layout import agreed
from harness.data.sources.readers import ReaderConfig
from harness.data.video import frame_chunks
from harness.errors import DataError
from harness.files import csv_cell, writable, write_whole

KINDS = (
    "missing",
    "unreadable",
    "wrong frame count",
    "unknown label",
    "duplicate id",
    "bad id",
    "copy",
    "annotation",
)
"""Of problems, as annotations.Problem has them."""


@dataclass(frozen=True)
class Findings:
    """What a check found.

    frames: of every clip that can be read, by split; of "test" too, where there is such a list.
    unused: classes without a training clip.
    """

    config: ReaderConfig
    root: Path
    classes: list[str]
    frames: dict[str, np.ndarray]
    unused: list[str]
    problems: list[Problem]

    def table(self) -> list[str]:
        """A line for each split, under a head."""
        rows: list[tuple[str, ...]] = [("split", "good", "frames (least, median, most)", *KINDS)]
        for split, frames in self.frames.items():
            kinds = Counter(problem.kind for problem in self.problems if problem.split == split)
            span = f"{frames.min()}, {np.median(frames):g}, {frames.max()}" if len(frames) else "-"
            rows.append((split, f"{len(frames):,}", span, *(f"{kinds[kind]:,}" for kind in KINDS)))
        whole = Counter(problem.kind for problem in self.problems if problem.split not in self.frames)
        if whole:
            rows.append(("files", "", "", *(f"{whole[kind]:,}" for kind in KINDS)))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]

    def save(self, file: Path) -> None:
        """Every problem, as JSON or, in a file named .csv, as a table.

        Raises:
            DataError: another kind of file, or it cannot be written.
        """
        check_out(file)
        with writable(file, "make room"):
            write_whole(file, self._write_csv if file.suffix == ".csv" else self._write_json)

    def _write_csv(self, file: Path) -> None:
        with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as opened:
            writer = csv.writer(opened, lineterminator="\n")
            writer.writerow(Problem._fields)
            writer.writerows(map(csv_cell, problem) for problem in self.problems)

    def _write_json(self, file: Path) -> None:
        """Problem by problem: of 200,000 the text would take more than they do. A file's name need not be text."""
        about = {
            "format": self.config.name,
            "settings": dataclasses.asdict(self.config) | {"root": str(self.root)},
            "classes": len(self.classes),
            "classes_without_training_clips": self.unused,
            "good": {split: len(frames) for split, frames in self.frames.items()},
        }
        with file.open("w", encoding="utf-8", errors="backslashreplace") as opened:
            opened.write(
                json.dumps(about, indent=1, ensure_ascii=False).removesuffix("\n}") + ',\n "problems": ['
            )
            for number, problem in enumerate(self.problems):
                opened.write(
                    f"{',' if number else ''}\n  {json.dumps(problem._asdict(), ensure_ascii=False)}"
                )
            opened.write("\n ]\n}\n")


def check_out(file: Path) -> None:
    """See that problems can be listed in a file, before clips are looked at for hours.

    Raises:
        DataError: another kind of file, or no folder for it.
    """
    if file.suffix not in (".json", ".csv"):
        raise DataError(f"{file}: name a file .json or .csv")
    if not file.absolute().parent.is_dir():
        raise DataError(f"{file}: no folder {file.parent}")


def check(config: ReaderConfig, progress: Progress, *, decode: bool = False) -> Findings:
    """Read every annotation and look at every clip.

    Args:
        decode: decode every frame; else frames are counted by their names, or as a video's container says.

    Raises:
        DataError: the root or an annotation is missing.
    """
    if gone := missing(config):
        raise DataError(gone)
    root = config.folder()
    problems: list[Problem] = []
    classes, clips, stated = clips_of(config, root, problems.append)
    if wrong := agreed(clips, config.clips):
        raise DataError(wrong)  # once, and not for each of them
    if len(classes) == 1 and not problems:
        problems.append(Problem("annotation", str(root), only_one_class(classes)))
    sizes = np.zeros(len(clips), dtype=np.int64)
    jobs = Jobs(clips, stated)
    for place, (found, size) in enumerate(one_by_one(_decoded if decode else _sized, jobs, progress)):
        clips.table["frames"][place], sizes[place] = found.frames, size
        if found.kind:
            clip = clips[place]
            problems.append(Problem(found.kind, str(clip.file), found.problem, clip.split, clip.id))
            clips.problems[place] = found.kind
    good = ~with_problem(clips)
    frames = {
        split: clips.column("frames")[good & in_split(clips, split)]
        for split in (*SPLITS, "test")
        if split in SPLITS or in_split(clips, split).any()
    }
    problems += copies(clips.select(np.flatnonzero(good)), sizes[good])
    used = set(clips.column("label")[in_split(clips, "train")].tolist())
    unused = [label for place, label in enumerate(classes) if place not in used]
    return Findings(config, root, classes, frames, unused, problems)


def _sized(job: tuple[Clip, int]) -> tuple[Counted, int]:
    """What `count` says, and the clip's size for finding copies."""
    found = count(job)
    try:
        return found, 0 if found.kind else size_of(job[0], found.frames)
    except OSError:
        return found, 0


def _decoded(job: tuple[Clip, int]) -> tuple[Counted, int]:
    """The same, where every frame that it counts can be decoded."""
    found, size = _sized(job)
    if found.kind:
        return found, size
    from harness.data.frames import read_clip  # here: it needs torch, which whoever only counts does without

    clip = dataclasses.replace(job[0], special=found.special)
    try:
        if clip.is_video:
            decoded = sum(len(frames) for frames in frame_chunks(clip.file, special=found.special))
            if decoded != found.frames:
                text = f"{clip.file}: decodes to {decoded} frames, its index says {found.frames}"
                return Counted(0, "unreadable", text), 0
        else:
            read_clip(clip, np.arange(found.frames), short_side=16)  # small: it is thrown away
    except DataError as error:
        return Counted(0, "unreadable", str(error)), 0
    return found, size
