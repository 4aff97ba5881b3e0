"""Reading videos: the only door to decord.

Frames are always decoded in order from the first one. Seeking straight to a frame is not safe: decord then
returns wrong frames without a word for open-GOP H.264 and for MPEG-4 with B-frames (its issues 91, 195, 252).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.transforms import resize_short_side
from harness.errors import DataError

CHUNK_FRAMES = 64
"""Frames decoded at once: 64 frames of 1920x1080 are 400 MB."""


def count_frames(path: str | Path) -> int:
    """How many frames the container indexes. A damaged file may decode to fewer.

    Raises:
        DataError: the file is missing, empty or no video.
    """
    return len(_open(path))


def read_frames(
    path: str | Path, indices: Sequence[int] | np.ndarray | None = None, short_side: int | None = None
) -> np.ndarray:
    """The asked frames of a video, (T, H, W, 3) uint8 RGB.

    Args:
        indices: frame numbers from 0, in any order, repeated at will; all frames without it.
        short_side: resize so that min(H, W) is this many pixels; the video's own size without it.

    Raises:
        DataError: the file is missing, empty, no video, or holds fewer frames than indexed or asked for.
        ValueError: no frame or a negative one is asked for.
    """
    reader = _open(path)
    wanted = np.arange(len(reader)) if indices is None else np.asarray(indices, dtype=np.int64)
    if wanted.size == 0 or wanted.min() < 0:
        raise ValueError(f"{path}: one or more frame numbers from 0 are needed, not {wanted.tolist()}")
    last = int(wanted.max())
    if last >= len(reader):
        raise DataError(f"{path}: frame {last} was asked for, of {len(reader)} frames; is it truncated?")

    chunks = []
    for start in range(0, last + 1, CHUNK_FRAMES):
        stop = min(start + CHUNK_FRAMES, last + 1)
        # The whole chunk is decoded, wanted or not: a gap would make decord seek.
        frames = _decode(reader, start, stop, path)
        chosen = np.unique(wanted[(wanted >= start) & (wanted < stop)])
        if chosen.size:
            kept = frames if chosen.size == len(frames) else frames[chosen - start]
            chunks.append(kept if short_side is None else resize_short_side(kept, short_side))
    frames = np.concatenate(chunks)
    unique, where = np.unique(wanted, return_inverse=True)
    return frames if np.array_equal(unique, wanted) else frames[where]


def _open(path: str | Path) -> Any:
    """A decord reader over one file, on one thread: parallelism is over files."""
    import decord  # here, so that data sets without videos need no decord

    decord.logging.set_level(decord.logging.QUIET)
    if not os.path.isfile(path):
        raise DataError(f"{path}: no such video file")
    try:
        if os.path.getsize(path) == 0:
            raise DataError(f"{path}: the file is empty")
        reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (decord.DECORDError, RuntimeError):
        raise DataError(f"{path}: cannot be opened as a video; is it complete?") from None
    if len(reader) == 0:
        raise DataError(f"{path}: the video has no frames")
    return reader


def _decode(reader: Any, start: int, stop: int, path: str | Path) -> np.ndarray:
    """Frames start to stop - 1; the reader must stand at start."""
    import decord

    try:
        frames: np.ndarray = reader.get_batch(range(start, stop)).asnumpy()
    except (decord.DECORDError, RuntimeError, IndexError):
        raise DataError(
            f"{path}: decoding stopped between frames {start} and {stop - 1} of {len(reader)}; is it damaged?"
        ) from None
    if len(frames) != stop - start:
        raise DataError(f"{path}: decoded to {start + len(frames)} frames, its index says {len(reader)}")
    return frames
