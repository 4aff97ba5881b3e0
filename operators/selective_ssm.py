"""SelectiveSSM: a diagonal state space at every pixel that decides from each frame what to keep, run both ways.

Source: the selective state space of Mamba (Gu and Dao, COLM 2024), forwards and backwards as in VideoMamba (Li et al.,
ECCV 2024), along time. Ours: without the convolution, the gate and the projections of Mamba's block; steps start
between 0.1 and 1, because a clip has 8 to 32 frames; D starts at 1/2 in each direction, so that x passes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators import frames
from operators.base import Facts, TemporalOp
from operators.stencil import layout


class OneWay(nn.Module):
    """The recurrence in one direction.

    Args:
        channels: C.
        states: numbers that are kept for each channel and pixel.
    """

    def __init__(self, channels: int, states: int) -> None:
        super().__init__()
        rank = max(1, channels // 16)
        self.split = [rank, states, states]
        self.project = nn.Conv2d(channels, sum(self.split), 1, bias=False)
        self.step = nn.Conv2d(rank, channels, 1)
        steps = torch.empty(channels).uniform_(math.log(0.1), 0.0).exp()
        assert self.step.bias is not None
        with torch.no_grad():
            self.step.bias.copy_(steps.expm1().log())  # softplus of it is the step
        self.log_decay = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(channels, 1))
        self.skip = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C, H, W), frames in the order in which they are read -> the same shape."""
        rank, keep, read = frames.on_images(self.project, x).split(self.split, dim=2)
        step = F.softplus(frames.on_images(self.step, rank))
        decay = -self.log_decay.exp()[:, :, None, None]  # (C, states, 1, 1)
        h = x.new_zeros(())
        out = []
        for t in range(x.shape[1]):
            by = step[:, t, :, None]  # (N, C, 1, H, W)
            h = (by * decay).exp() * h + (by * x[:, t, :, None]) * keep[:, t, None]
            out.append((h * read[:, t, None]).sum(dim=2) + self.skip[:, None, None] * x[:, t])
        return torch.stack(out, dim=1)


class SelectiveSSM(TemporalOp, name="selective_ssm"):
    """Sums a state space over the frames so far and one over the frames to come.

        s = softplus(W2 W1 x[t] + b),  C -> C/16 -> C;  B, R = W_B x[t], W_R x[t], n numbers each
        h_cn[t] = exp(-s_c exp(a_cn)) h_cn[t-1] + s_c B_n x_c[t]
        one way: o_c[t] = sum over n of R_n h_cn[t] + D_c x_c[t];  y = o forwards + o backwards

    a_cn starts at log n, as in S4D with real numbers.

    Args:
        channels: C; C // 16 is at least 1.
        num_frames: T.
        states: n; Mamba has 16.

    Cost:
        Its matrix products; the recurrence is elementwise.

    Raises:
        ValueError: `states` is below 1.
    """

    facts = Facts(
        title="Mamba's selective state space, both ways",
        venue="COLM",
        year=2024,
        formula="h[t] = exp(-s exp(a)) h[t-1] + s B x[t], o = R h + D x; s, B, R from x[t]; y = o forwards + backwards",
        parameters="C^2 / 4 + 28 C",
        macs="(C^2 / 4 + 16 C) T H W",
        reach="T - 1",
        also=("mamba", "videomamba"),
    )

    def __init__(self, channels: int, num_frames: int, states: int = 4) -> None:
        super().__init__(channels, num_frames)
        if states < 1:
            raise ValueError(f"states: {states} is below 1")
        self.reach = num_frames - 1
        self.forwards = OneWay(channels, states)
        self.backwards = OneWay(channels, states)

    def forward(self, x: Tensor) -> Tensor:
        y = self.forwards(x) + self.backwards(x.flip(1)).flip(1)
        return layout.in_format(y.to(x.dtype), layout.is_channels_last(x))

    def macs(self, height: int, width: int) -> int:
        weights = self.forwards.project.weight.numel() + self.forwards.step.weight.numel()
        return 2 * weights * self.num_frames * height * width
