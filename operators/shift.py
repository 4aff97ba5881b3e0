"""Shift: the temporal shift module, a depthwise kernel of size 3 whose taps are fixed.

Source: TSM (Lin et al.), and the end of Sec. 3.1 of the MixTConv paper.
"""

from __future__ import annotations

import torch
from torch import Tensor

from operators.base import Facts, TemporalOp
from operators.stencil import Span, stencil


class Shift(TemporalOp, name="shift"):
    """Moves some channels by one frame, both ways; zeros enter at the ends of the clip.

    The first `1 / shift_div` of the channels reads frame t + 1, the second reads frame t - 1, the rest stays.

    Args:
        channels: C.
        num_frames: T.
        shift_div: which part of the channels moves each way; 8 as in TSM.

    Raises:
        ValueError: `shift_div` is below 2, or there are fewer channels than `shift_div`.
    """

    facts = Facts(
        title="TSM",
        venue="ICCV",
        year=2019,
        formula="y[t] = x[t+1] on C/8 channels, x[t-1] on C/8, x[t] on the rest",
        parameters="0",
        macs="0",
        reach="1",
        also=("tsm", "temporal_shift"),
    )
    reach = 1
    taps: Tensor

    def __init__(self, channels: int, num_frames: int, shift_div: int = 8) -> None:
        super().__init__(channels, num_frames)
        if not 2 <= shift_div <= channels:
            raise ValueError(f"shift_div: {shift_div} is not between 2 and the {channels} channels")
        fold = channels // shift_div
        taps = torch.zeros(3, channels)
        taps[2, :fold] = taps[0, fold : 2 * fold] = taps[1, 2 * fold :] = 1.0
        self.register_buffer("taps", taps, persistent=False)
        self.spans = [Span(fold, 2, 2, 1), Span(fold, 0, 0, 1)]
        if channels > 2 * fold:
            self.spans.append(Span(channels - 2 * fold, 1, 1, 1))

    def kernel(self) -> tuple[list[int], Tensor]:
        return [-1, 0, 1], self.taps

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.taps, self.spans, path=self.stencil_path, taps=0)

    def macs(self, height: int, width: int) -> int:
        return 0  # a shift moves memory and multiplies nothing
