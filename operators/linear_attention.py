"""LinearAttention: attention without softmax, to the past, which a stream could keep as a running sum.

Source: Transformers are RNNs (Katharopoulos et al., ICML 2020), its causal form, along time at every pixel. For clips
of few frames the products of queries and keys are cheaper than the running sum, and give the same.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from operators import frames
from operators.base import Facts, TemporalOp
from operators.temporal_attention import check_heads, in_heads


class LinearAttention(TemporalOp, name="linear_attention"):
    """Adds to each frame a mean of the frames so far, weighted by how well they fit; starts as the identity.

        q, k, v = W LN(x[t]),  in heads;  f(z) = elu(z) + 1
        y[t] = x[t] + W_o (sum over s <= t of f(q[t]) f(k[s]) v[s] / sum over s <= t of f(q[t]) f(k[s])) + b

    Args:
        channels: C, a multiple of 8.
        num_frames: T.
        heads: they divide C.

    Cost:
        4 * C * C * T * H * W + 2 * C * T * T * H * W MACs per clip.

    Raises:
        ValueError: `heads` does not divide C.
    """

    facts = Facts(
        title="linear attention",
        venue="ICML",
        year=2020,
        formula="y[t] = x[t] + W_o sum over s <= t of f(q[t]) f(k[s]) v[s] / sum of f(q[t]) f(k[s]), f = elu + 1",
        parameters="4 C^2 + 3 C",
        macs="4 C^2 T H W + 2 C T^2 H W",
        reach="T - 1",
        also=("transformers_are_rnns",),
    )
    causal = True
    channels_multiple = 8

    def __init__(self, channels: int, num_frames: int, heads: int = 8) -> None:
        super().__init__(channels, num_frames)
        check_heads(heads, channels)
        self.heads = heads
        self.reach = num_frames - 1
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = in_heads(self.qkv(self.norm(frames.tokens(x))), self.heads)
        fit = ((F.elu(q) + 1) @ (F.elu(k) + 1).transpose(2, 3)).tril()
        seen = (fit / fit.sum(dim=3, keepdim=True)).to(v.dtype) @ v
        return x + frames.untokened(self.out(seen.transpose(1, 2).flatten(2)), x)

    def macs(self, height: int, width: int) -> int:
        c, t = self.channels, self.num_frames
        return (4 * c * c * t + 2 * c * t * t) * height * width
