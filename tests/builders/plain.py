"""Operators beside their papers' formulas, computed a second time in the plainest way."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from operators import TemporalOp


def clips(channels: int, frames: int, channels_last: bool = False, n: int = 2) -> Tensor:
    """(n, frames, channels, 5, 3) in fp64."""
    shape = (n, frames, channels, 5, 3)
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3) if channels_last else x


def trained(op: TemporalOp) -> TemporalOp:
    """In fp64, its parameters moved and its running statistics as if it had seen clips."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in op.double().parameters():
            parameter += 0.1 * torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
        for name, buffer in op.named_buffers():
            if name.endswith("running_mean"):
                buffer += 0.1 * torch.randn(buffer.shape, dtype=torch.float64, generator=generator)
            if name.endswith("running_var"):
                buffer += torch.rand(buffer.shape, dtype=torch.float64, generator=generator)
    return op


def agrees(op: TemporalOp, x: Tensor, plain: Callable[[Tensor], Tensor]) -> None:
    """The operator gives what the plain computation gives, and so do its gradients, of clips and of parameters."""
    x = x.requires_grad_()
    y, expected = op(x), plain(x)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-10)
    cotangent = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    wanted = [x, *op.parameters()]
    ours = torch.autograd.grad(y, wanted, cotangent)
    theirs = torch.autograd.grad(expected, wanted, cotangent)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-9)


def frames_of(x: Tensor, of: Callable[[int, int], Tensor]) -> Tensor:
    """A clip tensor from its images: of(t, c) is (N, H, W)."""
    return torch.stack(
        [torch.stack([of(t, c) for c in range(x.shape[2])], dim=1) for t in range(x.shape[1])], dim=1
    )


def at(x: Tensor, t: int, c: int) -> Tensor:
    """(N, H, W) of frame t and channel c; zeros outside the clip."""
    return x[:, t, c] if 0 <= t < x.shape[1] else torch.zeros_like(x[:, 0, c])
