"""LearnedShift: a shift along time whose distance each channel learns, in fractions of a frame.

Source: RubiksNet (Fan et al., ECCV 2020), the part of its shift along time. Ours: a bound on the distance, which keeps
the stencil short. Left out: the paper's normalised gradient of the distance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators.base import Facts, TemporalOp
from operators.stencil import Span, stencil


class LearnedShift(TemporalOp, name="learned_shift"):
    """Reads each channel s_c frames away, by linear interpolation; frames outside the clip count as zero.

        y_c[t] = (1 - a) x_c[t + floor(s_c)] + a x_c[t + floor(s_c) + 1],    a = s_c - floor(s_c)

    As a shift starts: an eighth of the channels at +1, an eighth at -1, the rest within 0.001 of 0.

    Args:
        channels: C.
        num_frames: T.
        shift_div: which part of the channels starts at +1, and which at -1.
        max_shift: the largest |s|, in frames; a distance beyond it counts as it.

    Cost:
        2 * C * T * H * W MACs per clip.

    Raises:
        ValueError: `shift_div` is not between 2 and C, or `max_shift` is below 1.
    """

    facts = Facts(
        title="RubiksNet's shift",
        venue="ECCV",
        year=2020,
        formula="y_c[t] = (1-a) x_c[t+floor(s_c)] + a x_c[t+floor(s_c)+1], a = s_c - floor(s_c), s_c learned",
        parameters="C",
        macs="2 C T H W",
        reach="3",
        also=("rubiksnet", "rubiks_shift", "fractional_shift"),
    )

    def __init__(self, channels: int, num_frames: int, shift_div: int = 8, max_shift: int = 3) -> None:
        super().__init__(channels, num_frames)
        if not 2 <= shift_div <= channels:
            raise ValueError(f"shift_div: {shift_div} is not between 2 and the {channels} channels")
        if max_shift < 1:
            raise ValueError(f"max_shift: {max_shift} is below 1")
        self.reach = max_shift
        fold = channels // shift_div
        shift = torch.empty(channels).uniform_(-1e-3, 1e-3)
        shift[:fold], shift[fold : 2 * fold] = 1.0, -1.0
        self.shift = nn.Parameter(shift)
        self.spans = [Span(channels, 0, 2 * max_shift, 1)]

    def table(self) -> Tensor:
        """(2 * max_shift + 1, C), two numbers a column."""
        most = self.spans[0].last // 2
        shift = self.shift.clamp(-most, most)
        whole = shift.detach().floor().clamp(max=most - 1)
        part = shift - whole
        rows = torch.arange(-most, most + 1, device=shift.device)[:, None]
        return (rows == whole) * (1 - part) + (rows == whole + 1) * part

    def kernel(self) -> tuple[list[int], Tensor]:
        most = self.spans[0].last // 2
        return list(range(-most, most + 1)), self.table()

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.table(), self.spans, path=self.stencil_path, taps=2 * self.channels)

    def macs(self, height: int, width: int) -> int:
        return 2 * self.channels * self.num_frames * height * width
