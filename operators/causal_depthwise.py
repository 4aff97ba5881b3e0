"""CausalDepthwise: one kernel on every channel that looks at the past alone.

Source: the causal convolution of temporal convolutional networks (Bai, Kolter and Koltun, 2018), depthwise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators.base import Facts, TemporalOp
from operators.mixtconv import INITS
from operators.stencil import Span, stencil


class CausalDepthwise(TemporalOp, name="causal_depthwise"):
    """A weighted sum of this frame and those before; before the clip there are zeros.

        y_c[t] = sum over 0 <= d < k of w_c[d] x_c[t-d]

    Args:
        channels: C.
        num_frames: T.
        kernel_size: k, in frames; even ones too.
        init: where the taps start. "shift": an eighth of the channels reads the frame before, as TSM's one-sided shift,
            the rest pass through; "identity": all pass through; "random": uniform within 1 / sqrt(k).

    Cost:
        C * k * T * H * W MACs per clip.

    Raises:
        ValueError: the size is below 1, or `init` is unknown.
    """

    facts = Facts(
        title="causal convolution of TCN, depthwise",
        venue="arXiv",
        year=2018,
        formula="y_c[t] = sum over 0 <= d < 3 of w_c[d] x_c[t-d]",
        parameters="3 C",
        macs="3 C T H W",
        reach="2",
        also=("tcn", "causal_convolution"),
    )
    causal = True

    def __init__(self, channels: int, num_frames: int, kernel_size: int = 3, init: str = "shift") -> None:
        super().__init__(channels, num_frames)
        if kernel_size < 1:
            raise ValueError(f"kernel_size: {kernel_size} is below 1")
        if init not in INITS:
            raise ValueError(f"init: {init!r} is none of {', '.join(INITS)}")
        self.reach = kernel_size - 1
        taps = torch.zeros(kernel_size, channels)  # d = 0 first
        if init == "random":
            taps.uniform_(-(kernel_size**-0.5), kernel_size**-0.5)
        else:
            moved = channels // 8 if init == "shift" and kernel_size > 1 else 0
            taps[0, moved:] = 1.0
            taps[1:2, :moved] = 1.0
        self.taps = nn.Parameter(taps)
        self.spans = [Span(channels, 0, kernel_size - 1, 1)]

    def table(self) -> Tensor:
        """(2k - 1, C): offsets -(k - 1)..k - 1, none of them ahead."""
        return F.pad(self.taps.flip(0), (0, 0, 0, len(self.taps) - 1))

    def kernel(self) -> tuple[list[int], Tensor]:
        past = len(self.taps) - 1
        return list(range(-past, past + 1)), self.table()

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.table(), self.spans, path=self.stencil_path)

    def macs(self, height: int, width: int) -> int:
        return self.taps.numel() * self.num_frames * height * width
