"""What a video file is, before its frames are read: which stream counts, how many frames, and who may read them.

FFmpeg is asked, through PyAV, whoever reads the frames later: one rule for all.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from harness.data.contents import why_not
from harness.data.orientation import UPRIGHT, of_matrix
from harness.errors import DataError

FORMATS = {
    "mov": (".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2"),
    "matroska": (".mkv", ".webm"),
    "avi": (".avi", ".divx"),
    "mpegts": (".ts", ".mts", ".m2ts"),
    "mpeg": (".mpg", ".mpeg", ".vob"),
    "mpegvideo": (".m1v", ".m2v"),
    "flv": (".flv",),
    "asf": (".wmv", ".asf"),
    "ogg": (".ogv", ".ogm"),
    "h264": (".h264", ".264"),
    "hevc": (".h265", ".265", ".hevc"),
    "m4v": (),
    "ivf": (".ivf",),
    "obu": (".obu",),
    "mxf": (".mxf",),
    "nut": (".nut",),
    "dv": (".dv",),
    "rm": (".rm", ".rmvb"),
    "yuv4mpegpipe": (".y4m",),
}
"""Containers that are read, by FFmpeg's names, and how their files end. FFmpeg would make a video of a picture or a
text file too."""

OPENED = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file"}
"""FFmpeg's options for whatever is opened: else a file that is a list of others, whatever its name, opens those."""

VIDEO_SUFFIXES = frozenset(suffix for several in FORMATS.values() for suffix in several)

LONGEST = 1e6
"""Seconds, eleven days: a header that tells of more is taken for damaged."""

_OPEN = {"vp8", "vp9", "av1"}


class Look(NamedTuple):
    """What a look at a file finds.

    ordinary: one stream of pictures that are 8 bits a colour, opaque, and stored as they are shown. Of such, decord and
        PyAV return the same pixels, at even sizes.
    frames: how many the container's index counts and shows; 0 where it has no index that can be relied on.
    hidden: how many more its index counts, which only serve to decode others.
    conceals: damage may be painted over, and no index tells that it is there: of AVI and Matroska with a codec other
        than VP8, VP9 and AV1, whose decoders paint nothing over.
    """

    ordinary: bool
    frames: int
    hidden: int
    conceals: bool


def look(path: str | Path) -> Look:
    """Open a video, and decode its first frame.

    Raises:
        DataError: it is no video, or its end is missing.
    """
    import av

    try:
        with av.open(str(path), options=OPENED) as container:
            stream, alone = best_stream(container, path)
            _check_duration(container, stream, path)
            frames = hidden = 0
            begins = True
            if "mov" in container.format.name:
                hidden, begins = _index(stream, path)
                frames = stream.frames - hidden if begins else 0
            eight = all(
                part.bits == 8 and not part.is_alpha for part in stream.codec_context.format.components
            )
            first = _first(container, stream, hidden)
            if first is None:
                raise DataError(f"{path}: the video has no frames")
            ordinary = alone and eight and begins and orientation(first, path) == UPRIGHT
            conceals = bool({"avi", "matroska"} & set(container.format.name.split(",")))
            return Look(
                ordinary, frames, hidden, conceals and stream.codec_context.codec.canonical_name not in _OPEN
            )
    except (av.FFmpegError, OSError, ValueError):
        raise DataError(f"{path}: {why_not(path, 'video')}") from None


def _check_duration(container: Any, stream: Any, path: str | Path) -> None:
    """A reader makes room for all frames of so long a video, and decord ends its process where there is none."""
    seconds = [abs(container.duration or 0) / 1e6]
    if stream.duration and stream.time_base:
        seconds.append(abs(float(stream.duration * stream.time_base)))
    if max(seconds) > LONGEST:
        raise DataError(f"{path}: says that it lasts {max(seconds) / 86400:.0f} days; it is damaged")


def best_stream(container: Any, path: str | Path) -> tuple[Any, bool]:
    """The stream that FFmpeg takes for the best, on one thread; and whether there is no other. A cover is none.

    Raises:
        DataError: there is none, or it cannot be decoded here.
    """
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not FORMATS.keys() & set(container.format.name.split(",")) or not streams:
        text = why_not(path, "video")
        if container.streams.audio and "it is" not in text:
            text = "cannot be read as a video: it is sound alone"
        raise DataError(f"{path}: {text}")
    best = container.streams.best("video")
    if _is_cover(best):
        best = streams[0]
    if best.codec_context is None or best.codec_context.format is None:
        raise DataError(f"{path}: {why_not(path, 'video')}")
    best.codec_context.thread_count = 1
    return best, len(streams) == 1


def _is_cover(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _index(stream: Any, path: str | Path) -> tuple[int, bool]:
    """Of an MP4: how many of its frames are never shown, and whether it begins with one that needs no other.

    Raises:
        DataError: its index counts frames that lie beyond the file's end.
    """
    size, entries = os.path.getsize(path), list(stream.index_entries)
    there = sum(entry.size > 0 and entry.pos + entry.size <= size for entry in entries)
    if there < len(entries):
        text = f"its index says {len(entries)} frames, and the file holds {there} of them; was its download stopped?"
        raise DataError(f"{path}: {text}")
    return sum(entry.is_discard for entry in entries), not entries or bool(entries[0].is_keyframe)


def _first(container: Any, stream: Any, hidden: int) -> Any:
    """The first frame that is shown, None where there is none."""
    if not hidden:  # the first packet alone, at once: else a decoder waits for those that are shown before it
        for packet in container.demux(stream):
            if packet.size:
                if frames := stream.decode(packet) or stream.decode(None):
                    return frames[0]
                break
        container.seek(0)
    return next(container.decode(stream), None)


def orientation(frame: Any, path: str | Path) -> int:
    """How a decoded frame is to be turned, 1 to 8.

    Raises:
        DataError: by something else than quarter turns and mirrors.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return UPRIGHT
    found = of_matrix(bytes(matrix))
    if found is None:
        raise DataError(
            f"{path}: is to be shown turned by {frame.rotation} degrees; only quarter turns are read"
        )
    return found


def hidden_frames(path: str | Path) -> int:
    """How many of the frames that an MP4 counts are never shown."""
    import av

    try:
        with av.open(str(path), options=OPENED) as container:
            return sum(entry.is_discard for entry in best_stream(container, path)[0].index_entries)
    except (av.FFmpegError, OSError, ValueError):
        return 0  # who reads it says what is wrong
