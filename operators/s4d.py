"""S4D: every channel runs through a small linear system with a diagonal matrix, here as the filter that it is.

Source: S4D (Gu, Goel, Gupta and Ré, NeurIPS 2022), S4D-Lin, discretised by zero-order hold. Ours: the time step starts
between 0.1 and 1, because a clip has 8 to 32 frames and not thousands; D starts at 1, because the operator stands
alone and not in a block of its own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators.base import Facts, TemporalOp
from operators.stencil import Span, stencil


class S4D(TemporalOp, name="s4d"):
    """Sums the past with a kernel that decays and oscillates; n runs over pairs of conjugate states.

        h_n[t] = exp(dt A_n) h_n[t-1] + (exp(dt A_n) - 1) / A_n x[t],    A_n = -exp(a_n) + i b_n
        y[t] = 2 Re(sum over n of C_n h_n[t]) + D x[t]

    dt, A_n, C_n and D are learned for each channel. a_n starts at log 0.5, b_n at pi n.

    Args:
        channels: C.
        num_frames: T.
        states: pairs of states a channel.

    Cost:
        C * T * T * H * W MACs per clip; the kernel itself costs the same for any number of pixels, and is not counted.

    Raises:
        ValueError: `states` is below 1.
    """

    facts = Facts(
        title="S4D",
        venue="NeurIPS",
        year=2022,
        formula="h_n[t] = exp(dt A_n) h_n[t-1] + (exp(dt A_n) - 1)/A_n x[t], y = 2 Re(C h) + D x, per channel",
        parameters="18 C",
        macs="C T^2 H W",
        reach="T - 1",
        also=("diagonal_ssm", "s4"),
    )
    causal = True

    def __init__(self, channels: int, num_frames: int, states: int = 4) -> None:
        super().__init__(channels, num_frames)
        if states < 1:
            raise ValueError(f"states: {states} is below 1")
        self.reach = num_frames - 1
        self.log_step = nn.Parameter(torch.empty(channels).uniform_(math.log(0.1), 0.0))
        self.log_decay = nn.Parameter(torch.full((channels, states), math.log(0.5)))
        self.frequency = nn.Parameter((math.pi * torch.arange(states)).repeat(channels, 1))
        self.readout = nn.Parameter(torch.randn(2, channels, states) * 0.5**0.5)  # real and imaginary
        self.skip = nn.Parameter(torch.ones(channels))
        self.spans = [Span(channels, 0, num_frames - 1, 1)]

    def table(self) -> Tensor:
        """(2T - 1, C), in at least fp32: offsets -(T - 1)..T - 1, none of them ahead."""
        wide = torch.promote_types(self.skip.dtype, torch.float32)
        decay, frequency, readout = (p.to(wide) for p in (self.log_decay.exp(), self.frequency, self.readout))
        a = torch.complex(-decay, frequency)  # (C, states)
        step = a * self.log_step.to(wide).exp()[:, None]
        scale = torch.complex(readout[0], readout[1]) * (step.exp() - 1) / a
        ago = torch.arange(self.num_frames, device=step.device)
        kernel = 2 * (scale[None] * (step * ago[:, None, None]).exp()).sum(2).real  # (T, C), this frame first
        kernel = kernel + F.pad(self.skip.to(wide)[None], (0, 0, 0, self.num_frames - 1))
        return F.pad(kernel.flip(0), (0, 0, 0, self.num_frames - 1))

    def kernel(self) -> tuple[list[int], Tensor]:
        past = self.num_frames - 1
        return list(range(-past, past + 1)), self.table()

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.table(), self.spans, path=self.stencil_path)

    def macs(self, height: int, width: int) -> int:
        return self.channels * self.num_frames**2 * height * width
