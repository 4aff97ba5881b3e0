"""NonLocal: every pixel adds what resembles it in all frames of its clip.

Source: Non-local Neural Networks (Wang et al., CVPR 2018), the embedded Gaussian, over the frames at each pixel instead
of over all pixels. It has no positions: it knows what was there, not in which order. Left out: biases of the
embeddings, of which one changes nothing and one is taken out again by batch norm.
"""

from __future__ import annotations

from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp


class NonLocal(TemporalOp, name="non_local"):
    """Adds a weighted mean of all frames, pixel by pixel; starts as the identity.

        y[t] = x[t] + BN(W_z sum over s of softmax_s(theta x[t] . phi x[s]) g x[s]),  C -> C/2 -> C

    Uses batch statistics in training; BN's scale starts at 0.

    Cost:
        2 * C * C * T * H * W + C * T * T * H * W MACs per clip, of even C.
    """

    facts = Facts(
        title="non-local block, over frames",
        venue="CVPR",
        year=2018,
        formula="y[t] = x[t] + BN(W_z sum over s of softmax(theta x[t] . phi x[s]) g x[s])",
        parameters="2 C^2 + 2 C",
        macs="2 C^2 T H W + C T^2 H W",
        reach="T - 1",
        also=("nonlocal",),
        blind="knows no positions",
    )

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.reach = num_frames - 1
        hidden = max(1, channels // 2)
        self.theta = nn.Linear(channels, hidden, bias=False)
        self.phi = nn.Linear(channels, hidden, bias=False)
        self.value = nn.Linear(channels, hidden, bias=False)
        self.out = nn.Linear(hidden, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        z = frames.tokens(x)
        alike = (self.theta(z) @ self.phi(z).transpose(1, 2)).softmax(dim=2)
        seen = self.out(alike.to(x.dtype) @ self.value(z))
        return x + frames.untokened(self.norm(seen.flatten(0, 1)), x)

    def macs(self, height: int, width: int) -> int:
        hidden, t = self.theta.weight.shape[0], self.num_frames
        return (4 * self.channels * hidden * t + 2 * hidden * t * t) * height * width
