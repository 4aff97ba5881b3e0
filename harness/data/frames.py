"""All frames of a data set, decoded once and shared read-only by every trial.

One flat uint8 file of (total frames, H, W, 3) in the index's folder, mapped into memory: a clip of 8 frames is
read some 40 times faster than it is decoded, and the pages are shared between processes. So are the frames of
generated clips kept, and those of a small data set from elsewhere, where all clips have one size.
A checksum stands behind the frames, and each process that opens the data set looks whether they still have it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from harness.data.columns import Clip, chosen, numbers_of, with_problem
from harness.data.index import Index
from harness.data.orientation import UPRIGHT
from harness.data.parallel import Progress, in_parallel
from harness.data.pictures import read_picture
from harness.data.transforms import resize_short_side, resized
from harness.data.video import at_once, read_frames
from harness.errors import DataError
from harness.files import seal, sealed_bytes, write_once

LARGEST_BYTES = 2 * 2**30
"""Of the decoded frames of clips from elsewhere: more are decoded anew each time, as they may not fit into memory."""


def decode_all(index: Index, short_side: int, progress: Progress) -> Path:
    """Decode every clip unless that was done before; returns the file.

    Raises:
        DataError: a video is damaged, changed, or decodes to another number of frames than was written; or
            the disk is too full.
    """
    file = frames_file(index, short_side)
    write_once(file, lambda temporary: _write(index, short_side, temporary, progress), _is_whole)
    return file


def decode_small(index: Index, short_side: int, progress: Progress) -> Index:
    """Decode the clips of a data set from elsewhere, if they are few and alike, unless that was done before.

    Returns:
        The index with the clips' size. As it came where they have several sizes, one is damaged, or all their frames
        are more than LARGEST_BYTES: then each clip is read when it is asked for, with the same pixels.

    Raises:
        DataError: the disk is too full.
    """
    clips = chosen(index.clips, np.flatnonzero(~with_problem(index.clips)))
    try:
        _, height, width, _ = read_clip(clips[0], np.array([0]), None).shape
    except DataError:
        return index
    sized = dataclasses.replace(index, height=height, width=width)
    if int(np.prod(_shape(sized, short_side))) > LARGEST_BYTES:
        return index
    sized = dataclasses.replace(sized, files=_files(index.fingerprint, clips))
    file = frames_file(sized, short_side)
    whole = partial(_is_whole, may_be_unlike=True)
    write_once(file, lambda temporary: _write_alike(sized, short_side, temporary, progress), whole)
    return sized if file.stat().st_size else index


_found_whole: set[tuple[str, int, int, int]] = set()
"""Files that this process has read through: place, number, size and time."""


def _is_whole(file: Path, *, may_be_unlike: bool = False) -> bool:
    """Whether the frames are there as they were written; each process reads them through once.

    Args:
        may_be_unlike: an empty file is whole too.
    """
    try:
        found = file.stat()
    except FileNotFoundError:
        return False
    seen = (str(file), found.st_ino, found.st_size, found.st_mtime_ns)
    if seen in _found_whole or (may_be_unlike and not found.st_size):
        return True
    if sealed_bytes(file) < 0:
        return False
    _found_whole.add(seen)
    return True


def damaged_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files with decoded frames in a data set's folder: all, and those of them that are not as they were written."""
    files = sorted(file for file in folder.glob("frames-*.npy") if file.stat().st_size)
    return files, [file for file in files if sealed_bytes(file) < 0]


def frames_file(index: Index, short_side: int) -> Path:
    """Where the frames are, or will be."""
    return index.folder / f"frames-{short_side}{index.files and '-'}{index.files}.npy"


def _files(fingerprint: str, clips: Sequence[Clip]) -> str:
    """Changes whenever a clip does: size and time of each of its files."""
    seen = hashlib.sha256(fingerprint.encode())
    for clip in clips:
        for file in [clip.file] if clip.is_video else map(clip.picture, range(clip.frames)):
            try:
                found = os.stat(file)
                seen.update(f"{found.st_size} {found.st_mtime_ns}\n".encode())
            except OSError:
                seen.update(b"missing\n")
        if clip.special:  # else what an earlier version decoded would be taken
            seen.update(f"special {clip.special}\n".encode())
    return seen.hexdigest()[:12]


def first_frames(index: Index) -> np.ndarray:
    """Where each clip starts in the file, and where the last one ends: (clips + 1,) int64."""
    return np.concatenate([[0], np.cumsum(numbers_of(index.clips, "frames"))])


def open_frames(index: Index, short_side: int) -> np.ndarray:
    """The decoded frames, (total, H, W, 3) uint8, read-only and mapped into memory.

    Raises:
        DataError: they were not decoded yet, or the file is not whole.
    """
    file = frames_file(index, short_side)
    try:
        frames: np.ndarray = np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error}); the next run decodes the videos anew") from None
    if frames.shape != _shape(index, short_side):
        raise DataError(f"{file}: not the frames of these videos; the next run decodes them anew")
    return frames


