"""GSM: a gate decides pixel by pixel what of a frame moves to its neighbours.

Source: GSM, Gate-Shift Networks (Sudhakaran et al., CVPR 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators import frames
from operators.base import Facts, TemporalOp
from operators.stencil import Span, layout, stencil


class GateShift(nn.Module):
    """What GSM and GSF share: the gate of each half of the channels, and what it lets through, moved.

    Args:
        channels: C, a multiple of 4.
    """

    taps: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv3d(channels, 2, 3, padding=1, groups=2)
        taps = torch.zeros(3, channels)
        taps[2, : channels // 2] = taps[0, channels // 2 :] = 1.0
        self.register_buffer("taps", taps, persistent=False)
        self.spans = [Span(channels // 2, 2, 2, 1), Span(channels // 2, 0, 0, 1)]

    def forward(self, x: Tensor, path: str) -> tuple[Tensor, Tensor]:
        """(N, T, C, H, W) -> what moved, and what stayed, of the same shape."""
        c = x.shape[2]
        seen = frames.on_images(self.norm, x).relu()
        # A 3 x 3 x 3 convolution as three of images, whose results are then moved: nothing is permuted.
        kernel = self.conv.weight.transpose(1, 2).reshape(6, c // 2, 3, 3)
        maps = frames.on_images(lambda image: F.conv2d(image, kernel, padding=1, groups=2), seen)
        maps = maps.unflatten(2, (2, 3))  # (N, T, half, frame, H, W)
        bias = self.conv.bias
        assert bias is not None
        gate = sum(frames.ahead(maps[:, :, :, d + 1], d) for d in (-1, 0, 1)) + bias[:, None, None]
        gate = gate.tanh().repeat_interleave(c // 2, dim=2).to(x.dtype)
        through = layout.in_format(gate * x, layout.is_channels_last(x))
        return stencil(through, self.taps, self.spans, path=path, taps=0), x - through


def interleaved(x: Tensor) -> Tensor:
    """Channels of each half in a new order: its first quarter and its second take turns."""
    n, t, c, h, w = x.shape
    return x.view(n, t, 2, 2, c // 4, h, w).transpose(3, 4).reshape(n, t, c, h, w)


class GSM(TemporalOp, name="gsm"):
    """Moves what a gate lets through, half of the channels each way, and keeps the rest where it is.

        g = tanh(conv3x3x3(relu(BN(x)))),  one map for each half of the channels, which starts at 0
        y[t] = (g x)[t+1] + ((1 - g) x)[t] in the first half, (g x)[t-1] + ((1 - g) x)[t] in the second
        and then the two quarters of each half take turns

    Frames outside the clip count as zero. Uses batch statistics in training.

    Args:
        channels: C, a multiple of 4.
        num_frames: T.

    Cost:
        27 * C * T * H * W MACs per clip.
    """

    facts = Facts(
        title="GSM",
        venue="CVPR",
        year=2020,
        formula="y[t] = (g x)[t+1] or (g x)[t-1] by half, + ((1-g) x)[t], g = tanh(conv3x3x3(relu(BN(x))))",
        parameters="29 C + 2",
        macs="27 C T H W",
        reach="2",
        also=("gate_shift",),
    )
    reach = 2
    channels_multiple = 4

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.gate = GateShift(channels)
        for parameter in self.gate.conv.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        moved, stayed = self.gate(x, self.stencil_path)
        return layout.in_format(interleaved(moved + stayed), layout.is_channels_last(x))

    def macs(self, height: int, width: int) -> int:
        return 27 * self.channels * self.num_frames * height * width
