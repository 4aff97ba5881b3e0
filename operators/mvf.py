"""MVF: part of the channels is filtered along time, height and width, and the three are summed.

Source: MVFNet's multi-view fusion module (Wu et al., AAAI 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators import frames
from operators.base import Facts, TemporalOp
from operators.stencil import Span, layout, stencil

VIEWS = ("T", "TH", "THW")


class MVF(TemporalOp, name="mvf"):
    """Filters the first channels depthwise along each view; the other channels stay.

        y = hardswish(BN(D_T x + D_H x + D_W x)),  D_V three taps along V for each channel

    Outside the clip and the image there are zeros. Taps start normal with variance 2 / (3 * filtered channels), as
    published. Uses batch statistics in training.

    Args:
        channels: C.
        num_frames: T.
        part: of the channels that are filtered.
        views: "T", "TH" or "THW".

    Cost:
        3 * views * part * C * T * H * W MACs per clip.

    Raises:
        ValueError: `part` lets no channel, or more than all, be filtered; or unknown views.
    """

    facts = Facts(
        title="MVF",
        venue="AAAI",
        year=2021,
        formula="y = hardswish(BN(D_T x + D_H x + D_W x)) on C/2 channels, x on the rest; D depthwise, 3 taps",
        parameters="11 C / 2",
        macs="9 C T H W / 2",
        reach="1",
        also=("mvfnet", "multi_view_fusion"),
    )
    reach = 1

    def __init__(self, channels: int, num_frames: int, part: float = 0.5, views: str = "THW") -> None:
        super().__init__(channels, num_frames)
        filtered = int(channels * part)
        if not 1 <= filtered <= channels:
            raise ValueError(f"part: {part} of {channels} channels are {filtered}, not 1 to all of them")
        if views not in VIEWS:
            raise ValueError(f"views: {views!r} is none of {', '.join(VIEWS)}")
        std = (2 / (3 * filtered)) ** 0.5
        self.taps = nn.ParameterList(std * torch.randn(3, filtered) for _ in views)
        self.norm = nn.BatchNorm2d(filtered)
        self.spans = [Span(filtered, 0, 2, 1)]

    def forward(self, x: Tensor) -> Tensor:
        filtered = self.taps[0].shape[1]
        part = x[:, :, :filtered]
        y = stencil(part, self.taps[0], self.spans, path=self.stencil_path)
        for taps, shape in zip(list(self.taps)[1:], ((3, 1), (1, 3)), strict=False):
            kernel = taps.t().reshape(filtered, 1, *shape)
            images = F.conv2d(
                part.flatten(0, 1), kernel, padding=(shape[0] // 2, shape[1] // 2), groups=filtered
            )
            y = y + images.unflatten(0, x.shape[:2])
        y = F.hardswish(frames.on_images(self.norm, y)).to(x.dtype)
        return layout.in_format(torch.cat([y, x[:, :, filtered:]], dim=2), layout.is_channels_last(x))

    def macs(self, height: int, width: int) -> int:
        return sum(taps.numel() for taps in self.taps) * self.num_frames * height * width
