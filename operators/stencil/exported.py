"""The stencil while torch.export looks on: in operations that every runtime has."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def exported(x: Tensor, table: Tensor) -> Tensor:
    """The same numbers as any path, up to the last bits, by one depthwise convolution.

    The clip is an image of T x P pixels, whose stencil is a convolution of 2R + 1 by 1 with a group for each channel.

    Args:
        x: (N, T, C, H, W).
        table: (2R + 1, C).
    """
    n, t, c, h, w = x.shape
    image = x.reshape(n, t, c, h * w).transpose(1, 2)  # (N, C, T, P)
    kernel = table.to(x.dtype).t().reshape(c, 1, len(table), 1)
    mixed = F.conv2d(image, kernel, padding=(len(table) // 2, 0), groups=c)
    return mixed.transpose(1, 2).reshape(n, t, c, h, w)


def exported_by_clip(x: Tensor, tables: Tensor) -> Tensor:
    """Each clip with a table of its own, as a sum of shifted clips: a convolution would need a group for each channel
    of each clip, and in a file the number of clips is open.

    Args:
        x: (N, T, C, H, W).
        tables: (N, 2R + 1, C).
    """
    t, rows = x.shape[1], tables.shape[1]
    padded = F.pad(x, (0, 0, 0, 0, 0, 0, rows // 2, rows // 2))
    taps = tables.to(x.dtype)[:, :, None, :, None, None]
    y = padded[:, :t] * taps[:, 0]
    for row in range(1, rows):
        y = y + padded[:, row : row + t] * taps[:, row]
    return y
