"""Operators beside their papers' formulas, computed a second time in the plainest way."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

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
    assert y.stride() == x.stride()
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-10)
    cotangent = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    wanted = [x, *op.parameters()]
    ours = torch.autograd.grad(y, wanted, cotangent)
    theirs = torch.autograd.grad(expected, wanted, cotangent, materialize_grads=True)
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


def along_time(z: Tensor, weight: Tensor) -> Tensor:
    """A convolution over time in loops: (N, T, C) with (C', C, k) -> (N, T, C'); zeros outside the clip."""
    t, k = z.shape[1], weight.shape[2]
    out = []
    for frame in range(t):
        total = torch.zeros(len(z), weight.shape[0], dtype=z.dtype)
        for d in range(k):
            if 0 <= frame + d - k // 2 < t:
                total = total + z[:, frame + d - k // 2] @ weight[:, :, d].t()
        out.append(total)
    return torch.stack(out, dim=1)


def depthwise(image: Tensor, weight: Tensor) -> Tensor:
    """Each channel of (N, C, H, W) with its own (C, 1, 3, 3), by nine moved copies."""
    n, c, h, w = image.shape
    wide = torch.zeros(n, c, h + 2, w + 2, dtype=image.dtype)
    wide[:, :, 1:-1, 1:-1] = image
    return sum(
        weight[:, 0, i, j, None, None] * wide[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3)
    )


def convolution(image: Tensor, weight: Tensor, stride: int, padding: int, groups: int = 1) -> Tensor:
    """(N, C, H, W) with (C', C / groups, k, k), a moved copy for each place of the kernel."""
    n, c, h, w = image.shape
    wide = torch.zeros(n, c, h + 2 * padding, w + 2 * padding, dtype=image.dtype)
    wide[:, :, padding : padding + h, padding : padding + w] = image
    size = weight.shape[2]
    rows, columns = ((side + 2 * padding - size) // stride + 1 for side in (h, w))
    kernel = weight.unflatten(0, (groups, -1))
    total = torch.zeros(n, *kernel.shape[:2], rows, columns, dtype=image.dtype)
    for i in range(size):
        for j in range(size):
            moved = wide[:, :, i : i + rows * stride : stride, j : j + columns * stride : stride]
            moved = moved[:, :, :rows, :columns].unflatten(1, (groups, -1))
            total = total + torch.einsum("ngihw,goi->ngohw", moved, kernel[..., i, j])
    return total.flatten(1, 2)


def normed(norm: nn.Module, z: Tensor, channel: int = -1) -> Tensor:
    """Batch norm by hand, over all axes but that of the channel, in the mode that the layer is in."""
    z = z.movedim(channel, -1)
    flat = z.reshape(-1, z.shape[-1])
    mean, var = norm.running_mean, norm.running_var
    if norm.training:
        mean = flat.sum(0) / len(flat)
        var = ((flat - mean) ** 2).sum(0) / len(flat)
    scaled = (z - mean) / (var + norm.eps) ** 0.5 * norm.weight + norm.bias
    return scaled.movedim(-1, channel)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())
