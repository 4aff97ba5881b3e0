"""Rows of frames with a caption each, as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

GAP = 3
CAPTION = 140  # pixels, left of a row


def strip(rows: Sequence[tuple[str, np.ndarray]], height: int) -> Image.Image:
    """A picture of clips, a row each.

    Args:
        rows: a caption and frames (T, H, W, 3) uint8 each; all of the same size.
        height: pixels of a frame in the picture, about: small ones are enlarged by a whole number, larger ones
            reduced to it.
    """
    frames = rows[0][1]
    scale = height / frames.shape[1] if frames.shape[1] > height else max(1, height // frames.shape[1])
    size = (round(frames.shape[2] * scale), round(frames.shape[1] * scale))
    across, down = size[0] + GAP, size[1] + GAP
    longest = max(len(clip) for _, clip in rows)
    picture = Image.new("RGB", (CAPTION + longest * across, len(rows) * down), "white")
    pen = ImageDraw.Draw(picture)
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    for row, (caption, clip) in enumerate(rows):
        pen.text((4, row * down + 4), caption, fill="black")
        for place, frame in enumerate(clip):
            at = (CAPTION + place * across, row * down)
            picture.paste(Image.fromarray(np.ascontiguousarray(frame)).resize(size, how), at)
    return picture
