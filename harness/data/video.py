"""Reading videos: the only door to decord, and to PyAV for what decord cannot read, or reads otherwise.

Frames are always decoded in order from the first one. Seeking straight to a frame, or skipping to it, is not
safe: decord then returns wrong frames without a word for open-GOP H.264, for MPEG-4 with B-frames and for H.264 in
AVI (its issues 91, 195, 252). In order it is exact for the containers of `_DECORD`, which tests hold; transport
streams it numbers wrongly, videos of one frame in Matroska or of 2x2 pixels it cannot read. Those, and all
other containers, PyAV reads whole, and only if nothing in them is wrong. So it does with every video that is not
ordinary (container.py): decord turns some of them and not others, and takes other values from 10 bits than FFmpeg.

A video's frames are those that it shows: an MP4 that was cut without being encoded anew begins with some that only
serve to decode others, and its edit list hides them.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.data.container import OPENED, best_stream, hidden_frames, look, orientation
from harness.data.contents import why_not
from harness.data.orientation import upright
from harness.data.parts import broken
from harness.data.transforms import resize_short_side
from harness.errors import DataError
from harness.machine import environment_kept

CHUNK_FRAMES, CHUNK_BYTES = 64, 128 * 2**20
"""Of what is decoded at once, at most: 64 frames up to 1024x682, 21 of 1920x1080, 5 of 3840x2160. Resizing takes four
times as much."""

_MP4 = (4, b"ftyp")
_DECORD = (_MP4, (0, b"\x1a\x45\xdf\xa3"), (8, b"AVI "))
"""Where the first bytes of MP4 and QuickTime, of Matroska and WebM, and of AVI say what they are."""

SPECIAL = 1
"""Of a clip that is a video: PyAV reads it whatever its container, since decord would show something else."""


class _UnreadableError(Exception):
    """decord cannot read this file; PyAV may."""


class Counted(NamedTuple):
    """How many frames a video shows; and SPECIAL, or 0 where it is ordinary."""

    frames: int
    special: int


def look_and_count(path: str | Path) -> Counted:
    """What the container indexes and shows. Where a decoder would paint damage over, all is decoded, to find it.

    Raises:
        DataError: the file is missing, empty, no video, or its end is missing.
    """
    _check(path)
    found = look(path)
    if not found.ordinary:
        return Counted(found.frames or sum(1 for _ in _decode_with_av(path, ())), SPECIAL)
    if not _for_decord(path):
        return Counted(sum(1 for _ in _decode_with_av(path, ())), 0)
    if found.conceals:
        for _ in _decode_with_av(path, (), strict=True):
            pass
    try:
        if shown := len(_open(path)) - found.hidden:
            return Counted(shown, 0)
        raise DataError(f"{path}: the video shows none of its frames")
    except _UnreadableError as reason:
        return Counted(sum(1 for _ in _decode_with_av(path, (), str(reason))), 0)


def count_frames(path: str | Path) -> int:
    """The number alone."""
    return look_and_count(path).frames


def read_frames(
    path: str | Path,
    indices: Sequence[int] | np.ndarray | None = None,
    short_side: int | None = None,
    *,
    listed: int | None = None,
    special: int | None = None,
) -> np.ndarray:
    """The asked frames of a video, (T, H, W, 3) uint8 RGB, as they are shown.

    Args:
        indices: frame numbers from 0, in any order, repeated at will; all frames without it.
        short_side: resize so that min(H, W) is this many pixels; the video's own size without it.
        listed: how many frames the data set says there are.
        special: what `look_and_count` found; looked up without it.

    Raises:
        DataError: the file is missing, empty, no video, damaged, or holds fewer frames than its index says or
            than were asked for, or another number than `listed`.
        ValueError: no frame or a negative one is asked for.
    """
    wanted = None if indices is None else np.asarray(indices, dtype=np.int64)
    if wanted is not None and (wanted.size == 0 or wanted.min() < 0):
        raise ValueError(f"{path}: one or more frame numbers from 0 are needed, not {wanted.tolist()}")
    _check(path)
    if _for_decord(path, special):
        try:
            return _read_with_decord(path, wanted, short_side, listed)
        except _UnreadableError as reason:
            return _read_with_av(path, wanted, short_side, listed, str(reason))
    return _read_with_av(path, wanted, short_side, listed)


def frame_chunks(
    path: str | Path, short_side: int | None = None, *, special: int | None = None
) -> Iterator[np.ndarray]:
    """All frames in order, some at once, for videos that are too long to hold: (n, H, W, 3) uint8.

    Raises:
        DataError: as in read_frames; what came before was read right.
    """
    _check(path)
    done = 0
    try:
        if _for_decord(path, special):
            reader = _open(path)
            chunks = _chunks(reader, len(reader) - _hidden(path), path)
        else:
            chunks = _av_chunks(path)
        for frames in chunks:
            yield frames if short_side is None else resize_short_side(frames, short_side)
            done += len(frames)
    except _UnreadableError as reason:
        if done:
            raise DataError(f"{path}: {reason}") from None
        for frames in _av_chunks(path, str(reason)):
            yield frames if short_side is None else resize_short_side(frames, short_side)


def at_once(shape: Sequence[int]) -> int:
    """How many frames (H, W, 3) are decoded together: within CHUNK_FRAMES and CHUNK_BYTES, and one at least."""
    return max(1, min(CHUNK_FRAMES, CHUNK_BYTES // math.prod(shape)))


def _check(path: str | Path) -> None:
    if not os.path.isfile(path):
        raise DataError(f"{path}: {'is a folder' if os.path.isdir(path) else 'no such video file'}")
    if os.path.getsize(path) == 0:
        raise DataError(f"{path}: the file is empty")
    try:
        wrong = broken(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if wrong:
        raise DataError(f"{path}: {wrong}")


def _for_decord(path: str | Path, special: int | None = 0) -> bool:
    if special is None:
        special = 0 if look(path).ordinary else SPECIAL
    return not special and _begins(path, *_DECORD)


def _begins(path: str | Path, *known: tuple[int, bytes]) -> bool:
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return any(start[place:].startswith(word) for place, word in known)


def _asked(path: str | Path, wanted: np.ndarray | None, there: int, listed: int | None) -> np.ndarray:
    """The frame numbers to return, checked against those that there are."""
    if listed is not None and there != listed:
        raise DataError(f"{path}: has {there} frames, {listed} are listed; is it damaged, or another video?")
    if wanted is None:
        return np.arange(there)
    if wanted.max() >= there:
        raise DataError(f"{path}: frame {wanted.max()} was asked for, of {there} frames; is it truncated?")
    return wanted


# --- decord -------------------------------------------------------------------------------------------------


def _read_with_decord(
    path: str | Path, wanted: np.ndarray | None, short_side: int | None, listed: int | None
) -> np.ndarray:
    reader = _open(path)
    there = len(reader)
    if wanted is None or listed not in (None, there):  # else nothing hangs on it: hidden frames do not count
        there -= _hidden(path)
    wanted = _asked(path, wanted, there, listed)
    chunks, start = [], 0
    for frames in _chunks(reader, int(wanted.max()) + 1, path):
        chosen = np.unique(wanted[(wanted >= start) & (wanted < start + len(frames))])
        if chosen.size:
            kept = frames if chosen.size == len(frames) else frames[chosen - start]
            chunks.append(kept if short_side is None else resize_short_side(kept, short_side))
        start += len(frames)
    kept = np.concatenate(chunks)
    unique, where = np.unique(wanted, return_inverse=True)
    return kept if np.array_equal(unique, wanted) else kept[where]


def _chunks(reader: Any, stop: int, path: str | Path) -> Iterator[np.ndarray]:
    """Frames 0 to stop - 1, in order. All are decoded, wanted or not: a gap would make decord seek."""
    start, end = 0, 1  # the first tells how large they are
    while start < stop:
        frames = _decode(reader, start, end, path)
        yield frames
        start, end = end, min(end + at_once(frames.shape[1:]), stop)


@functools.cache
def _decord() -> Any:
    """Data sets without videos need none; and it puts a folder of its own into PATH."""
    with environment_kept():
        import decord
    return decord


def _open(path: str | Path) -> Any:
    """A decord reader over one file, on one thread: parallelism is over files."""
    decord = _decord()
    decord.logging.set_level(decord.logging.QUIET)
    try:
        # fault_tol: as it comes, decord repeats the last frame in place of those that do not decode.
        reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1, fault_tol=1e-6)
    except (decord.DECORDError, RuntimeError, OSError):
        raise _UnreadableError("cannot be opened as a video; is it complete?") from None
    if len(reader) == 0:
        raise _UnreadableError("the video has no frames")
    return reader


def _hidden(path: str | Path) -> int:
    return hidden_frames(path) if _begins(path, _MP4) else 0


def _decode(reader: Any, start: int, stop: int, path: str | Path) -> np.ndarray:
    """Frames start to stop - 1; the reader must stand at start."""
    decord = _decord()
    try:
        frames: np.ndarray = reader.get_batch(range(start, stop)).asnumpy()
    except decord.DECORDLimitReachedError:
        raise DataError(
            f"{path}: decodes to fewer frames than the {len(reader)} that its index says"
        ) from None
    except (decord.DECORDError, RuntimeError, IndexError):
        place = f"decoding stopped between frames {start} and {stop - 1} of {len(reader)}"
        raise _UnreadableError(f"{place}; is it damaged?") from None
    if len(frames) != stop - start:
        raise DataError(f"{path}: decoded to {start + len(frames)} frames, its index says {len(reader)}")
    return frames


# --- PyAV ---------------------------------------------------------------------------------------------------


def _read_with_av(
    path: str | Path,
    wanted: np.ndarray | None,
    short_side: int | None,
    listed: int | None,
    reason: str = "",
) -> np.ndarray:
    """The whole file is decoded, since only its end tells that all of it is there; wanted frames are kept."""
    chosen = None if wanted is None else set(wanted.tolist())
    kept: dict[int, np.ndarray] = {}
    count = 0
    for number, frame in enumerate(_decode_with_av(path, chosen, reason)):
        if frame is not None:
            image = frame[None]
            kept[number] = image if short_side is None else resize_short_side(image, short_side)
        count = number + 1
    return np.concatenate([kept[number] for number in _asked(path, wanted, count, listed).tolist()])


def _av_chunks(path: str | Path, reason: str = "") -> Iterator[np.ndarray]:
    chunk: list[np.ndarray] = []
    for frame in _decode_with_av(path, None, reason):
        assert frame is not None  # all are wanted
        chunk.append(frame)
        if len(chunk) == at_once(frame.shape):
            yield np.stack(chunk)
            chunk = []
    if chunk:
        yield np.stack(chunk)


_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}


def _decode_with_av(
    path: str | Path, wanted: Container[int] | None, reason: str = "", *, strict: bool = False
) -> Iterator[np.ndarray | None]:
    """Every frame in order, (H, W, 3); None in place of those that are not wanted.

    Args:
        wanted: frame numbers; None for all.
        reason: why decord could not read the file; told where PyAV cannot either.
        strict: stop at whatever is damaged, in place of painting it over.
    """
    import av

    reason = reason or why_not(path, "video")
    count, first = 0, ("", 0)
    try:
        with av.open(str(path), options=OPENED | (_STRICT if strict else {})) as container:
            stream, _ = best_stream(container, path)
            if strict:
                stream.codec_context.options = _STRICT
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise DataError(f"{path}: frame {count} is damaged")
                size, turn = f"{frame.width}x{frame.height}", orientation(frame, path)
                first = (size, turn) if count == 0 else first
                if size != first[0]:
                    raise DataError(f"{path}: frame {count} is {size} pixels, and the first one {first[0]}")
                if turn != first[1]:
                    raise DataError(f"{path}: frame {count} is turned another way than the first one")
                shown = wanted is None or count in wanted
                count += 1
                yield upright(_rgb(frame, path, count - 1), turn) if shown else None
            indexed = stream.frames if "mov" in container.format.name else 0
            indexed -= indexed and sum(entry.is_discard for entry in stream.index_entries)
    except (av.FFmpegError, OSError, ValueError):
        where = f"decoding stopped at frame {count}; is it damaged?" if count else reason
        raise DataError(f"{path}: {where}") from None
    if count == 0:
        raise DataError(f"{path}: the video has no frames")
    if indexed and count != indexed:
        raise DataError(f"{path}: decodes to {count} frames, its index says {indexed}")


def _rgb(frame: Any, path: str | Path, number: int) -> np.ndarray:
    """A decoded frame, (H, W, 3) uint8 RGB; more than 8 bits are scaled to 8.

    FFmpeg interpolates the colours of neighbouring pixels where there are more than 8 bits, and repeats them
    where there are 8. POINT repeats them always: a video looks the same with 8 bits as with 10.
    """
    parts = frame.format.components
    how = {"interpolation": "POINT"} if any(part.bits > 8 for part in parts) else {}
    if not any(part.is_alpha for part in parts):
        plain: np.ndarray = frame.to_ndarray(format="rgb24", **how)
        return plain
    pixels = frame.to_ndarray(format="rgba", **how)
    if (pixels[..., 3] < 255).any():
        raise DataError(f"{path}: frame {number} is transparent in places; encode it without transparency")
    return np.ascontiguousarray(pixels[..., :3])
