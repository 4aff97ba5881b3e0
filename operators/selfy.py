"""SELFY: how every pixel resembles its surroundings in near frames, as features of their own.

Source: SELFY (Kwon et al., ICCV 2021), self-similarity with the features of its convolutional extraction. It stands
between blocks: `block_out`, in the paper after the second stage. A map of odd size is cut at its end after upsampling.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp
from operators.correlation import correlations
from operators.stencil import layout

FRAMES, WINDOW, WIDTH = 5, 9, 64
EXTRACTED = ((1, 4, 1, 1), (4, 16, 2, 1), (16, WIDTH, 2, 1), (WIDTH, WIDTH, 1, 0))
"""Of each 3x3 convolution over a window: channels in and out, stride, padding. 9 x 9 -> 9 -> 5 -> 3 -> 1."""


def _layer(channels_in: int, channels_out: int, stride: int = 1, padding: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels_out, 3, stride, padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU())


class SELFY(TemporalOp, name="selfy"):
    """Adds features of self-similarity; starts as a ReLU.

        z = relu(BN(conv3x3 of stride 2(x))),  C -> C/4
        s[t, l](p, d) = cosine of z[t](p) and z[t+l](p + d),  |l| <= 2, d in a window of 9 x 9; zero outside
        e[t, l](p) = four 3x3 convolutions, BN and relu over s[t, l](p, .),  to 64 channels
        i[t] = conv3x3 over all l of three 3x3 convolutions of e[t, l] over pixels, each with BN and relu, 64 channels
        y = relu(x + BN(up(W i))),  up: every pixel to the first of four, the rest zero; BN's scale starts at 0

    Uses batch statistics in training. Similarities are computed in fp32 at least.

    Args:
        channels: C; C // 4 is at least 1.
        num_frames: T.

    Cost:
        Of half the height and width, h and w: 1.4 M MACs a pixel, and 5 * C / 4 * (h * w)^2 * T for similarities.
    """

    facts = Facts(
        title="SELFY",
        venue="ICCV",
        year=2021,
        formula="y[t] = relu(x[t] + F(s[t])), s[t] the cosines of a pixel with 9 x 9 around it in frames t-2 to t+2",
        parameters="9 C^2 / 4 + 133 C / 2 + 342412",
        macs="(9 C^2 / 4 + 64 C + 1422900) T ((H + 1) // 2) ((W + 1) // 2) "
        "+ 5 C T / 4 ((H + 1) // 2)^2 ((W + 1) // 2)^2",
        reach="2",
        also=("stss", "self_similarity"),
    )
    reach = FRAMES // 2

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.squeeze = _layer(channels, max(1, channels // 4), stride=2)
        self.extract = nn.Sequential(*(_layer(*one) for one in EXTRACTED))
        self.integrate = nn.Sequential(*(_layer(WIDTH, WIDTH) for _ in range(3)))
        self.fuse = _layer(FRAMES * WIDTH, WIDTH)
        self.expand = nn.Conv2d(WIDTH, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)
        for conv in self._convolutions():
            if not conv.weight.is_meta:
                nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def _convolutions(self) -> Iterator[nn.Conv2d]:
        return (module for module in self.modules() if isinstance(module, nn.Conv2d))

    def forward(self, x: Tensor) -> Tensor:
        n, t, _, height, width = x.shape
        z = frames.on_images(self.squeeze, x)
        near = [correlations(z, frames.ahead(z, by), WINDOW) for by in range(-(FRAMES // 2), FRAMES // 2 + 1)]
        similar = torch.stack(near, dim=2).to(x.dtype)  # (N, T, l, h, w, d_y, d_x)
        h, w = similar.shape[3:5]
        found = self.extract(similar.flatten(0, 4).unsqueeze(1))  # (N T l h w, 64, 1, 1)
        maps = found.view(n * t * FRAMES, h, w, WIDTH).permute(0, 3, 1, 2)
        maps = self.integrate(maps).unflatten(0, (n * t, FRAMES)).flatten(1, 2)
        small = self.expand(self.fuse(maps))
        up = small.new_zeros(*small.shape[:2], 2 * h, 2 * w)
        up[:, :, ::2, ::2] = small
        change = self.norm(up[:, :, :height, :width]).unflatten(0, (n, t))
        return layout.in_format((x + change.to(x.dtype)).relu(), layout.is_channels_last(x))

    def macs(self, height: int, width: int) -> int:
        pixels = (height + 1) // 2 * ((width + 1) // 2)
        sides = (9, 5, 3, 1)  # of what the convolutions over a window give
        windows = sum(9 * i * o * side**2 for (i, o, _, _), side in zip(EXTRACTED, sides, strict=True))
        squeeze = self.squeeze[0].weight
        assert isinstance(squeeze, Tensor)
        maps = squeeze.numel() + FRAMES * (windows + 27 * WIDTH**2 + 9 * WIDTH**2)
        maps += self.expand.weight.numel()
        similar = FRAMES * squeeze.shape[0] * pixels**2
        return self.num_frames * (maps * pixels + similar)
