"""Whether the parts of a Matroska, WebM or AVI file fit into each other. FFmpeg steps over what does not.

Sources: RFC 8794 (EBML), RFC 9559 (Matroska), Microsoft's "AVI RIFF File Reference".
"""

from __future__ import annotations

import mmap
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

EBML, RIFF = b"\x1a\x45\xdf\xa3", b"RIFF"

_SEGMENT, _CLUSTER, _VOID, _CRC = 0x18538067, 0x1F43B675, 0xEC, 0xBF
_TRACKS, _TRACK, _TRACK_NUMBER = 0x1654AE6B, 0xAE, 0xD7
_IN_SEGMENT = {
    0x114D9B74, 0x1549A966, _TRACKS, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, _CLUSTER, _VOID, _CRC,
}  # fmt: skip
_NUMBERS, _BLOCKS, _GROUP = {0xE7, 0xA7, 0xAB}, {0xA3, 0xA1}, 0xA0
_IN_CLUSTER = {*_NUMBERS, 0x5854, 0xA3, _GROUP, 0xAF, _VOID, _CRC}

_IN_MOVI = re.compile(rb"[0-9A-Fa-f]{2}[A-Za-z]{2}|ix[0-9]{2}|JUNK|LIST|idx1")
_UNFINISHED = (0, 0xFFFFFFFF)


_OPEN = -1
"""The end of a part whose length is not known, as in a live recording."""


class _Part(NamedTuple):
    """An element, or a chunk: what it is called, and where what it holds begins and ends."""

    name: int
    start: int
    end: int


class _BrokenError(Exception):
    """Says where parts do not fit."""


def broken(path: str | Path) -> str:
    """What does not fit, in words; "" where all does, or nothing says how long parts are, as in a live recording."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            if data[:4] == EBML:
                _check_matroska(data)
            elif data[:4] == RIFF and data[8:12] == b"AVI ":
                _check_avi(data)
        except _BrokenError as error:
            return str(error)
    return ""


def _too_short(says: int, there: int) -> _BrokenError:
    return _BrokenError(f"is to be {says:,} bytes long, and {there:,} are there; was its download stopped?")


def _damaged(at: int) -> _BrokenError:
    return _BrokenError(f"is damaged at byte {at:,}: its parts do not fit into each other")


# --- Matroska and WebM --------------------------------------------------------------------------------------


def _check_matroska(data: mmap.mmap) -> None:
    segment = next((part for part in _elements(data, 0, len(data)) if part.name == _SEGMENT), None)
    if segment is None:
        raise _damaged(0)
    if segment.end == _OPEN:
        return
    if segment.end > len(data):
        raise _too_short(segment.end, len(data))
    tracks: set[int] = set()
    for part in _elements(data, segment.start, segment.end):
        if part.name not in _IN_SEGMENT or part.end > segment.end:
            raise _damaged(part.start)
        if part.end == _OPEN:
            return
        if (
            data[part.start : part.start + 2] == b"\xbf\x84"
        ):  # a checksum of all that follows it in its parent
            first = part.start + 6
            if zlib.crc32(data[first : part.end]) != int.from_bytes(data[part.start + 2 : first], "little"):
                raise _damaged(part.start)
        if part.name == _TRACKS:
            tracks = {
                int.from_bytes(data[field.start : field.end], "big")
                for entry in _elements(data, part.start, part.end)
                if entry.name == _TRACK
                for field in _elements(data, entry.start, entry.end)
                if field.name == _TRACK_NUMBER
            }
        if part.name == _CLUSTER:
            for inner in _elements(data, part.start, part.end):
                if inner.name not in _IN_CLUSTER:
                    raise _damaged(inner.start)
                _check_inner(data, inner, part.end, tracks)


def _check_inner(data: mmap.mmap, part: _Part, end: int, tracks: set[int]) -> None:
    """Of what a cluster holds: numbers are short, and blocks are of a track; FFmpeg drops one that is of none."""
    if part.end > end or (part.name in _NUMBERS and part.end > part.start + 8):
        raise _damaged(part.start)
    if part.name in _BLOCKS and tracks:
        track, _ = _value(data, part.start)
        if track not in tracks:
            raise _damaged(part.start)
    if part.name == _GROUP:
        for inner in _elements(data, part.start, part.end):
            _check_inner(data, inner, part.end, tracks)


def _elements(data: mmap.mmap, at: int, end: int) -> Iterator[_Part]:
    """One after the other, until one whose length is not known."""
    while at < end:
        name, after = _number(data, at, 4)
        size, start = _value(data, after)
        if size == (1 << 7 * (start - after)) - 1:
            yield _Part(name, start, _OPEN)
            return
        yield _Part(name, start, start + size)
        at = start + size


def _value(data: mmap.mmap, at: int) -> tuple[int, int]:
    """A number without the bit that tells its length, and where it ends."""
    number, end = _number(data, at, 8)
    return number & (1 << 7 * (end - at)) - 1, end


def _number(data: mmap.mmap, at: int, longest: int) -> tuple[int, int]:
    """A number with the bit that tells its length, and where it ends."""
    length = 9 - data[at].bit_length() if at < len(data) else 9
    if length > longest or at + length > len(data):
        raise _damaged(at)
    return int.from_bytes(data[at : at + length], "big"), at + length


# --- AVI ----------------------------------------------------------------------------------------------------


def _check_avi(data: mmap.mmap) -> None:
    """Chunks fit, and there are as many of the first video stream as its header says; of lost ones, none is seen."""
    at, says, found = 0, 0, 0
    video = b"00"
    while data[at : at + 4] == RIFF and data[at + 8 : at + 12] in (b"AVI ", b"AVIX"):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if size in _UNFINISHED:
            return
        end = at + 8 + size
        if end > len(data):
            raise _too_short(end, len(data))
        for name, start, stop in _chunks(data, at + 12, end):
            kind = data[start : start + 4] if name == b"LIST" else b""
            if kind == b"hdrl" and not says:
                video, says = _video_of(data, start + 4, stop)
            if kind == b"movi":
                found += _count(data, start + 4, stop, video)
        at = end + end % 2
    if 0 < found < says:
        raise _BrokenError(f"its header says {says} frames, and {found} are there; is it damaged?")


def _chunks(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while at + 8 <= end:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if not name.isascii() or not name.decode().isprintable() or at + 8 + size > end:
            raise _damaged(at)
        yield name, at + 8, at + 8 + size
        at += 8 + size + size % 2


def _video_of(data: mmap.mmap, at: int, end: int) -> tuple[bytes, int]:
    """How chunks of the first video stream begin, and how many its header says there are."""
    lists = (part for part in _chunks(data, at, end) if data[part[1] : part[1] + 4] == b"strl")
    for number, (_, start, stop) in enumerate(lists):
        for name, first, last in _chunks(data, start + 4, stop):
            if name == b"strh" and data[first : first + 4] == b"vids" and last - first >= 36:
                return b"%02x" % number, int.from_bytes(data[first + 32 : first + 36], "little")
    return b"00", 0


def _count(data: mmap.mmap, at: int, end: int, video: bytes) -> int:
    """Chunks of a stream, the empty ones too: a frame that is shown once more."""
    found = 0
    for name, start, stop in _chunks(data, at, end):
        if not _IN_MOVI.fullmatch(name):
            raise _damaged(start - 8)
        if name == b"LIST":
            found += _count(data, start + 4, stop, video)
        found += name[:2].lower() == video and name[2:].lower() in (b"dc", b"db")
    return found
