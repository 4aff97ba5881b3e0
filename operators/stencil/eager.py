"""The stencil from PyTorch's own kernels, without a compiler: the default on a CPU.

What is fastest where was measured (docs/performance.md):

- contiguous: one shifted, scaled addition per tap, in place, on pieces of the output that stay in the cache; half
  precision is widened piece by piece, so it is accumulated in fp32 and rounded once;
- channels_last: the clip seen as an image of T x P pixels, whose stencil is one depthwise convolution. Where the frames
  of an fp32 clip lie far apart that convolution misses the cache, and shifted additions on tiles of pixels win.

On a GPU, where nothing was measured yet, pieces and tiles are whole tensors; and fp32 goes through no convolution,
which would round it to TF32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from operators.stencil.layout import Span, mirrored
from operators.stencil.reference import backward as backward_as_defined

PIECE_BYTES = 2 << 20  # of output that stays in the cache while all its taps are added
FAR_BYTES = 3 << 20  # from frame to frame of a channels_last clip


def forward(v: Tensor, table: Tensor, spans: Sequence[Span], channels_last: bool) -> Tensor:
    """A path's forward; see operators/stencil/__init__.py."""
    if not channels_last:
        return _shifted(v, table, spans)
    if v.dtype == torch.float32 and (v.is_cuda or v[0, 0].numel() * v.element_size() >= FAR_BYTES):
        return _shifted_tiles(v, table, spans)
    kernel = table.to(v.dtype).t().reshape(v.shape[3], 1, len(table), 1)
    image = v.permute(0, 3, 1, 2)  # (N, C, T, P), in memory a channels_last image
    mixed = F.conv2d(image, kernel, padding=(len(table) // 2, 0), groups=v.shape[3])
    return mixed.permute(0, 2, 3, 1).contiguous()


def backward(
    v: Tensor, g: Tensor, table: Tensor, spans: Sequence[Span], channels_last: bool, needs: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """A path's backward; see operators/stencil/__init__.py."""
    grad_x = grad_table = None
    if needs[0]:
        grad_x = forward(g, table.flip(0), mirrored(spans, len(table)), channels_last)
    if needs[1]:
        if v.dtype == torch.float16:  # sums over pixels pass its largest number
            v, g = v.float(), g.float()
        if channels_last and v.is_cuda and v.dtype == torch.float32:
            grad_table = backward_as_defined(v, g, table, spans, channels_last, (False, True))[1]
        else:
            grad_table = (_grad_table_channels_last if channels_last else _grad_table)(v, g, len(table))
    return grad_x, grad_table


def _shifted(v: Tensor, table: Tensor, spans: Sequence[Span]) -> Tensor:
    """(N, T, C, P) -> the same."""
    wide = torch.promote_types(v.dtype, torch.float32)
    taps = table.to(wide)[:, :, None]
    out = torch.empty_like(v)
    for clips, channels, rows in _pieces(v, spans):
        x, y = v[clips, :, channels], out[clips, :, channels]
        if v.dtype == wide:
            _add_taps(x, taps[:, channels], rows, y)
        else:
            x = x.to(wide)
            y.copy_(_add_taps(x, taps[:, channels], rows, torch.empty_like(x)))
    return out


def _pieces(v: Tensor, spans: Sequence[Span]) -> Iterator[tuple[slice, slice, range]]:
    """Whole clips of a span's channels, or some of them where a single clip does not fit PIECE_BYTES."""
    n, t, _, p = v.shape
    on_cpu = v.device.type == "cpu"
    start = 0
    for span in spans:
        bytes_of_channel = t * p * torch.promote_types(v.dtype, torch.float32).itemsize
        width = max(1, min(span.channels, PIECE_BYTES // bytes_of_channel)) if on_cpu else span.channels
        clips = max(1, PIECE_BYTES // (bytes_of_channel * span.channels)) if on_cpu else n
        for first in range(start, start + span.channels, width):
            channels = slice(first, min(first + width, start + span.channels))
            for begin in range(0, n, clips):
                yield slice(begin, begin + clips), channels, span.rows
        start += span.channels


def _shifted_tiles(v: Tensor, table: Tensor, spans: Sequence[Span]) -> Tensor:
    """(N, T, P, C) -> the same, on tiles of pixels of one clip."""
    n, t, p, c = v.shape
    on_cpu = v.device.type == "cpu"
    clips, pixels = (1, max(1, PIECE_BYTES // (t * c * v.element_size()))) if on_cpu else (n, p)
    taps = table.to(v.dtype)
    rows = sorted({row for span in spans for row in span.rows})
    out = torch.empty_like(v)
    for clip in range(0, n, clips):
        for first in range(0, p, pixels):
            place = slice(clip, clip + clips), slice(None), slice(first, first + pixels)
            _add_taps(v[place], taps, rows, out[place])
    return out


def _add_taps(x: Tensor, taps: Tensor, rows: Iterable[int], y: Tensor) -> Tensor:
    """y[:, t] = sum over rows of taps[row] * x[:, t + row - R]; both (n, T, ...), written in place."""
    t, reach = x.shape[1], len(taps) // 2
    if reach in rows:
        torch.mul(x, taps[reach], out=y)
    else:
        y.zero_()
    for row in rows:
        d = row - reach
        if 0 < d < t:
            y[:, : t - d].addcmul_(x[:, d:], taps[row])
        elif -t < d < 0:
            y[:, -d:].addcmul_(x[:, : t + d], taps[row])
    return y


def _grad_table(v: Tensor, g: Tensor, rows: int) -> Tensor:
    """Gradient of the table, (rows, C), from (N, T, C, P): diagonals of each channel's T x T Gram matrix."""
    t, c, reach = v.shape[1], v.shape[2], rows // 2
    gram = torch.zeros(c, t, t, dtype=torch.promote_types(v.dtype, torch.float32), device=v.device)
    for clip, grad in zip(v, g, strict=True):
        gram += torch.bmm(grad.transpose(0, 1), clip.permute(1, 2, 0))
    result = gram.new_zeros(rows, c)
    for d in range(max(-reach, 1 - t), min(reach, t - 1) + 1):
        result[reach + d] = gram.diagonal(d, 1, 2).sum(-1)
    return result


def _grad_table_channels_last(v: Tensor, g: Tensor, rows: int) -> Tensor:
    """Gradient of the table, (rows, C), from (N, T, P, C)."""
    c = v.shape[3]
    kernel = v.new_zeros(c, 1, rows, 1)
    y, x = g.permute(0, 3, 1, 2), v.permute(0, 3, 1, 2)
    padding, wanted = [rows // 2, 0], [False, True, False]
    _, grad, _ = torch.ops.aten.convolution_backward(
        y, x, kernel, None, [1, 1], padding, [1, 1], False, [0, 0], c, wanted
    )
    return grad.view(c, rows).t()
