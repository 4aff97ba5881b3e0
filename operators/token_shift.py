"""TokenShift: each channel between this frame and the one before, by a learned share.

Source: RWKV (Peng et al., Findings of EMNLP 2023), its token shift along time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators.base import Facts, TemporalOp
from operators.stencil import Span, stencil


class TokenShift(TemporalOp, name="token_shift"):
    """Interpolates between neighbouring frames; before the clip there are zeros.

        y_c[t] = x_c[t] + m_c (x_c[t-1] - x_c[t])

    m_c starts as in the first layer of RWKV-4, where channel c of C keeps a share of c / C: m_c = 1 - c / C.

    Cost:
        2 * C * T * H * W MACs per clip.
    """

    facts = Facts(
        title="RWKV's token shift",
        venue="EMNLP",
        year=2023,
        formula="y_c[t] = x_c[t] + m_c (x_c[t-1] - x_c[t])",
        parameters="C",
        macs="2 C T H W",
        reach="1",
        also=("rwkv", "rwkv_shift"),
    )
    reach = 1
    causal = True

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.share = nn.Parameter(1 - torch.arange(channels) / channels)
        self.spans = [Span(channels, 0, 1, 1)]

    def table(self) -> Tensor:
        """(3, C): the frame before, this one, and none after."""
        return torch.stack([self.share, 1 - self.share, torch.zeros_like(self.share)])

    def kernel(self) -> tuple[list[int], Tensor]:
        return [-1, 0, 1], self.table()

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.table(), self.spans, path=self.stencil_path)

    def macs(self, height: int, width: int) -> int:
        return 2 * self.channels * self.num_frames * height * width
