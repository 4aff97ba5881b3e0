"""GSF: GSM whose moved and resting parts are weighed against each other, channel by channel.

Source: GSF, Gate-Shift-Fuse (Sudhakaran et al., TPAMI 2023).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators.base import Facts, TemporalOp
from operators.gsm import GateShift, interleaved
from operators.stencil import layout


class GSF(TemporalOp, name="gsf"):
    """Moves what a gate lets through, and fuses it with what stays.

        y, r = what GSM's gate moves, and what it leaves
        a = sigmoid(conv3x3([mean of y, mean of r])),  over the image of channels x frames, one for each half
        out = a y + (1 - a) r, and then the two quarters of each half take turns

    Frames outside the clip count as zero. Uses batch statistics in training. Unlike GSM its gate does not start at 0.

    Args:
        channels: C, a multiple of 4.
        num_frames: T.
        percent: of the channels that are worked on, rounded down to a multiple of 4; the others stay.

    Raises:
        ValueError: fewer than 4 channels would be worked on, or more than all.
    """

    facts = Facts(
        title="GSF",
        venue="TPAMI",
        year=2023,
        formula="y[t] = a (g x)[t+1 or t-1] + (1-a) ((1-g) x)[t], g as in GSM, a = sigmoid(conv3x3 over C x T)",
        parameters="29 C + 40",
        macs="27 C T H W + 18 C T",
        reach="3",
        also=("gate_shift_fuse",),
    )
    reach = 3
    channels_multiple = 4

    def __init__(self, channels: int, num_frames: int, percent: int = 100) -> None:
        super().__init__(channels, num_frames)
        self.part = channels * percent // 100 // 4 * 4
        if not 4 <= self.part <= channels:
            raise ValueError(f"percent: {percent} of {channels} channels are not 4 to all of them")
        self.gate = GateShift(self.part)
        self.fuse = nn.ModuleList(nn.Conv2d(2, 1, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        moved, stayed = self.gate(x[:, :, : self.part], self.stencil_path)
        means = torch.stack([moved.mean(dim=(3, 4)), stayed.mean(dim=(3, 4))], dim=1).transpose(2, 3)
        halves = means.split(self.part // 2, dim=2)  # (N, 2, C / 2, T)
        share = torch.cat([fuse(half) for fuse, half in zip(self.fuse, halves, strict=True)], dim=2).sigmoid()
        share = share[:, 0].transpose(1, 2)[..., None, None].to(x.dtype)  # (N, T, C, 1, 1)
        fused = interleaved(share * moved + (1 - share) * stayed)
        whole = torch.cat([fused, x[:, :, self.part :]], dim=2)
        return layout.in_format(whole, layout.is_channels_last(x))

    def macs(self, height: int, width: int) -> int:
        return self.part * self.num_frames * (27 * height * width + 18)
