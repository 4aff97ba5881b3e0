"""TEI: channels that change until the next frame are let through, then each is filtered along time.

Source: TEINet (Liu et al., AAAI 2020): its motion enhanced module, then its temporal interaction module.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp
from operators.mixtconv import initial_taps
from operators.stencil import Span, layout, stencil


class TEI(TemporalOp, name="tei"):
    """Gates by the difference of neighbouring frames' means, and filters.

        z[t] = mean over pixels of x[t]
        u[t] = sigmoid(W3 (W2 z[t+1] - W1 z[t])) x[t],  C -> C/8 -> C;  u = x at the last frame
        y_c[t] = sum over |d| <= 1 of w_c[d] u_c[t+d],  which starts as a shift

    Frames outside the clip count as zero.

    Args:
        channels: C.
        num_frames: T.
        reduction: by how much the difference is narrower than C; it has at least one channel.

    Raises:
        ValueError: `reduction` is below 1.
    """

    facts = Facts(
        title="MEM and TIM of TEINet",
        venue="AAAI",
        year=2020,
        formula="y_c[t] = sum over |d| <= 1 of w_c[d] u_c[t+d], u[t] = sigmoid(W3 (W2 z[t+1] - W1 z[t])) x[t]",
        parameters="3 C^2 / 8 + 3 C",
        macs="3 C T H W + 3 C^2 (T - 1) / 8",
        reach="2",
        also=("teinet",),
    )
    reach = 2
    span = 3  # the filter looks both ways, what weights it at the next frame alone

    def __init__(self, channels: int, num_frames: int, reduction: int = 8) -> None:
        super().__init__(channels, num_frames)
        hidden = frames.narrowed(channels, reduction)
        self.now = nn.Linear(channels, hidden, bias=False)
        self.next = nn.Linear(channels, hidden, bias=False)
        self.expand = nn.Linear(hidden, channels, bias=False)
        self.taps = initial_taps(3, channels, "shift")
        self.spans = [Span(channels, 0, 2, 1)]

    def forward(self, x: Tensor) -> Tensor:
        z = x.mean(dim=(3, 4))
        gate = self.expand(self.next(z[:, 1:]) - self.now(z[:, :-1])).sigmoid().to(x.dtype)
        gate = torch.cat([gate, torch.ones_like(z[:, -1:])], dim=1)[..., None, None]
        moving = layout.in_format(gate * x, layout.is_channels_last(x))
        return stencil(moving, self.taps, self.spans, path=self.stencil_path)

    def macs(self, height: int, width: int) -> int:
        c, t = self.channels, self.num_frames
        return 3 * c * t * height * width + 3 * c * self.now.weight.shape[0] * (t - 1)
