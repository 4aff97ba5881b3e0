"""Timeception: groups of channels through kernels of several sizes and a pooling, and their channels shuffled.

Source: Timeception (Hussein et al., CVPR 2019), one layer. Ours, so that the shape is kept: a branch has a fifth of its
group's channels and not a quarter, and time is not pooled after the layer. Left out: biases before batch norm, which
takes them out again.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp
from operators.mixtconv import initial_taps
from operators.stencil import Span, layout, stencil

BRANCHES = 5
SIZES = (1, 3, 5, 7, 1)
"""Taps of each branch, in frames; where 1, there is no filter."""


class Timeception(TemporalOp, name="timeception"):
    """Mixes the channels of each group, sends a fifth of them through each of five branches, and shuffles groups.

        z = W_g x in each group of C / g channels, split into five branches
        b1 = z;  b2, b3, b4 = depthwise convolutions of 3, 5 and 7 frames;  b5[t] = max(z[t], z[t+1])
        y = shuffle(relu(BN([b1 b2 b3 b4 b5])))

    A group's channels that five does not divide go to the first branches, one to each. The shuffle deals channels out:
    the first of each group, the second of each, and so on. Frames outside the clip count as zero; the last one is its
    own maximum. Uses batch statistics in training.

    Args:
        channels: C.
        num_frames: T.
        groups: g; halved until it divides C and a group has a channel for each branch.

    Cost:
        C * C / g * T * H * W MACs per clip, and those of the filters.

    Raises:
        ValueError: `groups` is below 1, or there are fewer than 5 channels.
    """

    facts = Facts(
        title="Timeception's layer, its shape kept",
        venue="CVPR",
        year=2019,
        formula="y = shuffle(relu(BN(z, K3 z, K5 z, K7 z, max(z[t], z[t+1])))), z = W x in each of 8 groups",
        parameters="C^2 / 8 + 2 C + 24 ((C // 8 + 3) // 5) + 40 ((C // 8 + 2) // 5) + 56 ((C // 8 + 1) // 5)",
        macs="(C^2 / 8 + 24 ((C // 8 + 3) // 5) + 40 ((C // 8 + 2) // 5) + 56 ((C // 8 + 1) // 5)) T H W",
        reach="3",
    )
    reach = 3

    def __init__(self, channels: int, num_frames: int, groups: int = 8) -> None:
        super().__init__(channels, num_frames)
        if groups < 1:
            raise ValueError(f"groups: {groups} is below 1")
        if channels < BRANCHES:
            raise ValueError(f"channels: {channels} are fewer than the {BRANCHES} branches")
        while channels % groups or channels // groups < BRANCHES:
            groups = max(1, groups // 2)
        self.groups = groups
        each = channels // groups
        self.parts = [(each + BRANCHES - 1 - i) // BRANCHES for i in range(BRANCHES)]
        self.mix = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)
        self.taps = nn.ParameterList(
            initial_taps(size, groups * part, "random")
            for size, part in zip(SIZES, self.parts, strict=True)
            if size > 1
        )
        self.norm = nn.BatchNorm2d(channels)
        self.spans = [
            Span(part, 3 - size // 2, 3 + size // 2, 1) for size, part in zip(SIZES, self.parts, strict=True)
        ] * groups

    def table(self) -> Tensor:
        """All filters on one grid of offsets: (7, C); what is not filtered passes."""
        learned = iter(self.taps)
        columns = []
        for size, part in zip(SIZES, self.parts, strict=True):
            taps = next(learned) if size > 1 else self.mix.weight.new_ones(1, self.groups * part)
            rows = taps.new_zeros(7, taps.shape[1]).slice_scatter(taps, 0, 3 - size // 2, 4 + size // 2)
            columns.append(rows.unflatten(1, (self.groups, part)))
        return torch.cat(columns, dim=2).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        z = frames.on_images(self.mix, x)
        counted = sum(taps.numel() for taps in self.taps)
        z = stencil(z, self.table(), self.spans, path=self.stencil_path, taps=counted)
        z = z.unflatten(2, (self.groups, -1))
        rest, last = z.split([z.shape[3] - self.parts[-1], self.parts[-1]], dim=3)
        pooled = torch.maximum(last, torch.cat([last[:, 1:], last[:, -1:]], dim=1))
        y = frames.on_images(self.norm, torch.cat([rest, pooled], dim=3).flatten(2, 3)).relu()
        y = y.unflatten(2, (self.groups, -1)).transpose(2, 3).flatten(2, 3)
        return layout.in_format(y.to(x.dtype), layout.is_channels_last(x))

    def macs(self, height: int, width: int) -> int:
        weights = self.mix.weight.numel() + sum(taps.numel() for taps in self.taps)
        return weights * self.num_frames * height * width
