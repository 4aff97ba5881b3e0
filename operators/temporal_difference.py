"""TemporalDifference: what changes towards both neighbours weights every pixel; then a filter along time.

Source: TDN (Wang et al., CVPR 2021), its long-term module with the shift that follows it. In the published code one
branch of the backward direction reads the forward one; here, as in the paper, each direction reads its own. Pooling has
a window of one where a map has one row or column.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators import frames
from operators.base import Facts, TemporalOp
from operators.mixtconv import initial_taps
from operators.stencil import Span, layout, stencil


class TemporalDifference(TemporalOp, name="temporal_difference"):
    """Weights by differences of neighbouring frames, both ways, and filters.

        b = BN(W1 x),  C -> C/16;  for the next frame and for the one before:
        d[t] = K * b[t +- 1] - b[t],  K a depthwise 3x3 convolution; zero where there is no such frame
        m = sigmoid(BN(W3 (d + up(BN(conv3x3(half(d)))) + BN(conv3x3(d))) / 3)) - 0.5
        u = x + x (m forwards + m backwards) / 2
        y_c[t] = sum over |d| <= 1 of w_c[d] u_c[t+d],  which starts as a shift

    Both directions share all weights; batch norm takes the statistics of each by itself. Frames outside the clip count
    as zero.

    Args:
        channels: C.
        num_frames: T.
        reduction: by how much differences are narrower than C; they have at least one channel.

    Raises:
        ValueError: `reduction` is below 1.
    """

    facts = Facts(
        title="L-TDM of TDN",
        venue="CVPR",
        year=2021,
        formula="y_c[t] = sum over |d| <= 1 of w_c[d] u_c[t+d], u = x + x m, m from b[t+1] - b[t] and b[t-1] - b[t]",
        parameters="C^2 / 8 + 18 C^2 / 256 + 95 C / 16",
        macs="(3 C^2 / 16 + 57 C / 16 + 18 C^2 / 256) T H W + 18 C^2 / 256 T (H // 2) (W // 2)",
        reach="2",
        also=("tdn", "l_tdm"),
    )
    reach = 2

    def __init__(self, channels: int, num_frames: int, reduction: int = 16) -> None:
        super().__init__(channels, num_frames)
        hidden = frames.narrowed(channels, reduction)
        self.squeeze = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden))
        self.conv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.fine = nn.Sequential(nn.Conv2d(hidden, hidden, 3, padding=1, bias=False), nn.BatchNorm2d(hidden))
        self.coarse = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False), nn.BatchNorm2d(hidden)
        )
        self.expand = nn.Sequential(nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.taps = initial_taps(3, channels, "shift")
        self.spans = [Span(channels, 0, 2, 1)]

    def forward(self, x: Tensor) -> Tensor:
        b = frames.on_images(self.squeeze, x)
        convolved = frames.on_images(self.conv, b)
        after, before = (frames.on_images(self._gate, _difference(b, convolved, by)) for by in (1, -1))
        gate = (after + before) / 2
        moving = layout.in_format(x + x * gate.to(x.dtype), layout.is_channels_last(x))
        return stencil(moving, self.taps, self.spans, path=self.stencil_path)

    def _gate(self, change: Tensor) -> Tensor:
        """(N T, C / 16, H, W) -> (N T, C, H, W), within a half of zero."""
        size = change.shape[2:]
        small = self.coarse(F.avg_pool2d(change, [min(2, side) for side in size]))
        seen = change + F.interpolate(small, list(size)) + self.fine(change)
        return self.expand(seen / 3).sigmoid() - 0.5

    def macs(self, height: int, width: int) -> int:
        c, hidden = self.channels, self.conv.weight.shape[0]
        small = max(1, height // 2) * max(1, width // 2)
        maps = 3 * c * hidden + 9 * hidden + 18 * hidden * hidden + 3 * c
        return self.num_frames * (maps * height * width + 18 * hidden * hidden * small)


def _difference(b: Tensor, convolved: Tensor, by: int) -> Tensor:
    """convolved[t + by] - b[t], zero where there is no such frame: (N, T, C, H, W) twice -> the same."""
    there = torch.ones(b.shape[1], device=b.device, dtype=b.dtype)[None, :, None, None, None]
    return frames.ahead(convolved, by) - b * frames.ahead(there, by)
