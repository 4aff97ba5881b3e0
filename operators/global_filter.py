"""GlobalFilter: every channel times a learned filter over all frequencies of its clip.

Source: GFNet (Rao et al., NeurIPS 2021), its global filter layer, here along time. Ours: it starts near the identity,
where GFNet, which stands in a residual branch, starts near zero. Transforms are matrix products: of 8 to 32 frames they
are as fast as FFTs, and know half precision. Only numbers that matter are kept: the first and, of even T, the last
frequency of real frames have no imaginary part.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators import frames
from operators.base import Facts, TemporalOp
from operators.stencil import layout


class GlobalFilter(TemporalOp, name="global_filter"):
    """Filters all frames at once; the clip's end is followed by its start.

        y_c = irfft(K_c rfft(x_c)),    K_c complex, one number a frequency

    Cost:
        2 * C * T * T * H * W MACs per clip: the two transforms.
    """

    facts = Facts(
        title="GFNet's global filter",
        venue="NeurIPS",
        year=2021,
        formula="y_c = irfft(K_c rfft(x_c)), K_c[f] complex",
        parameters="C T",
        macs="2 C T^2 H W",
        reach="T - 1",
        also=("gfnet", "fourier_filter", "fft"),
    )
    circular = True

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.reach = num_frames - 1
        self.real = nn.Parameter(1 + 0.02 * torch.randn(num_frames // 2 + 1, channels))
        self.imaginary = nn.Parameter(0.02 * torch.randn((num_frames - 1) // 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        x = layout.canonical(x)
        f, between = len(self.real), len(self.imaginary)
        forwards, backwards = _transforms(self.num_frames, x)
        real, imaginary = frames.mixed(x, forwards).split([f, between], dim=1)
        k = self.real.to(x.dtype)[:, :, None, None]  # (F, C, 1, 1)
        k_i = self.imaginary.to(x.dtype)[:, :, None, None]
        inner = slice(1, 1 + between)
        y = k * real - F.pad(k_i * imaginary, (0, 0, 0, 0, 0, 0, 1, f - 1 - between))
        y_i = k[inner] * imaginary + k_i * real[:, inner]
        filtered = layout.in_format(torch.cat([y, y_i], dim=1), layout.is_channels_last(x))
        return frames.mixed(filtered, backwards)

    def macs(self, height: int, width: int) -> int:
        return 2 * self.channels * self.num_frames**2 * height * width


def _transforms(t: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """From T frames to their spectrum, real parts and then imaginary ones, and back: two T x T matrices like x."""
    wide = torch.promote_types(x.dtype, torch.float32)
    frequencies = torch.arange(t // 2 + 1, device=x.device, dtype=wide)
    when = torch.arange(t, device=x.device, dtype=wide)
    angle = 2 * math.pi / t * frequencies[:, None] * when
    cosines, sines = angle.cos(), angle.sin()[1 : 1 + (t - 1) // 2]
    # A frequency stands for its mirror image too, where it has one.
    times = 1.0 + ((frequencies > 0) & (2 * frequencies < t)).to(angle)
    forwards = torch.cat([cosines, -sines])
    backwards = torch.cat([cosines * times[:, None], -2 * sines]).t() / t
    return forwards, backwards
