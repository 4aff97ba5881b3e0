"""The stencil in Triton: the default on CUDA. Each number is read and written once, forward and backward.

Launches the kernels of operators/stencil/kernels.py. Backward's partial sums of the taps' gradients are added in a
fixed order, without atomics: the same bits every time on the same device.

On a CPU the kernels run in Triton's interpreter, where TRITON_INTERPRET=1 was set before this module's import.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from operators.stencil.kernels import backward_kernel, filter_kernel
from operators.stencil.layout import Span

INTERPRETED = os.environ.get("TRITON_INTERPRET", "") == "1"
WARPS = 4
ROW_ELEMENTS = 8192  # of all T frames of a program's pixels: 64 registers a thread
PROGRAMS_PER_SM = 8
OLDEST = (3, 3)
"""Triton's version, in which kernels may keep tuples; torch 2.7 brings it."""


def missing(device: torch.device) -> str:
    """Why this path cannot run here; empty where it can."""
    if tuple(map(int, triton.__version__.split(".")[:2])) < OLDEST:
        return f"it needs Triton 3.3, which comes with torch 2.7, or newer; here is {triton.__version__}"
    if device.type == "cuda" or (device.type == "cpu" and INTERPRETED):
        return ""
    return f"it is for CUDA tensors, not {device.type} (TRITON_INTERPRET=1 checks it, slowly, on a CPU)"


def forward(v: Tensor, table: Tensor, spans: Sequence[Span], channels_last: bool) -> Tensor:
    """A path's forward; see operators/stencil/__init__.py."""
    return _filter(v, table, channels_last, flip=False)


def backward(
    v: Tensor, g: Tensor, table: Tensor, spans: Sequence[Span], channels_last: bool, needs: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """A path's backward; see operators/stencil/__init__.py."""
    if not needs[1]:
        return (_filter(g, table, channels_last, flip=True) if needs[0] else None), None
    wide = torch.promote_types(v.dtype, torch.float32)
    taps = _inside(table, v.shape[1]).to(wide).contiguous()
    grid, arguments, constants = backward_launch(v, len(taps), channels_last)
    partial = v.new_empty((grid[1], *taps.shape), dtype=wide)
    grad_x = torch.empty_like(v) if needs[0] else None
    tensors = (v, g, taps, v if grad_x is None else grad_x, partial)
    with torch.cuda.device_of(v):
        backward_kernel[grid](*tensors, *arguments, **constants, NEEDS_X=needs[0], num_warps=WARPS)
    beyond = (len(table) - len(taps)) // 2  # rows of taps that never meet a frame
    grad_table = torch.nn.functional.pad(partial.sum(0), (0, 0, beyond, beyond))
    return grad_x, grad_table


def forward_launch(
    v: Tensor, rows: int, channels_last: bool
) -> tuple[tuple[int], tuple[int, ...], dict[str, Any]]:
    """Grid, sizes and compile-time constants of `filter_kernel`."""
    n, frames = v.shape[:2]
    elements = v.shape[2] * v.shape[3]
    block = _power_of_two(ROW_ELEMENTS // frames, 128, 1024)
    blocks = triton.cdiv(elements, block)
    constants = {
        "T": frames,
        "K": rows,
        "CHANNELS_LAST": channels_last,
        "BLOCK": block,
        "WIDE": _wide(v.dtype),
    }
    return (n * blocks,), (elements, *_channels_and_pixels(v, channels_last), blocks), constants


def backward_launch(
    v: Tensor, rows: int, channels_last: bool
) -> tuple[tuple[int, int], tuple[int, ...], dict[str, Any]]:
    """Grid, sizes and compile-time constants of `backward_kernel`."""
    n, frames = v.shape[:2]
    channels, pixels = _channels_and_pixels(v, channels_last)
    tile = _power_of_two(ROW_ELEMENTS // frames, 128, 512)
    across = _power_of_two(channels, 1, 64) if channels_last else tile // _power_of_two(pixels, 1, 64)
    pixel_tile, channel_tile = tile // across, across
    tiles = triton.cdiv(pixels, pixel_tile)
    columns = triton.cdiv(channels, channel_tile)
    processors = torch.cuda.get_device_properties(v.device).multi_processor_count if v.is_cuda else 1
    splits = max(1, min(n * tiles, triton.cdiv(processors * PROGRAMS_PER_SM, columns)))
    constants = {
        "T": frames,
        "K": rows,
        "CHANNELS_LAST": channels_last,
        "PIXELS": pixel_tile,
        "CHANNELS": channel_tile,
        "WIDE": _wide(v.dtype),
    }
    return (columns, splits), (n, channels, pixels, tiles), constants


def _filter(v: Tensor, table: Tensor, channels_last: bool, flip: bool) -> Tensor:
    taps = _inside(table, v.shape[1]).to(torch.promote_types(v.dtype, torch.float32)).contiguous()
    y = torch.empty_like(v)
    grid, arguments, constants = forward_launch(v, len(taps), channels_last)
    with torch.cuda.device_of(v):
        filter_kernel[grid](v, taps, y, *arguments, **constants, FLIP=flip, num_warps=WARPS)
    return y


def _inside(table: Tensor, frames: int) -> Tensor:
    """The rows whose offset is smaller than the clip: the others never meet a frame."""
    beyond = max(0, len(table) // 2 - (frames - 1))
    return table[beyond : len(table) - beyond]


def _channels_and_pixels(v: Tensor, channels_last: bool) -> tuple[int, int]:
    return (v.shape[3], v.shape[2]) if channels_last else (v.shape[2], v.shape[3])


def _power_of_two(value: int, low: int, high: int) -> int:
    """The largest one not above `value`, within bounds."""
    return min(high, max(low, 1 << max(0, value.bit_length() - 1)))


def _wide(dtype: torch.dtype) -> Any:
    return tl.float64 if dtype == torch.float64 else tl.float32
