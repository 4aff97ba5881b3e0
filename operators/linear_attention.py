"""LinearAttention: attention without softmax, to the past, which a stream could keep as a running sum.

Source: Transformers are RNNs (Katharopoulos et al., ICML 2020), its causal form, along time at every pixel. For clips
of few frames the products of queries and keys are cheaper than the running sum, and give the same.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from operators import frames
from operators.base import Facts
from operators.temporal_attention import OverFrames


class LinearAttention(OverFrames, name="linear_attention"):
    """Adds to each frame a mean of the frames so far, weighted by how well they fit; starts as the identity.

        q, k, v = W LN(x[t]),  in heads;  f(z) = elu(z) + 1
        y[t] = x[t] + W_o (sum over s <= t of f(q[t]) f(k[s]) v[s] / sum over s <= t of f(q[t]) f(k[s])) + b

    Cost:
        4 * C * C * T * H * W + 2 * C * T * T * H * W MACs per clip.
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

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.in_heads(frames.tokens(x))
        fit = ((F.elu(q) + 1) @ (F.elu(k) + 1).transpose(2, 3)).tril()
        return self.added((fit / fit.sum(dim=3, keepdim=True)).to(v.dtype) @ v, x)
