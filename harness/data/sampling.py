"""Which frames of a video a clip is made of: TSN's segment sampling, or dense sampling.

Source: Temporal Segment Networks, as the public TSN and TSM code does it, counted from 0.
n frames in the video, T frames in the clip: one from each of T = `segments` equal segments, or every
(64 // T)-th one of a window of 64 frames.
"""

from __future__ import annotations

import numpy as np

SAMPLING_WORDS = {
    "segment": "one from each of T equal segments: "
    "at random in training, the middle one (of a second clip the first one) at test",
    "dense": "every (64 // T)-th of a window of 64 frames: "
    "a random window in training, windows spread evenly (one alone in the middle) at test",
}
"""The ways of sampling, in words."""

WINDOW = 64
"""Frames that a densely sampled clip spans."""


def segment_train(n: int, segments: int, rng: np.random.Generator) -> np.ndarray:
    """One random frame from each segment, (T,) int64, in order.

    Segments are n // T frames long, so up to T - 1 frames at the end of the video are never drawn (as in the
    public code). A video of fewer than T frames gives its first frame T times.

    Raises:
        ValueError: n or segments is below 1.
    """
    _check(n, segments)
    length = n // segments
    if length > 0:
        return np.arange(segments) * length + rng.integers(length, size=segments)
    return np.zeros(segments, dtype=np.int64)


def segment_test(n: int, segments: int, *, second: bool = False) -> np.ndarray:
    """The middle frame of each segment, (T,) int64; `second`: its first frame (the two-clip protocol).

    Raises:
        ValueError: n or segments is below 1.
    """
    _check(n, segments)
    length = n / segments
    offset = 0.0 if second else length / 2
    return (offset + length * np.arange(segments)).astype(np.int64)


def dense_train(n: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Every (64 // T)-th frame of a random window, (T,) int64; a shorter video starts again at its end.

    Any window that fits may be drawn (the public code never draws the last one).

    Raises:
        ValueError: n or frames is below 1, or frames is above 64.
    """
    _check(n, frames)
    return _window(n, frames, int(rng.integers(max(0, n - WINDOW) + 1)))


def dense_test(n: int, frames: int, clips: int = 1) -> np.ndarray:
    """Windows spread evenly from the first to the last that fits; a single one lies in the middle: (clips, T).

    Raises:
        ValueError: n, frames or clips is below 1, or frames is above 64.
    """
    _check(n, frames)
    room = max(0, n - WINDOW)
    starts = [room // 2] if clips == 1 else np.linspace(0, room, clips).astype(int)
    return np.stack([_window(n, frames, int(start)) for start in starts])


def frames_at_test(n: int, frames: int, sampling: str, clips: int) -> np.ndarray:
    """The frames of every test clip of a video, (clips, T) int64.

    Raises:
        ValueError: no such sampling, or it has not so many clips.
    """
    if sampling == "dense":
        return dense_test(n, frames, clips)
    if sampling != "segment" or not 1 <= clips <= 2:
        raise ValueError(f"no {sampling} sampling with {clips} clips a video")
    return np.stack([segment_test(n, frames, second=second) for second in (False, True)[:clips]])


def _window(n: int, frames: int, start: int) -> np.ndarray:
    if frames > WINDOW:
        raise ValueError(f"cannot draw {frames} frames from a window of {WINDOW}")
    return (start + np.arange(frames) * (WINDOW // frames)) % n


def _check(n: int, segments: int) -> None:
    if n < 1 or segments < 1:
        raise ValueError(f"cannot draw {segments} frames from a video of {n}; both must be at least 1")
