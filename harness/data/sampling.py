"""Which frames of a video a clip is made of: TSN segment sampling.

Source: Temporal Segment Networks, as the public TSN and TSM code does it, counted from 0.
n frames in the video, T frames in the clip, one from each of T = `segments` equal segments.
"""

from __future__ import annotations

import numpy as np


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


def _check(n: int, segments: int) -> None:
    if n < 1 or segments < 1:
        raise ValueError(f"cannot draw {segments} frames from a video of {n}; both must be at least 1")
