"""Conv3D: a dense convolution over time and space, the reference that cheaper operators are measured against.

Source: C3D (Tran et al., ICCV 2015), its 3x3x3 convolution, without bias. It stands before a 2D network's own
convolution and not in its place, so its cost comes on top.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators import frames
from operators.base import Facts, TemporalOp
from operators.ordinary import dense_start
from operators.stencil import layout


class Conv3D(TemporalOp, name="conv3d"):
    """Convolves with C x C kernels of k x 3 x 3. Outside the clip and the frame is zero.

        y[t] = sum over |d| <= k // 2 of W[d] * x[t+d],  W[d] a 3x3 convolution, C -> C

    Args:
        channels: C.
        num_frames: T.
        kernel_size: k, odd, in frames.
        init: "shift" and "identity" start as their depthwise counterparts, at the middle pixel; "random" is PyTorch's
            default for a convolution.

    Cost:
        9 * k * C * C * T * H * W MACs per clip.

    Raises:
        ValueError: the size is even or below 1, or `init` is unknown.
    """

    facts = Facts(
        title="C3D's convolution",
        venue="ICCV",
        year=2015,
        formula="y[t] = sum over |d| <= 1 of W[d] * x[t+d], W[d] a 3x3 convolution, C -> C",
        parameters="27 C^2",
        macs="27 C^2 T H W",
        reach="1",
        also=("c3d", "i3d", "conv3x3x3"),
    )

    def __init__(self, channels: int, num_frames: int, kernel_size: int = 3, init: str = "shift") -> None:
        super().__init__(channels, num_frames)
        frames.check_odd(kernel_size)
        self.reach = kernel_size // 2
        self.weight = dense_start(nn.Parameter(torch.empty(channels, channels, kernel_size, 3, 3)), init)

    def forward(self, x: Tensor) -> Tensor:
        size, c = self.weight.shape[2], self.channels
        # As convolutions of images whose results are then moved: nothing is permuted.
        kernel = self.weight.permute(2, 0, 1, 3, 4).flatten(0, 1)
        maps = frames.on_images(lambda image: F.conv2d(image, kernel, padding=1), x).split(c, dim=2)
        y = sum(frames.ahead(maps[i], i - size // 2) for i in range(size))
        assert isinstance(y, Tensor)
        return layout.in_format(y.to(x.dtype), layout.is_channels_last(x))

    def macs(self, height: int, width: int) -> int:
        return self.weight.numel() * self.num_frames * height * width
