"""CausalShift: the temporal shift for streams, which never waits for a later frame.

Source: TSM (Lin et al., ICCV 2019), the one-sided shift of its online recognition.
"""

from __future__ import annotations

import torch
from torch import Tensor

from operators.base import Facts, TemporalOp
from operators.stencil import Span, stencil


class CausalShift(TemporalOp, name="causal_shift"):
    """Moves some channels from the frame before; a zero enters at the start of the clip.

        y_c[t] = x_c[t-1] for the first C / shift_div channels, x_c[t] for the rest

    Args:
        channels: C.
        num_frames: T.
        shift_div: which part of the channels moves; 8 as in TSM.

    Raises:
        ValueError: `shift_div` is below 2, or there are fewer channels than `shift_div`.
    """

    facts = Facts(
        title="TSM, one-sided",
        venue="ICCV",
        year=2019,
        formula="y[t] = x[t-1] on C/8 channels, x[t] on the rest",
        parameters="0",
        macs="0",
        reach="1",
        also=("online_tsm", "tsm_online", "unidirectional_shift"),
    )
    reach = 1
    causal = True
    taps: Tensor

    def __init__(self, channels: int, num_frames: int, shift_div: int = 8) -> None:
        super().__init__(channels, num_frames)
        if not 2 <= shift_div <= channels:
            raise ValueError(f"shift_div: {shift_div} is not between 2 and the {channels} channels")
        fold = channels // shift_div
        taps = torch.zeros(3, channels)
        taps[0, :fold] = taps[1, fold:] = 1.0
        self.register_buffer("taps", taps, persistent=False)
        self.spans = [Span(fold, 0, 0, 1), Span(channels - fold, 1, 1, 1)]

    def kernel(self) -> tuple[list[int], Tensor]:
        return [-1, 0, 1], self.taps

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.taps, self.spans, path=self.stencil_path, taps=0)

    def macs(self, height: int, width: int) -> int:
        return 0  # a shift moves memory and multiplies nothing
