"""How a clip tensor lies in memory, and where a table of taps is zero. Shape letters as in operators/base.py.

Frames are outermost in both memory formats, so no path ever permutes: contiguous clips are seen as (N, T, C, P),
channels_last ones as (N, T, P, C), P = H*W, both without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_is_exporting = getattr(
    torch.compiler, "is_exporting", torch.compiler.is_compiling
)  # torch 2.6 has the latter alone


def is_exporting() -> bool:
    """Whether torch.export looks on, not torch.compile, which in torch 2.13 and older says that it exports too."""
    return _is_exporting() and not torch.compiler.is_dynamo_compiling()


class Span(NamedTuple):
    """Neighbouring channels whose taps stand in the same rows of the table: first, first + step, ... last."""

    channels: int
    first: int
    last: int
    step: int

    @property
    def rows(self) -> range:
        return range(self.first, self.last + 1, self.step)


def taps_of(spans: Sequence[Span]) -> int:
    """Multiply-adds for one pixel of one frame, all channels together."""
    return sum(span.channels * len(span.rows) for span in spans)


def mirrored(spans: Sequence[Span], rows: int) -> list[Span]:
    """The spans of the table flipped upside down, which filters gradients backwards."""
    return [Span(s.channels, rows - 1 - s.last, rows - 1 - s.first, s.step) for s in spans]


def is_channels_last(x: Tensor) -> bool:
    """Whether the channels of (N, T, C, H, W) are innermost; False where both formats hold."""
    return not x.is_contiguous() and x.permute(0, 1, 3, 4, 2).is_contiguous()


def canonical(x: Tensor) -> Tensor:
    """x itself where its memory has one of the two formats, else a contiguous copy."""
    return x if is_channels_last(x) else x.contiguous()


def in_format(x: Tensor, channels_last: bool) -> Tensor:
    """x itself where its memory has the format asked for, else a copy that has."""
    if not channels_last:
        return x.contiguous()
    return x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)


def view(x: Tensor, channels_last: bool) -> Tensor:
    """(N, T, C, H, W) in that format -> (N, T, C, P), or (N, T, P, C); no copy."""
    n, t, c, h, w = x.shape
    if channels_last:
        return x.permute(0, 1, 3, 4, 2).reshape(n, t, h * w, c)
    return x.reshape(n, t, c, h * w)


def like(v: Tensor, x: Tensor) -> Tensor:
    """A dense result in `view`'s shape -> x's shape and strides, also those of axes of size 1; no copy."""
    if is_exporting():  # a file knows no strides
        if v.dim() == 5:
            return v
        n, t, c, h, w = x.shape
        return v.reshape(n, t, h, w, c).permute(0, 1, 4, 2, 3) if is_channels_last(x) else v.reshape(x.shape)
    return v.as_strided(x.shape, x.stride())
