"""Cropping, resizing and normalising clips.

Frames are (T, H, W, 3) uint8 as they come from the decoder. Cropped clips are (T, 3, crop, crop) uint8 with
the channels last in memory, as the decoder wrote them: no copy on the way, and convolutions like it.

Source: the multi-scale corner crops of TSN, as the public TSN and TSM code does them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.model.pixels import MEAN, STD

if TYPE_CHECKING:  # counting the frames of a data set needs no torch, and 200 MiB less
    from torch import Tensor

OFFSETS = (
    *((0, 0), (4, 0), (0, 4), (4, 4), (2, 2)),  # corners and centre
    *((0, 2), (4, 2), (2, 4), (2, 0)),  # middles of the edges
    *((1, 1), (3, 1), (1, 3), (3, 3)),  # quarter points
)
"""Where a training crop may lie: (x, y) in quarters of the free room."""


def crop_sizes(base: int, crop: int, scales: Sequence[float]) -> list[tuple[int, int]]:
    """Widths and heights that a training crop may have, in pixels.

    Sizes are base x scale. One that nearly is the output size becomes it, which saves a blurring resize:
    within 3 pixels at 224, and in proportion elsewhere. A width and a height are at most one scale apart.

    Args:
        base: the shorter side of the frames.
        crop: the side of the output.
    """
    sizes = [int(base * scale) for scale in scales]
    sizes = [crop if abs(size - crop) < 3 * crop / 224 else size for size in sizes]
    return [(w, h) for i, w in enumerate(sizes) for j, h in enumerate(sizes) if abs(i - j) <= 1]


def draw_crop(
    height: int, width: int, crop: int, scales: Sequence[float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A random training crop: top, left, height, width, in pixels."""
    sizes = crop_sizes(min(height, width), crop, scales)
    size, offset = rng.integers((len(sizes), len(OFFSETS)))
    w, h = sizes[size]
    x, y = OFFSETS[offset]
    return y * ((height - h) // 4), x * ((width - w) // 4), h, w


def train_crop(frames: np.ndarray, crop: int, scales: Sequence[float], rng: np.random.Generator) -> Tensor:
    """The same random crop of every frame, resized to the output: (T, H, W, 3) -> (T, 3, crop, crop)."""
    top, left, h, w = draw_crop(frames.shape[1], frames.shape[2], crop, scales, rng)
    return _resize(frames[:, top : top + h, left : left + w], crop, crop)


def place_crop(frames: np.ndarray, crop: int, along: float, across: float) -> Tensor:
    """A square of every frame: (T, H, W, 3) -> (T, 3, crop, crop), cut and not resampled.

    Args:
        along: where on the longer side, as a part of the free room; 0 is left (top in portrait), 1 right (bottom).
        across: the same on the shorter side.

    Raises:
        ValueError: a frame is smaller than the crop.
    """
    height, width = frames.shape[1:3]
    if min(height, width) < crop:
        raise ValueError(f"cannot crop {crop} pixels from frames of {width}x{height}")
    x, y = (along, across) if width >= height else (across, along)
    top, left = int((height - crop) * y), int((width - crop) * x)
    return _resize(frames[:, top : top + crop, left : left + crop], crop, crop)


def resize_short_side(frames: np.ndarray, short_side: int) -> np.ndarray:
    """Frames whose shorter side is `short_side` pixels, the aspect kept: (T, H, W, 3) -> (T, H', W', 3)."""
    height, width = resized(frames.shape[1], frames.shape[2], short_side)
    if (height, width) == frames.shape[1:3]:
        return frames
    return _resize(frames, height, width).permute(0, 2, 3, 1).numpy()


def resized(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width after `resize_short_side`, in pixels."""
    scale = short_side / min(height, width)
    return round(height * scale), round(width * scale)


def normalise(clips: Tensor) -> Tensor:
    """(x / 255 - mean) / std per channel: (N, T, 3, H, W) uint8 -> float32, same device, channels last in memory."""
    import torch

    pixels = clips.movedim(-3, -1)  # (N, T, H, W, 3)
    # Row by row, with the factors repeated: an inner loop of 3 channels takes a CPU several times as long.
    rows = pixels.reshape(-1, pixels.shape[-2] * 3).float()
    mean, std = (torch.tensor(x, device=clips.device).repeat(pixels.shape[-2]) for x in (MEAN, STD))
    torch.addcmul(-mean / std, rows, 1 / (255 * std), out=rows)
    return rows.view(pixels.shape).movedim(-1, -3)


def _resize(frames: np.ndarray, height: int, width: int) -> Tensor:
    """(T, H, W, 3) -> (T, 3, height, width), bilinear and antialiased like PIL, the public code's resize."""
    import torch
    from torch.nn import functional

    clip = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    if clip.shape[2:] == (height, width):
        return clip
    return functional.interpolate(clip, size=(height, width), mode="bilinear", antialias=True)
