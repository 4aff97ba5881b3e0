"""Which way up frames are shown: the eight orientations of EXIF, also for the display matrix of a video.

A phone stores what its sensor saw and writes beside it how to turn that. Every viewer does so; decoders do not, or
only some of it: decord turns MP4 but mirrors nothing, and turns no Matroska; PyAV turns nothing.
"""

from __future__ import annotations

import numpy as np

UPRIGHT = 1

_TURNS = {  # orientation -> rows become columns; then rows and columns from the end. CIPA DC-008 (EXIF), tag 0x0112
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def upright(frames: np.ndarray, orientation: int) -> np.ndarray:
    """Frames (..., H, W, 3) as they are shown. orientation: 1 to 8, as EXIF counts them; 1 changes nothing."""
    swapped, rows, columns = _TURNS[orientation]
    if swapped:
        frames = frames.swapaxes(-3, -2)
    return np.ascontiguousarray(frames[..., :: -1 if rows else 1, :: -1 if columns else 1, :])


def of_matrix(matrix: bytes) -> int | None:
    """The orientation that a display matrix means; None for one that is not made of quarter turns and mirrors.

    Args:
        matrix: 9 int32, row by row, in FFmpeg's layout: x' = a x + c y + e, y' = b x + d y + f.
    """
    a, b, _, c, d, *_ = np.frombuffer(matrix, dtype="=i4").tolist()
    if a and d and not b and not c:
        turn = (False, d < 0, a < 0)
    elif b and c and not a and not d:
        turn = (True, b < 0, c < 0)
    else:
        return None
    return next(orientation for orientation, known in _TURNS.items() if known == turn)
