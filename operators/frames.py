"""What several operators do with the frames of a clip, in either memory format.

Shape letters as in operators/base.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from operators.stencil import Span, layout, stencil
from operators.stencil.exported import exported_by_clip


def check_odd(kernel_size: int) -> None:
    """Raises ValueError unless a kernel has a middle."""
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size: {kernel_size} is not an odd size of at least 1")


def narrowed(channels: int, reduction: int) -> int:
    """How many of C channels, or of T frames, a squeeze leaves: at least one. ValueError for a reduction below 1."""
    if reduction < 1:
        raise ValueError(f"reduction: {reduction} is below 1")
    return max(1, channels // reduction)


def mixed(x: Tensor, matrix: Tensor) -> Tensor:
    """Frames as sums of frames: y[s] = sum over t of matrix[s, t] x[t], alike at every channel and pixel.

    Args:
        x: (N, T, C, H, W) in either memory format.
        matrix: (S, T), S = T.

    Returns:
        (N, T, C, H, W) in x's dtype and memory format.
    """
    x = layout.canonical(x)
    v = layout.view(x, layout.is_channels_last(x))
    each = matrix.to(x.dtype).expand(v.shape[0], *matrix.shape)  # not len: in a file N is open
    return layout.like(torch.bmm(each, v.flatten(2)).view(v.shape).to(x.dtype), x)


def on_images(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A layer for images on every frame, (N, T, C, H, W) -> (N, T, C', H', W'); frames share its statistics."""
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def along_time(layer: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """A layer for sequences, (N, C, T), on (N, T, C): means of frames, mostly."""
    return layer(z.transpose(1, 2)).transpose(1, 2)


def convolved(x: Tensor, weight: Tensor) -> Tensor:
    """A dense convolution over time at every pixel; zeros outside the clip.

    Args:
        x: (N, T, C, H, W) in either memory format.
        weight: (C', C, k, 1), k odd.

    Returns:
        (N, T, C', H, W), whose memory may have any order.
    """
    x = layout.canonical(x)
    # A 2D convolution over (T, H*W). With channels innermost this view is free and already channels_last.
    rows = x.permute(0, 2, 1, 3, 4).flatten(3)  # (N, C, T, H*W)
    mixed = F.conv2d(rows, weight, padding=(weight.shape[2] // 2, 0))
    return mixed.unflatten(3, x.shape[3:]).permute(0, 2, 1, 3, 4)


def tokens(x: Tensor) -> Tensor:
    """Every pixel as a sequence of frames: (N, T, C, H, W) -> (N H W, T, C)."""
    return x.permute(0, 3, 4, 1, 2).flatten(0, 2)


def untokened(z: Tensor, x: Tensor) -> Tensor:
    """`tokens` back into x's shape, dtype and memory format."""
    n, t, c, h, w = x.shape
    back = z.view(n, h, w, t, c).permute(0, 3, 4, 1, 2).to(x.dtype)
    return layout.in_format(back, layout.is_channels_last(x))


def ahead(x: Tensor, by: int = 1) -> Tensor:
    """x[t + by] for any x of (N, T, ...); zeros outside the clip."""
    t = x.shape[1]
    moved = x[:, max(0, by) : max(0, t + min(0, by))]
    before, after = (min(t, max(0, -by)), min(t, max(0, by)))
    return F.pad(moved, [0, 0] * (x.dim() - 2) + [before, after])


def filtered_by_clip(
    x: Tensor, tables: Tensor, spans: Sequence[Span], *, path: str, taps: int | None = None
) -> Tensor:
    """`stencil`, each clip with a table of its own: clips stand side by side as channels.

    Args:
        x: (N, T, C, H, W) in either memory format.
        tables: (N, 2R + 1, C).
        spans: of one clip's table.
        path: the stencil's.
        taps: of one clip; see `stencil`.

    Returns:
        (N, T, C, H, W) in x's dtype and memory format.
    """
    if layout.is_exporting():
        return exported_by_clip(x, tables)
    x = layout.canonical(x)
    n, t, c, h, w = x.shape
    table = tables.transpose(0, 1).flatten(1)
    all_taps = None if taps is None else taps * n
    if layout.is_channels_last(x):
        wide = x.permute(1, 3, 4, 0, 2).reshape(1, t, h, w, n * c).permute(0, 1, 4, 2, 3)
    else:
        wide = x.transpose(0, 1).reshape(1, t, n * c, h, w)
    y = stencil(wide, table, list(spans) * n, path=path, taps=all_taps)
    y = y.view(t, n, c, h, w) if y.is_contiguous() else y[0].unflatten(1, (n, c))
    return layout.like(layout.in_format(y.transpose(0, 1), layout.is_channels_last(x)), x)
