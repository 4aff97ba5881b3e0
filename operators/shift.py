"""Shift: the temporal shift module, a depthwise kernel of size 3 whose taps are fixed.

Source: TSM (Lin et al.), and the end of Sec. 3.1 of the MixTConv paper.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from operators.base import Facts, TemporalOp
from operators.stencil import Span, stencil


class FixedShift(TemporalOp):
    """Moves parts of the channels by a frame; zeros enter at the ends of the clip.

    Args:
        channels: C.
        num_frames: T.
        shift_div: each part is C / shift_div channels; 8 as in TSM.

    Attributes:
        moves: of each part, which frame it reads: -1 the one before, 1 the next one. The rest stays.

    Raises:
        ValueError: `shift_div` is below 2, or there are fewer channels than `shift_div`.
    """

    moves: ClassVar[tuple[int, ...]]
    reach = 1
    taps: Tensor

    def __init__(self, channels: int, num_frames: int, shift_div: int = 8) -> None:
        super().__init__(channels, num_frames)
        if not 2 <= shift_div <= channels:
            raise ValueError(f"shift_div: {shift_div} is not between 2 and the {channels} channels")
        fold = channels // shift_div
        parts = [(fold, move) for move in self.moves]
        if rest := channels - fold * len(parts):
            parts.append((rest, 0))
        self.spans = [Span(part, 1 + move, 1 + move, 1) for part, move in parts]
        columns = [torch.eye(3)[:, 1 + move, None].expand(3, part) for part, move in parts]
        self.register_buffer("taps", torch.cat(columns, dim=1), persistent=False)

    def kernel(self) -> tuple[list[int], Tensor]:
        return [-1, 0, 1], self.taps

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.taps, self.spans, path=self.stencil_path, taps=0)

    def macs(self, height: int, width: int) -> int:
        return 0  # a shift moves memory and multiplies nothing


class Shift(FixedShift, name="shift"):
    """Moves some channels by one frame, both ways.

    The first `1 / shift_div` of the channels reads frame t + 1, the second reads frame t - 1, the rest stays.
    """

    moves = (1, -1)

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
