"""Action: three attentions over a shifted clip: where and when, which channels, and what moves.

Source: ACTION-Net (Wang et al., CVPR 2021).
"""

from __future__ import annotations

from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp
from operators.mixtconv import initial_taps
from operators.motion_excitation import difference
from operators.stencil import Span, stencil


class Action(TemporalOp, name="action"):
    """Filters along time, then sums three weighted copies.

        s_c[t] = sum over |d| <= 1 of w_c[d] x_c[t+d],  which starts as a shift
        m1 = sigmoid(conv3x3x3(mean over channels of s))
        m2 = sigmoid(W2 relu(conv3 over time(W1 mean over pixels of s))),  C -> C/16 -> C
        m3 = sigmoid(W4 mean over pixels of d),  d[t] = K * b[t+1] - b[t],  b = BN(W3 s),  C -> C/16 -> C
        y = s (1 + m1) + s (1 + m2) + s (1 + m3)

    Frames outside the clip count as zero, and so does d at the last one. Starts at about 4.5 times a shift. Uses
    batch statistics in training.

    Args:
        channels: C.
        num_frames: T.
        reduction: by how much m2 and m3 are narrower than C; they have at least one channel.

    Raises:
        ValueError: `reduction` is below 1.
    """

    facts = Facts(
        title="ACTION",
        venue="CVPR",
        year=2021,
        formula="y = s (3 + m1 + m2 + m3), s_c[t] = sum over |d| <= 1 of w_c[d] x_c[t+d], m sigmoids of s",
        parameters="C^2 / 4 + 3 C^2 / 256 + 59 C / 16 + 27",
        macs="3 C T H W + 27 T H W + (C^2 + 9 C) T H W / 16 + 3 C^2 T / 16 + 3 C^2 T / 256",
        reach="2",
        also=("action_net",),
    )
    reach = 2

    def __init__(self, channels: int, num_frames: int, reduction: int = 16) -> None:
        super().__init__(channels, num_frames)
        hidden = frames.narrowed(channels, reduction)
        self.taps = initial_taps(3, channels, "shift")
        self.spans = [Span(channels, 0, 2, 1)]
        self.where = nn.Conv3d(1, 1, 3, padding=1, bias=False)
        self.channel_squeeze = nn.Linear(channels, hidden, bias=False)
        self.channel_conv = nn.Conv1d(hidden, hidden, 3, padding=1, bias=False)
        self.channel_expand = nn.Linear(hidden, channels, bias=False)
        self.motion_squeeze = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden)
        )
        self.motion_conv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.motion_expand = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        s = stencil(x, self.taps, self.spans, path=self.stencil_path)
        where = self.where(s.mean(dim=2)[:, None]).sigmoid()[:, 0, :, None]  # (N, T, 1, H, W)
        squeezed = self.channel_squeeze(s.mean(dim=(3, 4)))
        channel = self.channel_expand(frames.along_time(self.channel_conv, squeezed).relu()).sigmoid()
        b = frames.on_images(self.motion_squeeze, s)
        change = difference(b, frames.on_images(self.motion_conv, b)).mean(dim=(3, 4))
        motion = self.motion_expand(change).sigmoid()
        return s * (3 + where + (channel + motion)[..., None, None]).to(x.dtype)

    def macs(self, height: int, width: int) -> int:
        hidden, c = self.channel_conv.weight.shape[0], self.channels
        maps = 3 * c + 27 + hidden * (c + 9)
        return self.num_frames * (maps * height * width + 3 * hidden * c + 3 * hidden * hidden)
