"""TemporalAttention: every pixel attends to itself in all frames of its clip.

Source: TimeSformer (Bertasius et al., ICML 2021), the temporal half of its divided attention, with its positions. Its
two linear layers after attention are one here, which starts at 0 as its last one does; queries, keys and values have
no bias (a key's changes nothing).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp


class OverFrames(TemporalOp):
    """What attention over frames is made of: queries, keys and values of every pixel, in heads, and what follows.

    Args:
        channels: C, a multiple of 8.
        num_frames: T.
        heads: they divide C.

    Raises:
        ValueError: `heads` does not divide C.
    """

    channels_multiple = 8

    def __init__(self, channels: int, num_frames: int, heads: int = 8) -> None:
        super().__init__(channels, num_frames)
        if heads < 1 or channels % heads:
            raise ValueError(f"heads: {heads} does not divide the {channels} channels")
        self.heads = heads
        self.reach = num_frames - 1
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def in_heads(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (B, T, C) -> their queries, keys and values, each (B, heads, T, C / heads)."""
        q, k, v = self.qkv(self.norm(z)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def added(self, seen: Tensor, x: Tensor) -> Tensor:
        """What the heads saw, (B, heads, T, C / heads), through the last layer, added to x."""
        return x + frames.untokened(self.out(seen.transpose(1, 2).flatten(2)), x)

    def macs(self, height: int, width: int) -> int:
        c, t = self.channels, self.num_frames
        return (4 * c * c * t + 2 * c * t * t) * height * width


class TemporalAttention(OverFrames, name="temporal_attention"):
    """Adds attention over frames, pixel by pixel; starts as the identity.

        q, k, v = W LN(x[t] + p[t]),  in heads of d = C / heads channels
        y[t] = x[t] + W_o (sum over s of softmax_s(q[t] k[s] / sqrt(d)) v[s]) + b

    Cost:
        4 * C * C * T * H * W + 2 * C * T * T * H * W MACs per clip.
    """

    facts = Facts(
        title="TimeSformer's temporal attention",
        venue="ICML",
        year=2021,
        formula="y[t] = x[t] + W_o sum over s of softmax(q[t] k[s] / sqrt(d)) v[s], q, k, v = W LN(x + p)",
        parameters="4 C^2 + 3 C + C T",
        macs="4 C^2 T H W + 2 C T^2 H W",
        reach="T - 1",
        also=("timesformer", "divided_attention"),
    )

    def __init__(self, channels: int, num_frames: int, heads: int = 8) -> None:
        super().__init__(channels, num_frames, heads)
        self.positions = nn.Parameter(torch.zeros(num_frames, channels))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.in_heads(frames.tokens(x) + self.positions.to(x.dtype))
        scores = (q @ k.transpose(2, 3)) * q.shape[3] ** -0.5
        return self.added(scores.softmax(dim=3).to(v.dtype) @ v, x)
