"""MixTConv: depthwise temporal convolution with mixed kernel sizes.

Source: MixTConv paper, Sec. 3.1, Eq. 1-2; the initial weights are the authors' published code's.
Shape letters as in operators/base.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from operators.base import Facts, TemporalOp
from operators.stencil import Span, stencil

INITS = ("shift", "identity", "random")


class MixTConv(TemporalOp, name="mixtconv"):
    """Filters each channel group along time with its own kernel size and dilation.

    Groups are neighbouring channels of equal number; a remainder goes to the first group.
    Frames outside the clip count as zero.

    Args:
        channels: C.
        num_frames: T.
        kernel_sizes: odd sizes in taps, one per group.
        dilations: frames between neighbouring taps, one per group; 1 for all where left out.
        init: where the taps start: "shift" as the authors do, "identity", or "random".

    Shape:
        (N, T, C, H, W) -> the same.

    Cost:
        sum over groups m of C_m * k_m * T * H * W MACs per clip.

    Raises:
        ValueError: a size is even or below 1, a dilation is below 1, the lengths differ, there are fewer
            channels than groups, or `init` is unknown.
    """

    facts = Facts(
        title="MixTConv",
        venue="ICPR",
        year=2020,
        formula="y_c[t] = sum over |d| <= k/2 of w_c[d] x_c[t+d], k = 1, 3, 5, 7 by channel group",
        parameters="4 C",
        macs="4 C T H W",
        reach="3",
        also=("mst", "mixed_temporal_convolution"),
    )

    def __init__(
        self,
        channels: int,
        num_frames: int,
        kernel_sizes: Sequence[int] = (1, 3, 5, 7),
        dilations: Sequence[int] | None = None,
        init: str = "shift",
    ) -> None:
        super().__init__(channels, num_frames)
        dilations = [1] * len(kernel_sizes) if dilations is None else dilations
        _check(channels, kernel_sizes, dilations, init)
        groups = len(kernel_sizes)
        group_channels = [channels // groups] * groups
        group_channels[0] += channels % groups
        self.dilations = tuple(dilations)
        self.reach = reach = max(d * (k // 2) for k, d in zip(kernel_sizes, dilations, strict=True))
        self.rows = 2 * reach + 1
        self.taps = nn.ParameterList(
            initial_taps(k, c, init) for k, c in zip(kernel_sizes, group_channels, strict=True)
        )
        self.spans = [
            Span(c, reach - d * (k // 2), reach + d * (k // 2), d)
            for c, k, d in zip(group_channels, kernel_sizes, dilations, strict=True)
        ]

    def table(self) -> Tensor:
        """The taps of all channels on one grid of offsets -reach..reach: (2 * reach + 1, C)."""
        columns = []
        for taps, span in zip(self.taps, self.spans, strict=True):
            column = taps.new_zeros(self.rows, span.channels)
            columns.append(column.slice_scatter(taps, 0, span.first, span.last + 1, span.step))
        return torch.cat(columns, dim=1)

    def kernel(self) -> tuple[list[int], Tensor]:
        reach = self.rows // 2
        return list(range(-reach, reach + 1)), self.table()

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.table(), self.spans, path=self.stencil_path)

    def macs(self, height: int, width: int) -> int:
        return sum(taps.numel() for taps in self.taps) * self.num_frames * height * width

    def extra_repr(self) -> str:
        sizes = [len(taps) for taps in self.taps]
        return f"channels={self.channels}, kernel_sizes={sizes}, dilations={list(self.dilations)}"


def initial_taps(kernel_size: int, channels: int, init: str) -> nn.Parameter:
    """Taps (kernel_size, channels) at the start of training.

    "shift": the first eighth of the channels averages nothing but sums the past half of the kernel, the
    second eighth the future half, the rest passes through. "identity": all pass through. "random": uniform
    within 1 / sqrt(kernel_size), which is PyTorch's default for a depthwise convolution.
    """
    if init == "random":
        bound = 1 / math.sqrt(kernel_size)
        return nn.Parameter(torch.empty(kernel_size, channels).uniform_(-bound, bound))
    half = kernel_size // 2
    taps = torch.zeros(kernel_size, channels)
    fold = channels // 8 if init == "shift" and half > 0 else 0
    taps[:half, :fold] = 1.0
    taps[half + 1 :, fold : 2 * fold] = 1.0
    taps[half, 2 * fold :] = 1.0
    return nn.Parameter(taps)


def check_init(init: str) -> None:
    """Raises ValueError unless `initial_taps` knows it."""
    if init not in INITS:
        raise ValueError(f"init: {init!r} is none of {', '.join(INITS)}")


def _check(channels: int, kernel_sizes: Sequence[int], dilations: Sequence[int], init: str) -> None:
    if not kernel_sizes:
        raise ValueError("kernel_sizes: empty; give one odd size per channel group")
    for size in kernel_sizes:
        if size < 1 or size % 2 == 0:
            what = "even and would change the number of frames" if size % 2 == 0 and size > 0 else "below 1"
            raise ValueError(f"kernel_sizes: {size} is {what}; use an odd size")
    if len(dilations) != len(kernel_sizes):
        raise ValueError(
            f"dilations: {len(dilations)} given for {len(kernel_sizes)} kernel_sizes; give one for each"
        )
    for dilation in dilations:
        if dilation < 1:
            raise ValueError(f"dilations: {dilation} is below 1")
    if channels < len(kernel_sizes):
        raise ValueError(f"kernel_sizes: {len(kernel_sizes)} groups do not fit into {channels} channels")
    check_init(init)
