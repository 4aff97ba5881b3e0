"""MotionExcitation: channels that change until the next frame count more.

Source: TEA (Li et al., CVPR 2020), its motion excitation module.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from operators import frames
from operators.base import Facts, TemporalOp


class MotionExcitation(TemporalOp, name="motion_excitation"):
    """Weights channels by the difference of neighbouring frames, computed on C / reduction of them.

        b = BN(W1 x),  C -> C/16
        d[t] = K * b[t+1] - b[t],  K a depthwise 3x3 convolution; zero at the last frame
        y = x + x (sigmoid(BN(W3 mean over pixels of d)) - 0.5)

    Uses batch statistics in training.

    Args:
        channels: C.
        num_frames: T.
        reduction: by how much the difference is narrower than C; it has at least one channel.

    Raises:
        ValueError: `reduction` is below 1.
    """

    facts = Facts(
        title="ME of TEA",
        venue="CVPR",
        year=2020,
        formula="y = x + x (sigmoid(BN(W3 mean(d))) - 0.5), d[t] = K * b[t+1] - b[t], b = BN(W1 x)",
        parameters="C^2 / 8 + 43 C / 16",
        macs="(C^2 + 9 C) T H W / 16 + C^2 T / 16",
        reach="1",
        also=("tea", "me"),
    )
    reach = 1
    span = 1  # it looks at the next frame, never at the one before

    def __init__(self, channels: int, num_frames: int, reduction: int = 16) -> None:
        super().__init__(channels, num_frames)
        hidden = frames.narrowed(channels, reduction)
        self.squeeze = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden))
        self.conv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.expand = nn.Linear(hidden, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        b = frames.on_images(self.squeeze, x)
        change = difference(b, frames.on_images(self.conv, b)).mean(dim=(3, 4))  # (N, T, hidden)
        gate = self.norm(self.expand(change).flatten(0, 1)).unflatten(0, x.shape[:2]).sigmoid() - 0.5
        return x + x * gate[..., None, None].to(x.dtype)

    def macs(self, height: int, width: int) -> int:
        hidden, c = self.expand.weight.shape[1], self.channels
        return self.num_frames * (hidden * (c + 9) * height * width + hidden * c)


def difference(b: Tensor, convolved: Tensor) -> Tensor:
    """convolved[t+1] - b[t], and zero at the last frame: (N, T, C, H, W) twice -> the same."""
    return F.pad(convolved[:, 1:] - b[:, :-1], (0, 0, 0, 0, 0, 0, 0, 1))
