"""Small videos in the containers that people have, and what can happen to their bytes."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from builders.videos import PACKED, VPX, write_packed, write_video
from harness.data.video import look_and_count, read_frames
from harness.errors import DataError

FRAMES = 40

WHOLE: dict[str, tuple[str, dict[str, str]]] = {
    "vp9.webm": ("libvpx-vp9", VPX | {"g": "12"}),
    "vp9-hidden-frames.webm": ("libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}),
    "vp8.webm": ("libvpx", VPX),
    "mpeg4.avi": ("mpeg4", {"bf": "2", "g": "12"}),
    PACKED: ("", {}),
    "h264.avi": ("libx264", {"bf": "0", "g": "12"}),
    "mjpeg.avi": ("mjpeg", {}),
    "h264.mp4": ("libx264", {"bf": "2", "g": "12"}),
    "h264.mkv": ("libx264", {"bf": "2", "g": "12"}),
}

DAMAGE = ("flipped bits", "zeros", "cut off", "cut out")

OUTCOMES = ("unreadable", "unchanged", "shorter", "other count", "other frames")
"""unchanged: the damage hits nothing that is shown. shorter: the same frames, and the last ones are not there.
The last two are what a reader must not do without a word."""


def scene(count: int = FRAMES) -> np.ndarray:
    """Something that moves over something that does not, (count, 64, 96, 3): every frame differs from every other."""
    y, x = np.mgrid[0:64, 0:96]
    frames = np.stack([np.stack([x * 2 + t, y * 3, 255 - 2 * x - t], -1) for t in range(count)]).astype(
        np.uint8
    )
    for t in range(count):
        frames[t, 8 + t : 24 + t, 10 + 2 * t % 70 : 26 + 2 * t % 70] = (250, 40, 10)
    return frames


def whole(name: str, folder: Path) -> Path:
    """The video of a name, written when first asked for."""
    path = folder / name
    if not path.exists():
        if name == PACKED:
            return write_packed(path)
        write_video(path, scene(), *WHOLE[name])
    return path


@functools.cache
def frames_of(path: Path) -> np.ndarray:
    """What a whole video shows."""
    return read_frames(path)


def damaged(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """With a kind of damage at a place that is drawn."""
    at, size = int(rng.integers(len(data))), int(rng.integers(1, max(2, len(data) // 20)))
    if kind == "cut off":
        return data[:at]
    if kind == "cut out":
        return data[:at] + data[at + size :]
    if kind == "zeros":
        return data[:at] + bytes(len(data[at : at + size])) + data[at + size :]
    changed = bytearray(data)
    for place in rng.integers(len(data), size=int(rng.integers(1, 20))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def outcome(path: Path, expected: np.ndarray) -> str:
    """Of reading it as a data set does: indexed, then read."""
    try:
        counted = look_and_count(path)
        frames = read_frames(path, np.arange(counted.frames), listed=counted.frames, special=counted.special)
    except DataError:
        return "unreadable"
    if frames.shape[1:] != expected.shape[1:]:
        return "other frames"
    common = min(len(frames), len(expected))
    same = np.array_equal(frames[:common], expected[:common])
    if same and len(frames) <= len(expected):
        return "unchanged" if len(frames) == len(expected) else "shorter"
    return "other count" if len(frames) != len(expected) else "other frames"
