"""2D networks over frames as users have them, in small: what the large public ones do, each in a few lines."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv(channels_in: int, channels_out: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, size, stride, size // 2, groups=groups, bias=False)


class Basic(nn.Module):
    """Two convolutions; the shortcut is projected where its size changes, and registered last (ResNet)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels_in, channels, 3, stride), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv(channels, channels), nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels_in != channels:
            self.downsample = nn.Sequential(conv(channels_in, channels, 1, stride), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Projected(nn.Module):
    """A projected shortcut that is registered and run before the other branch (RegNet)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(conv(channels_in, channels, 1, stride), nn.BatchNorm2d(channels))
        self.f = nn.Sequential(conv(channels_in, channels, 1), nn.ReLU(), conv(channels, channels, 3, stride))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.proj(x) + self.f(x))


class Gate(nn.Module):
    """Squeeze and excitation: a product, not a sum, with convolutions on single pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))).sigmoid()


class SpatialGate(nn.Module):
    """A gate by a convolution on a map (CBAM)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(1, 1, 7)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(x.mean(1, keepdim=True)).sigmoid()


class Inverted(nn.Module):
    """Expand, filter, gate, project; a shortcut only where nothing changes its size (MobileNetV3)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        wide = 2 * channels_in
        self.block = nn.Sequential(
            nn.Sequential(conv(channels_in, wide, 1), nn.BatchNorm2d(wide), nn.Hardswish(inplace=True)),
            nn.Sequential(conv(wide, wide, 3, stride, wide), SpatialGate(), Gate(wide)),
            nn.Sequential(conv(wide, channels, 1), nn.BatchNorm2d(channels)),
        )
        self.shortcut = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.shortcut else self.block(x)


class Next(nn.Module):
    """One convolution, then linear layers on channels that come last (ConvNeXt)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.smaller = (
            conv(channels_in, channels, stride, stride)
            if stride > 1 or channels_in != channels
            else nn.Identity()
        )
        self.inside = NextInside(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(self.smaller(x))


class NextInside(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv, self.norm = conv(channels, channels, 7, groups=channels), nn.LayerNorm(channels)
        self.up, self.down = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        return x + self.down(F.gelu(self.up(y))).permute(0, 3, 1, 2)


class Net(nn.Module):
    """A stem and six blocks: two with 8 channels, two with 16, two with 24, on ever smaller maps; then a classifier."""

    def __init__(self, block: Callable[[int, int, int], nn.Module] = Basic, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU())
        self.stages = nn.Sequential(
            nn.Sequential(block(8, 8, 1), block(8, 8, 1)),
            nn.Sequential(block(8, 16, 2), block(16, 16, 1)),
            nn.Sequential(block(16, 24, 2), block(24, 24, 1)),
        )
        self.fc = nn.Linear(24, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.stages(self.stem(x)).mean((2, 3)))


def drawn(network: nn.Module, seed: int = 0) -> nn.Module:
    """The same network with weights and statistics of its own, so that nothing in it is zero or one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("running_mean"):
                buffer.normal_(0, 0.1, generator=generator)
    return network


class Centred(Basic):
    """Takes the mean over the batch away: clips meet."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0, keepdim=True))


class Tokens(nn.Module):
    """Attention between patches (ViT): no maps after the first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 32, 32)
        self.block1, self.block2 = TokenBlock(), TokenBlock()

    def forward(self, x: Tensor) -> Tensor:
        return self.block2(self.block1(self.patches(x).flatten(2).transpose(1, 2))).mean(1)


class TokenBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(x, x, x)[0]


class Branched(nn.Module):
    """Two branches of two convolutions and a shortcut: no one place is the block's beginning."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Sequential(conv(channels_in, channels, 1), conv(channels, channels, 3, stride))
        self.two = nn.Sequential(conv(channels_in, channels, 3), conv(channels, channels, 3, stride))
        self.three = conv(channels_in, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) + self.two(x) + self.three(x)
