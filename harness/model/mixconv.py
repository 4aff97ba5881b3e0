"""MixConv: one depthwise convolution over height and width with several kernel sizes.

Source: Tan and Le, MixConv: Mixed Depthwise Convolutional Kernels, BMVC 2019, Sec. 3.1: what MixTConv does along time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MixConv2d(nn.Module):
    """Filters each group of channels with its own kernel size. A remainder of channels goes to the first group.

    Args:
        channels: C, at least one for each kernel size.
        stride: of height and width.
        kernel_sizes: odd.

    Shape:
        (N, C, H, W) -> (N, C, H / stride, W / stride), rounded up.

    Raises:
        ValueError: there are more kernel sizes than channels.
    """

    def __init__(self, channels: int, stride: int = 1, kernel_sizes: Sequence[int] = (3, 5, 7, 9)) -> None:
        super().__init__()
        self.out_channels = channels
        part = channels // len(kernel_sizes)
        if not part:
            raise ValueError(f"width: {channels} channels are too few for {len(kernel_sizes)} kernel sizes")
        self.groups = [channels - part * (len(kernel_sizes) - 1), *[part] * (len(kernel_sizes) - 1)]
        self.convs = nn.ModuleList(
            nn.Conv2d(group, group, size, stride, size // 2, groups=group, bias=False)
            for group, size in zip(self.groups, kernel_sizes, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(self.groups, dim=1)
        return torch.cat([conv(part) for conv, part in zip(self.convs, parts, strict=True)], dim=1)
