"""Conv2Plus1D: a convolution over space, and then one over time.

Source: R(2+1)D (Tran et al., CVPR 2018), its factorised 3D convolution, without bias. It has as many parameters as the
3D convolution that it stands for, up to rounding. Like `conv3d`, it comes on top of a 2D network's own convolutions;
`ordinary` at `after_conv2` makes the network's own one the first half.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp
from operators.stencil import layout


class Conv2Plus1D(TemporalOp, name="conv2plus1d"):
    """Convolves frames, normalises, and convolves along time. Outside the clip and the frame is zero.

        u = relu(BN(W1 * x)),  W1 a 3x3 convolution, C -> M = 9 k C // (9 + k)
        y[t] = sum over |d| <= k // 2 of W2[d] u[t+d],  W2[d] in C x M

    Uses batch statistics in training.

    Args:
        channels: C.
        num_frames: T.
        kernel_size: k, odd, in frames.

    Cost:
        (9 + k) * C * M * T * H * W MACs per clip.

    Raises:
        ValueError: the size is even or below 1.
    """

    facts = Facts(
        title="R(2+1)D's convolution",
        venue="CVPR",
        year=2018,
        formula="y[t] = sum over |d| <= 1 of W2[d] u[t+d], u = relu(BN(W1 * x)), W1 3x3, C -> 9 C / 4 -> C",
        parameters="(12 C + 2) (9 C // 4)",
        macs="12 C (9 C // 4) T H W",
        reach="1",
        also=("r2plus1d", "2plus1d"),
    )

    def __init__(self, channels: int, num_frames: int, kernel_size: int = 3) -> None:
        super().__init__(channels, num_frames)
        frames.check_odd(kernel_size)
        self.reach = kernel_size // 2
        middle = 9 * kernel_size * channels // (9 + kernel_size)
        self.space = nn.Conv2d(channels, middle, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(middle)
        self.time = nn.Parameter(torch.empty(channels, middle, kernel_size, 1))
        if not self.time.is_meta:  # shapes alone
            nn.init.kaiming_uniform_(self.time, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = layout.canonical(x)
        u = frames.on_images(lambda image: self.norm(self.space(image)).relu(), x)
        y = frames.convolved(u, self.time)
        return layout.like(layout.in_format(y.to(x.dtype), layout.is_channels_last(x)), x)

    def macs(self, height: int, width: int) -> int:
        weights = self.space.weight.numel() + self.time.numel()
        return weights * self.num_frames * height * width
