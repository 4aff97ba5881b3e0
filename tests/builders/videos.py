"""Videos whose frames carry their own number, in many encodings."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

FRAMES = 48
BITS = 6
X265 = "pools=none:frame-threads=1:log-level=none"
VPX = {"deadline": "realtime", "cpu-used": "8"}
OPEN = "open-gop=1:scenecut=0"
CLOSED = "open-gop=0:scenecut=0"

ENCODINGS: dict[str, tuple[str, dict[str, str]]] = {
    "h264-without-b-frames.mp4": ("libx264", {"bf": "0", "g": "250"}),
    "h264-one-group.mp4": ("libx264", {"bf": "3", "g": "250"}),
    "h264-closed-groups.mp4": ("libx264", {"bf": "2", "g": "12", "x264-params": CLOSED}),
    "h264-open-groups.mp4": ("libx264", {"bf": "3", "g": "12", "x264-params": OPEN}),
    "h264-variable-rate.mp4": ("libx264", {"bf": "2", "g": "12"}),
    "h264-open-groups.mkv": ("libx264", {"bf": "3", "g": "12", "x264-params": OPEN}),
    "h264-variable-rate.mkv": ("libx264", {"bf": "2", "g": "12"}),
    "h264-b-frames.avi": ("libx264", {"bf": "2", "g": "12"}),
    "h264-open-groups.mov": ("libx264", {"bf": "3", "g": "12", "x264-params": OPEN}),
    "h264.ts": ("libx264", {"bf": "2", "g": "12"}),
    "h264.flv": ("libx264", {"bf": "2", "g": "12"}),
    "hevc-closed-groups.mp4": ("libx265", {"x265-params": f"bframes=2:keyint=12:{CLOSED}:{X265}"}),
    "hevc-open-groups.mp4": ("libx265", {"x265-params": f"bframes=3:keyint=12:{OPEN}:{X265}"}),
    "hevc-variable-rate.mp4": ("libx265", {"x265-params": f"bframes=2:keyint=12:{X265}"}),
    "hevc-open-groups.mkv": ("libx265", {"x265-params": f"bframes=3:keyint=12:{OPEN}:{X265}"}),
    "mpeg4-without-b-frames.avi": ("mpeg4", {"g": "12"}),
    "mpeg4-with-b-frames.avi": ("mpeg4", {"bf": "2", "g": "12"}),
    "mpeg4-with-b-frames.mp4": ("mpeg4", {"bf": "2", "g": "12"}),
    "mpeg4-with-b-frames.mkv": ("mpeg4", {"bf": "2", "g": "12"}),
    "mjpeg.avi": ("mjpeg", {}),
    "mpeg2.mpg": ("mpeg2video", {"bf": "2", "g": "12"}),
    "mpeg2.ts": ("mpeg2video", {"bf": "2", "g": "12"}),
    "vp8.webm": ("libvpx", VPX),
    "vp8-hidden-frames.webm": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "5"}),
    "vp9.webm": ("libvpx-vp9", VPX),
    "vp9-hidden-frames.webm": ("libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}),
    "vp9-variable-rate.webm": ("libvpx-vp9", VPX),
    "vp9.mp4": ("libvpx-vp9", VPX),
}
PACKED = "mpeg4-packed-b-frames.avi"  # as DivX and XviD wrote them: what UCF101 and HMDB51 are made of


def numbered_frames(count: int = FRAMES) -> np.ndarray:
    """Frame i shows the bits of i as black and white columns, 16 pixels wide: (count, 64, 96, 3)."""
    bits = (np.arange(count)[:, None] >> np.arange(BITS)) & 1
    columns = np.repeat(bits * 255, 16, axis=1).astype(np.uint8)
    return np.broadcast_to(columns[:, None, :, None], (count, 64, 16 * BITS, 3)).copy()


def numbers_of(frames: np.ndarray) -> list[int]:
    width = frames.shape[2] // BITS
    columns = frames.mean(axis=(1, 3))[:, width // 2 :: width]
    return ((columns > 127) << np.arange(BITS)).sum(axis=1).tolist()


def write_video(path: Path, frames: np.ndarray, codec: str, options: dict[str, str], **how: Any) -> Path:
    """Encode at 12 frames a second, or, `variable`, each frame shown for 3 to 24 hundred-twentieths of a second."""
    if codec not in av.codecs_available:
        pytest.skip(f"this build of PyAV has no encoder {codec}")
    ticks = np.random.default_rng(0).integers(3, 25, len(frames)).cumsum().tolist()
    with av.open(str(path), "w") as output:
        rate = 120 if how.get("variable") else 12
        stream: Any = output.add_stream(codec, rate=rate, options={"threads": "1"} | options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = how.get("pix_fmt", "yuvj420p" if codec == "mjpeg" else "yuv420p")
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if how.get("variable"):
                frame.pts, frame.time_base = ticks[number], Fraction(1, 120)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def write_packed(path: Path) -> Path:
    """MPEG-4 with each B-frame in the packet of the frame before it, and an empty packet where it was."""
    plain = path.with_suffix(".plain.avi")
    options = {"bf": "1", "g": "12", "b_strategy": "0", "sc_threshold": "1000000000"}
    write_video(plain, numbered_frames(), "mpeg4", options)
    start, group, user_data = b"\0\0\1\xb6", b"\0\0\1\xb3", b"\0\0\1\xb2DivX503b1393p"
    with av.open(str(plain)) as source, av.open(str(path), "w") as output:
        stream = source.streams.video[0]
        packets: list[bytes] = []
        for data in (bytes(packet) for packet in source.demux(stream) if packet.size):
            if data[data.index(start) + 4] >> 6 == 2:  # a B-frame
                packets[-1] += data
                data = start + b"\x50\x7f\x7f"
            packets.append(data)
        head = min(packets[0].index(mark) for mark in (start, group) if mark in packets[0])
        packets[0] = packets[0][:head] + user_data + packets[0][head:]
        copy = output.add_stream_from_template(stream)
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = copy, number, number, stream.time_base
            output.mux(packet)
    plain.unlink()
    return path


def numbered(name: str, folder: Path) -> Path:
    """The numbered video of an encoding, written when first asked for."""
    path = folder / name
    if not path.exists():
        if name == PACKED:
            return write_packed(path)
        write_video(path, numbered_frames(), *ENCODINGS[name], variable="variable-rate" in name)
    return path


def with_matrix(source: Path, path: Path, a: int, b: int, c: int, d: int) -> Path:
    """A copy of an MP4 whose display matrix is [[a b 0] [c d 0] [0 0 1]], written into its track header by hand.

    ISO/IEC 14496-12, 8.3.2: nine big-endian numbers, the first eight of them 16.16, end 8 bytes before the box does.
    """
    data = bytearray(source.read_bytes())
    header = data.index(b"tkhd") - 4
    end = header + int.from_bytes(data[header : header + 4], "big") - 8
    data[end - 36 : end] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def write_streams(
    path: Path, *streams: np.ndarray, best: int | None = None, cover: int | None = None
) -> Path:
    """Several videos in one file, by their frames. best: marked as the default; cover: the one that is a cover."""
    with av.open(str(path), "w") as output:
        made: list[Any] = []
        for number, frames in enumerate(streams):
            codec = "mjpeg" if number == cover else "libx264"
            stream: Any = output.add_stream(codec, rate=12, options={"threads": "1"})
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuvj420p" if number == cover else "yuv420p"
            if number == cover:
                stream.disposition = Disposition.attached_pic
            elif best is not None:
                stream.disposition = Disposition.default if number == best else 0
            made.append(stream)
        for stream, frames in zip(made, streams, strict=True):
            for image in frames:
                output.mux(
                    stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"))
                )
            output.mux(stream.encode())
    return path
