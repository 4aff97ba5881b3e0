"""The stencil in the plainest words: the oracle of the tests. Any floating dtype, any device; slow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from operators.stencil.layout import Span


def reference(x: Tensor, table: Tensor) -> Tensor:
    """y[:, t] = sum over offsets d of table[R + d] * x[:, t + d]; (N, T, C, H, W), differentiable by autograd.

    Half precision is accumulated in fp32 and rounded once.
    """
    frames, reach = x.shape[1], len(table) // 2
    wide = torch.promote_types(x.dtype, torch.float32)
    padded = F.pad(x.to(wide), (0, 0, 0, 0, 0, 0, reach, reach))
    taps = table.to(wide)[:, :, None, None]
    return sum(padded[:, d : d + frames] * taps[d] for d in range(len(table))).to(x.dtype)  # type: ignore[union-attr]


def forward(v: Tensor, table: Tensor, spans: Sequence[Span], channels_last: bool) -> Tensor:
    """A path's forward; see operators/stencil/__init__.py."""
    y = reference(_clips(v, channels_last), table).squeeze(4)
    return (y.transpose(2, 3) if channels_last else y).contiguous()


def backward(
    v: Tensor, g: Tensor, table: Tensor, spans: Sequence[Span], channels_last: bool, needs: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """A path's backward, from the definition: the derivative by x reads the mirrored table, that by each tap
    multiplies the gradient with the frame that the tap read."""
    grad_x = forward(g, table.flip(0), spans, channels_last) if needs[0] else None
    if not needs[1]:
        return grad_x, None
    wide = torch.promote_types(v.dtype, torch.float32)
    frames, reach = v.shape[1], len(table) // 2
    read = F.pad(_clips(v, channels_last).to(wide), (0, 0, 0, 0, 0, 0, reach, reach))
    grad = _clips(g, channels_last).to(wide)
    rows = [(read[:, d : d + frames] * grad).sum((0, 1, 3, 4)) for d in range(len(table))]
    return grad_x, torch.stack(rows)


def _clips(v: Tensor, channels_last: bool) -> Tensor:
    return (v.transpose(2, 3) if channels_last else v).unsqueeze(4)
