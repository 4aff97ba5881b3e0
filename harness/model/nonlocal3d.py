"""The non-local block of a 3D network: every pixel of every frame attends to all others.

Source: Wang et al., Non-local Neural Networks, CVPR 2018, Sec. 3.2-3.3: embedded Gaussian, half the channels inside,
keys and values pooled 2x2. The operator `non_local` is a smaller relative for 2D networks.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class NonLocal3d(nn.Module):
    """x + BN(W_z (softmax(theta(x)' phi(x)) g(x))). BN starts at 0, so that the block starts as the identity.

    Shape:
        (N, C, T, H, W) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.theta, self.phi, self.g = (nn.Conv3d(channels, inner, 1) for _ in range(3))
        self.out = nn.Conv3d(inner, channels, 1)
        self.norm = nn.BatchNorm3d(channels)
        self.start()

    def start(self) -> None:
        """Make the block the identity."""
        nn.init.zeros_(self.norm.weight)

    def extra_macs(self, x: Tensor) -> int:
        """Multiply-adds of the two matrix products, which no layer stands for."""
        n, _, frames, height, width = x.shape
        keys = frames * -(-height // 2) * -(-width // 2)
        return 2 * n * frames * height * width * keys * self.theta.out_channels

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool3d(x, (1, 2, 2), ceil_mode=True)
        queries = self.theta(x).flatten(2)  # (N, C', T H W)
        keys, values = self.phi(pooled).flatten(2), self.g(pooled).flatten(2)
        attention = (queries.transpose(1, 2) @ keys).softmax(dim=2)
        mixed = (values @ attention.transpose(1, 2)).unflatten(2, x.shape[2:])
        result: Tensor = x + self.norm(self.out(mixed))
        return result
