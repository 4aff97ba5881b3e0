"""Videos to folders of jpg frames, once: eight sampled pictures are read faster than a whole video is decoded."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from harness.data.index import Clip
from harness.data.parallel import Progress, in_parallel
from harness.data.sources.annotations import Problem
from harness.data.transforms import resize_short_side
from harness.data.video import frame_chunks
from harness.errors import DataError
from harness.files import from_json, only_writer, replace_folder, writable, write_whole

PICTURES = "{frame:05d}.jpg"
"""How the frames are named, from 1, as the publishers of jpg data sets do."""


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """How frames are kept. short_side: pixels; smaller videos keep their size. quality: of the jpg, 1 to 95."""

    short_side: int = 256
    quality: int = 95

    def __post_init__(self) -> None:
        if self.short_side < 1:
            raise DataError(f"short side: {self.short_side} is too few pixels; use 1 or more")
        if not 1 <= self.quality <= 95:
            raise DataError(f"quality: {self.quality} is not in 1 to 95")


def extract(clips: Sequence[Clip], out: Path, config: ExtractConfig, progress: Progress) -> list[Problem]:
    """Write `<out>/<id>/00001.jpg` and so on for every video; those that are there already stay.

    A clip's folder gets its name when it is whole, so a stopped extraction goes on where it was. Another process that
    extracts to the same folder is waited for.

    Returns:
        The videos that cannot be read; nothing is written for them.

    Raises:
        DataError: the folder cannot be written, or holds frames of other settings.
    """
    with writable(out, "make room or choose another"):
        out.mkdir(parents=True, exist_ok=True)
        with only_writer(out / ".extract.lock"):
            _claim(out / "extracted.json", config)
            left = [clip for clip in clips if not (out / clip.id).exists()]
            begun = len(clips) - len(left)
            work = functools.partial(_extract, out=out, config=config)
            found = in_parallel(work, left, lambda done, total: progress(begun + done, begun + total))
    return [problem for problem in found if problem is not None]


def _claim(file: Path, config: ExtractConfig) -> None:
    """Frames of one size and quality to a folder."""
    wanted = {"short_side": config.short_side, "quality": config.quality}
    if not file.exists():
        write_whole(file, json.dumps(wanted))
        return
    try:
        there = from_json(file.read_bytes())
    except ValueError:
        raise DataError(f"{file}: is damaged; remove the folder, or choose another") from None
    if there != wanted:
        raise DataError(f"{file.parent}: holds frames of {there}, not {wanted}; choose another folder")


def _extract(clip: Clip, out: Path, config: ExtractConfig) -> Problem | None:
    """One video; returns why it cannot be read."""

    def write(folder: Path) -> None:
        number = 0
        for frames in frame_chunks(clip.file, special=clip.special):
            for frame in resize_short_side(frames, min(config.short_side, *frames.shape[1:3])):
                number += 1
                Image.fromarray(frame).save(folder / PICTURES.format(frame=number), quality=config.quality)
        if number != clip.frames:
            raise DataError(f"{clip.file}: decodes to {number} frames, its index says {clip.frames}")

    try:
        replace_folder(out / clip.id, write)
    except DataError as error:
        return Problem("unreadable", str(clip.file), str(error), clip.split, clip.id)
    return None
