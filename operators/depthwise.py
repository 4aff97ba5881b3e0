"""Depthwise: one temporal kernel size on every channel.

Source: the rows ks3, ks5 and ks7 of the MixTConv paper's Table 2.
"""

from __future__ import annotations

from operators.base import Facts
from operators.mixtconv import MixTConv


class Depthwise(MixTConv, name="depthwise"):
    """MixTConv with a single channel group.

    Args:
        channels: C.
        num_frames: T.
        kernel_size: odd, in taps.
        dilation: frames between neighbouring taps.
        init: "shift", "identity" or "random"; see MixTConv.

    Cost:
        C * kernel_size * T * H * W MACs per clip.

    Raises:
        ValueError: the size is even or below 1, the dilation is below 1, or `init` is unknown.
    """

    facts = Facts(
        title="ks3, ks5, ks7",
        venue="ICPR",
        year=2020,
        formula="y_c[t] = sum over |d| <= 1 of w_c[d] x_c[t+d]",
        parameters="3 C",
        macs="3 C T H W",
        reach="1",
        also=("depthwise_convolution",),
    )

    def __init__(
        self, channels: int, num_frames: int, kernel_size: int = 3, dilation: int = 1, init: str = "shift"
    ) -> None:
        try:
            super().__init__(channels, num_frames, [kernel_size], [dilation], init)
        except ValueError as error:
            text = str(error).replace("kernel_sizes:", "kernel_size:").replace("dilations:", "dilation:")
            raise ValueError(text) from None
