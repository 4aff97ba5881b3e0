"""MotionSqueeze: where each pixel went until the next frame, turned into features and added.

Source: MotionSqueeze (Kwon et al., ECCV 2020). It stands between blocks: `block_out`, in the paper after the second
stage.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp
from operators.correlation import correlations
from operators.stencil import layout

TEMPERATURE = 0.01
SIGMA = 5.0
"""Of the Gaussian around the best match, in pixels."""

WIDTHS = (3, 16, 32, 64)


class MotionSqueeze(TemporalOp, name="motion_squeeze"):
    """Adds features of the displacement to the next frame.

        s[t](p, d) = relu(u[t](p) . u[t+1](p + d)),  u = x / |x|,  d in a window around p; zero outside the frame
        best = argmax_d s;  a = softmax_d(exp(-|d - best|^2 / (2 * 5^2)) s / 0.01)
        m[t] = (sum_d a d / half the window, max_d s): two numbers of displacement, and how sure;  m[T-1] = m[T-2]
        y = x + F(m),  F four times (depthwise, BN, relu, 1x1, BN, relu): 3 -> 16 -> 32 -> 64 -> C; first 7x7, then 3x3

    Of a clip of a single frame m is zero. Uses batch statistics in training. Matches are made in fp32 at least.

    Args:
        channels: C.
        num_frames: T.
        window: pixels along each side of the window, odd.

    Cost:
        (T - 1) * C * (H * W)^2 MACs per clip for the matches, whatever the window, and those of F.

    Raises:
        ValueError: `window` is even or below 3.
    """

    facts = Facts(
        title="MotionSqueeze",
        venue="ECCV",
        year=2020,
        formula="y[t] = x[t] + F(m[t]), m[t] the displacement from x[t] to x[t+1] by soft-argmax, and its confidence",
        parameters="66 C + 4217",
        macs="(64 C + 3763) T H W + C (T - 1) H^2 W^2",
        reach="1",
        also=("msnet", "ms_module"),
    )
    reach = 1
    span = 1  # it looks at the next frame; the last one at the one before

    def __init__(self, channels: int, num_frames: int, window: int = 15) -> None:
        super().__init__(channels, num_frames)
        if window < 3 or window % 2 == 0:
            raise ValueError(f"window: {window} is not an odd size of at least 3")
        self.window = window
        layers: list[nn.Module] = []
        for i, (width, wider) in enumerate(zip(WIDTHS, (*WIDTHS[1:], channels), strict=True)):
            size = 3 if i else 7
            layers += [
                nn.Conv2d(width, width, size, padding=size // 2, groups=width, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, wider, 1, bias=False),
                nn.BatchNorm2d(wider),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d) and not layer.weight.is_meta:
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        n, t, _, h, w = x.shape
        if t == 1:
            motion = x.new_zeros(n, 1, 3, h, w)
        else:
            motion = self._motion(x).to(x.dtype)
            motion = torch.cat([motion, motion[:, -1:]], dim=1)
        y = x + frames.on_images(self.features, motion).to(x.dtype)
        return layout.in_format(y, layout.is_channels_last(x))

    def _motion(self, x: Tensor) -> Tensor:
        """(N, T, C, H, W) -> (N, T - 1, 3, H, W): displacements along width and height, and confidence."""
        seen = correlations(x[:, :-1], x[:, 1:], self.window).relu()  # (N, T - 1, H, W, d_y, d_x)
        half = self.window // 2
        d = torch.arange(-half, half + 1, device=x.device, dtype=seen.dtype)
        dy, dx = (axis.flatten() for axis in torch.meshgrid(d, d, indexing="ij"))
        flat = seen.flatten(4)
        confidence, best = flat.max(dim=4, keepdim=True)
        far = (dy - dy[best]) ** 2 + (dx - dx[best]) ** 2
        weight = ((-far / (2 * SIGMA**2)).exp() * flat / TEMPERATURE).softmax(dim=4)
        flow = [(weight * axis).sum(dim=4) / half for axis in (dx, dy)]
        return torch.stack([*flow, confidence[..., 0]], dim=2)

    def macs(self, height: int, width: int) -> int:
        pixels, c, t = height * width, self.channels, self.num_frames
        weights = sum(layer.weight.numel() for layer in self.features if isinstance(layer, nn.Conv2d))
        return weights * t * pixels + c * (t - 1) * pixels**2
