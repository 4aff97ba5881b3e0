"""How much pixels of two frames resemble each other, within a window: what MotionSqueeze and SELFY share."""

from __future__ import annotations

import torch
from torch import Tensor


def correlations(x: Tensor, other: Tensor, window: int) -> Tensor:
    """Cosines of the features at each pixel with those around the same pixel of another frame.

    All pairs of pixels are multiplied, and those within the window are taken: the plainest way in torch, and for
    small maps the fastest. In fp32 at least.

    Args:
        x, other: (N, T, C, H, W) in either memory format.
        window: pixels along each side, odd.

    Returns:
        (N, T, H, W, window, window): of x at a pixel with `other` at that pixel + (d_y, d_x); zero outside the frame.
    """
    n, t, _, h, w = x.shape
    wide = torch.promote_types(x.dtype, torch.float32)
    device = "cpu" if x.is_meta else x.device.type  # the meta device knows no autocast
    with torch.autocast(device, enabled=False):
        a, b = (_unit(z.to(wide)).permute(0, 1, 3, 4, 2).reshape(n * t, h * w, -1) for z in (x, other))
        every = torch.bmm(a, b.transpose(1, 2))  # (N T, pixels of x, pixels of other)
    half = window // 2
    d = torch.arange(-half, half + 1, device=x.device)
    rows = torch.arange(h, device=x.device)[:, None] + d  # (H, window)
    columns = torch.arange(w, device=x.device)[:, None] + d
    inside = ((rows >= 0) & (rows < h))[:, None, :, None] & ((columns >= 0) & (columns < w))[None, :, None, :]
    where = rows.clamp(0, h - 1)[:, None, :, None] * w + columns.clamp(0, w - 1)[None, :, None, :]
    found = every.gather(2, where.view(1, h * w, -1).expand(n * t, -1, -1))
    return found.view(n, t, h, w, window, window) * inside


def _unit(x: Tensor) -> Tensor:
    """Features of length 1, as published: a small number keeps those of length 0 finite."""
    return x / ((x**2).sum(dim=2, keepdim=True) + 1e-6).sqrt()
