"""MinGRU: a recurrent unit at every pixel whose gate looks at the frame alone.

Source: Were RNNs All We Needed? (Feng et al., 2024), its minGRU, with the residual of its block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, State, TemporalOp, check_same
from operators.stencil import layout


class MinGRU(TemporalOp, name="min_gru"):
    """Keeps a state from frame to frame, and adds it.

        z[t] = sigmoid(W_z x[t] + b_z)
        h[t] = (1 - z[t]) h[t-1] + z[t] (W_h x[t] + b_h),  h before the clip 0
        y[t] = x[t] + h[t]

    Cost:
        2 * C * C * T * H * W MACs per clip.
    """

    facts = Facts(
        title="minGRU",
        venue="arXiv",
        year=2024,
        formula="y = x + h, h[t] = (1-z) h[t-1] + z (W_h x[t] + b_h), z = sigmoid(W_z x[t] + b_z)",
        parameters="2 C^2 + 2 C",
        macs="2 C^2 T H W",
        reach="T - 1",
        also=("mingru",),
    )
    causal = True

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.reach = num_frames - 1
        self.gate = nn.Conv2d(channels, channels, 1)
        self.candidate = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gates = frames.on_images(self.gate, x).sigmoid().unbind(dim=1)
        candidates = frames.on_images(self.candidate, x).unbind(dim=1)
        h = torch.zeros_like(candidates[0])
        states = []
        for z, candidate in zip(gates, candidates, strict=True):
            h = h + z * (candidate - h)
            states.append(h)
        return x + layout.in_format(torch.stack(states, dim=1).to(x.dtype), layout.is_channels_last(x))

    def step(self, frame: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """See TemporalOp; h is kept."""
        check_same(frame, state)
        z, candidate = self.gate(frame).sigmoid(), self.candidate(frame)
        h = state[0] if state else torch.zeros_like(candidate)
        h = h + z * (candidate - h)
        return frame + h.to(frame.dtype), (h,)

    def macs(self, height: int, width: int) -> int:
        return 2 * self.channels**2 * self.num_frames * height * width
