"""The depthwise temporal stencil that `shift`, `depthwise` and `mixtconv` share.

    y[t, c] = sum over offsets d of table[R + d, c] * x[t + d, c],    frames outside the clip are zero

`table` is dense, (2R + 1, C): a channel whose kernel is shorter, or dilated, has zeros there, so kernel size,
dilation and shift are all just tables. `Span`s say where the zeros are, so that no time is spent on them.

Frames are outermost in both memory formats, so nothing is ever permuted: contiguous clips are seen as
(N, T, C, P) and channels_last ones as (N, T, P, C), P = H*W, both without a copy. Shape letters as in
operators/base.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK_BYTES = 2 << 20  # output kept hot in the cache while all taps are added to it


class Span(NamedTuple):
    """Neighbouring channels whose taps stand in the same rows of the table: first, first + step, ... last."""

    channels: int
    first: int
    last: int
    step: int


def stencil(x: Tensor, table: Tensor, spans: Sequence[Span]) -> Tensor:
    """Filter every channel along time.

    Args:
        x: (N, T, C, H, W), contiguous or channels_last; anything else is made contiguous first.
        table: (2R + 1, C), floating point, on x's device; gradients keep its dtype.
        spans: the non-zero rows, channels in order; together all C channels.

    Returns:
        (N, T, C, H, W) in x's dtype and memory format.

    Raises:
        ValueError: the table does not fit x or the spans, or is on another device.
    """
    if x.dim() != 5:
        raise ValueError(f"x has {x.dim()} dimensions; a clip tensor is (N, T, C, H, W)")
    if table.dim() != 2 or table.shape[0] % 2 == 0 or table.shape[1] != x.shape[2]:
        raise ValueError(f"table {tuple(table.shape)} does not fit {x.shape[2]} channels as (2R + 1, C)")
    if table.device != x.device:
        raise ValueError(f"table is on {table.device}, x on {x.device}")
    if sum(span.channels for span in spans) != x.shape[2]:
        raise ValueError(f"spans cover {sum(span.channels for span in spans)} of {x.shape[2]} channels")
    flat = [number for span in spans for number in span]
    output: Tensor = torch.ops.mixtbench.stencil(x, table, flat)
    return output


def reference(x: Tensor, table: Tensor) -> Tensor:
    """The same, in the plainest words: the oracle of the tests. Any dtype, differentiable, slow."""
    reach = table.shape[0] // 2
    padded = F.pad(x, (0, 0, 0, 0, 0, 0, reach, reach))
    frames = x.shape[1]
    taps = table.to(x.dtype)[:, :, None, None]
    return torch.stack([padded[:, d : d + frames] * taps[d] for d in range(len(table))]).sum(0)


@torch.library.custom_op("mixtbench::stencil", mutates_args=())
def _stencil(x: Tensor, table: Tensor, spans: list[int]) -> Tensor:
    v, channels_last = _view(x)
    return _unview(_filter(v, table.to(x.dtype), spans, channels_last), x, channels_last)


@_stencil.register_fake
def _(x: Tensor, table: Tensor, spans: list[int]) -> Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("mixtbench::stencil_backward", mutates_args=())
def _stencil_backward(
    grad: Tensor, x: Tensor, table: Tensor, spans: list[int], table_learns: bool
) -> tuple[Tensor, Tensor]:
    v, channels_last = _view(x)
    g, g_channels_last = _view(grad)
    if g_channels_last != channels_last:  # a gradient may come back in the other format
        g = g.transpose(2, 3).contiguous()
    flipped = table.to(x.dtype).flip(0)
    top = len(table) - 1
    mirrored = [
        number
        for channels, first, last, step in _each(spans)
        for number in (channels, top - last, top - first, step)
    ]
    grad_x = _unview(_filter(g, flipped, mirrored, channels_last), x, channels_last)
    if not table_learns:
        return grad_x, table.new_empty(0)
    grad_table = (_grad_table_channels_last if channels_last else _grad_table)(v, g, len(table))
    return grad_x, grad_table.to(table.dtype)


@_stencil_backward.register_fake
def _(grad: Tensor, x: Tensor, table: Tensor, spans: list[int], table_learns: bool) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(table) if table_learns else table.new_empty(0)


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    x, table, ctx.spans = inputs
    ctx.save_for_backward(x, table)


def _backward(ctx, grad):  # type: ignore[no-untyped-def]
    x, table = ctx.saved_tensors
    learns = ctx.needs_input_grad[1]
    grad_x, grad_table = torch.ops.mixtbench.stencil_backward(grad, x, table, ctx.spans, learns)
    # A span's zeros are structural; autograd of the padding that built the table drops their gradient.
    return grad_x, grad_table if learns else None, None


_stencil.register_autograd(_backward, setup_context=_setup_context)


def _each(spans: list[int]) -> list[tuple[int, int, int, int]]:
    return list(zip(*[iter(spans)] * 4, strict=True))


def _view(x: Tensor) -> tuple[Tensor, bool]:
    """x without a copy: (N, T, C, P), or (N, T, P, C) where the memory is channels_last."""
    n, t, c, h, w = x.shape
    if not x.is_contiguous():
        inner = x.permute(0, 1, 3, 4, 2)
        if inner.is_contiguous():
            return inner.view(n, t, h * w, c), True
    return x.contiguous().view(n, t, c, h * w), False


def _unview(v: Tensor, x: Tensor, channels_last: bool) -> Tensor:
    n, t, c, h, w = x.shape
    return v.view(n, t, h, w, c).permute(0, 1, 4, 2, 3) if channels_last else v.view(n, t, c, h, w)


def _filter(v: Tensor, table: Tensor, spans: list[int], channels_last: bool) -> Tensor:
    """Forward, and with the flipped table the gradient of the input. What is fastest where was measured:
    see docs/performance.md."""
    if v.device.type == "cpu" and channels_last:
        return _filter_channels_last(v, table)
    if v.device.type == "cpu" and v.dtype in (torch.bfloat16, torch.float16):
        return _filter_banded(v, table)
    return _filter_shifted(v, table, spans, 3 if channels_last else 2)


def _filter_shifted(v: Tensor, table: Tensor, spans: list[int], channel_dim: int) -> Tensor:
    """Add one shifted, scaled copy per tap, a block of clips at a time and in place."""
    n, t = v.shape[:2]
    reach = len(table) // 2
    out = torch.empty_like(v)
    bytes_of_clip = max(1, v[0].numel() * v.element_size()) if n else 1
    clips = max(1, BLOCK_BYTES // bytes_of_clip) if v.device.type == "cpu" else max(1, n)
    for begin in range(0, n, clips):
        start = 0
        for channels, first, last, step in _each(spans):
            x = v[begin : begin + clips].narrow(channel_dim, start, channels)
            y = out[begin : begin + clips].narrow(channel_dim, start, channels)
            taps = table.narrow(1, start, channels)
            taps = taps[:, :, None] if channel_dim == 2 else taps
            rows = range(first, last + 1, step)
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
            start += channels
    return out


def _filter_banded(v: Tensor, table: Tensor) -> Tensor:
    """Each channel's T x T band matrix times its frames; (N, T, C, P). Accumulates in fp32 for bf16."""
    t, reach = v.shape[1], len(table) // 2
    band = v.new_zeros(v.shape[2], t, t)
    for d in range(max(-reach, 1 - t), min(reach, t - 1) + 1):
        band.diagonal(d, 1, 2).copy_(table[reach + d][:, None].expand(-1, t - abs(d)))
    out = torch.empty_like(v)
    for clip, into in zip(v, out, strict=True):
        torch.bmm(band, clip.transpose(0, 1), out=into.transpose(0, 1))
    return out


def _filter_channels_last(v: Tensor, table: Tensor) -> Tensor:
    """(N, T, P, C) is a channels_last image of T x P pixels: a depthwise (2R + 1) x 1 convolution of it."""
    kernel = table.t().reshape(v.shape[3], 1, len(table), 1)
    image = v.permute(0, 3, 1, 2)
    mixed = F.conv2d(image, kernel, padding=(len(table) // 2, 0), groups=v.shape[3])
    return mixed.permute(0, 2, 3, 1).contiguous()


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
    grad = torch.ops.aten.convolution_backward(
        g.permute(0, 3, 1, 2), v.permute(0, 3, 1, 2), kernel,
        None, [1, 1], [rows // 2, 0], [1, 1], False, [0, 0], c, [False, True, False],
    )[1]  # fmt: skip
    return grad.view(c, rows).t().contiguous()