def _shape(index: Index, short_side: int) -> tuple[int, int, int, int]:
    return (int(first_frames(index)[-1]), *resized(index.height, index.width, short_side), 3)


@dataclass(frozen=True)
class _Job:
    """One clip to decode, and where its frames go."""

    clip: Clip
    short_side: int
    file: Path
    first: int


def _write(index: Index, short_side: int, file: Path, progress: Progress) -> None:
    shape = _shape(index, short_side)
    needed, free = int(np.prod(shape)), shutil.disk_usage(file.parent).free
    if needed > free:
        raise DataError(
            f"{file.parent}: decoding at short_side {short_side} needs {needed / 2**20:,.0f} MiB and "
            f"{free / 2**20:,.0f} MiB are free; use a smaller data.short_side or another data folder"
        )
    np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):  # else a disk that is full later ends processes by a signal
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    jobs = [
        _Job(clip, short_side, file, int(first))
        for clip, first in zip(index.clips, first_frames(index), strict=False)
        if not clip.problem
    ]
    in_parallel(_decode if not index.files else _decode_alike, jobs, progress)
    seal(file)


class _UnlikeError(Exception):
    """A clip that does not fit into one file with the others."""


def _write_alike(index: Index, short_side: int, file: Path, progress: Progress) -> None:
    """An empty file where a clip is unlike the others: so that not every trial finds out anew."""
    try:
        _write(index, short_side, file, progress)
    except _UnlikeError:
        file.write_bytes(b"")


def _decode_alike(job: _Job) -> None:
    clip = job.clip
    everything = np.load(job.file, mmap_mode="r+")
    step = clip.frames if clip.is_video else at_once(everything.shape[1:])
    for start in range(0, clip.frames, step):
        wanted = np.arange(start, min(start + step, clip.frames))
        try:
            frames = read_clip(clip, wanted, job.short_side)
        except DataError as error:
            raise _UnlikeError(str(error)) from None
        if frames.shape[1:] != everything.shape[1:]:
            raise _UnlikeError(f"{clip.file}: {_size(frames[0])} pixels")
        everything[job.first + wanted] = frames


def _decode(job: _Job) -> None:
    clip = job.clip
    if clip.file.suffix == ".npy":
        frames = resize_short_side(np.load(clip.file), job.short_side)
    else:
        frames = read_frames(clip.file, short_side=job.short_side, special=clip.special)
    if len(frames) != clip.frames:
        raise DataError(
            f"{clip.file}: decoded to {len(frames)} frames, {clip.frames} were written; is it damaged?"
        )
    if hashlib.sha256(clip.file.read_bytes()).hexdigest() != clip.sha256:
        raise DataError(
            f"{clip.file}: changed since it was listed; rename {clip.file.parent.parent} to have all clips made anew"
        )
    everything = np.load(job.file, mmap_mode="r+")
    everything[job.first : job.first + clip.frames] = frames


def read_clip(clip: Clip, wanted: np.ndarray, short_side: int | None) -> np.ndarray:
    """Frames of a clip, straight from its video or its pictures: (len(wanted), H, W, 3) uint8 RGB.

    Args:
        short_side: resize so that min(H, W) is this many pixels; the clip's own size without it.

    Raises:
        DataError: the clip cannot be read, or, of a video, has another number of frames than when it was indexed.
            Of a folder, pictures that are not asked for are not looked at.
    """
    if clip.is_video:
        return read_frames(clip.file, wanted, short_side, listed=clip.frames, special=clip.special)
    unique, where = np.unique(wanted, return_inverse=True)
    first, turn = read_picture(clip.picture(int(unique[0])))
    expected = turn if clip.special is None else clip.special or UPRIGHT
    pieces: list[np.ndarray] = []
    held: list[np.ndarray] = []  # before they are resized
    for place, number in enumerate(unique.tolist()):
        file = clip.picture(number)
        picture, turn = read_picture(file) if place else (first, turn)
        if turn != expected:
            raise DataError(
                f"{file}: has the orientation {turn} (EXIF), and others of this clip {expected}; "
                "which way up the clip is cannot be told"
            )
        if picture.shape != first.shape:
            raise DataError(
                f"{file}: {_size(picture)} pixels, and {clip.picture(int(unique[0])).name} is {_size(first)}"
            )
        held.append(picture)
        if len(held) == at_once(picture.shape) or place == len(unique) - 1:
            frames = np.stack(held)
            pieces.append(frames if short_side is None else resize_short_side(frames, short_side))
            held = []
    frames = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
    return frames if len(unique) == len(wanted) and (np.diff(where) > 0).all() else frames[where]


def _size(picture: np.ndarray) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
