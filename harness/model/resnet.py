"""The residual blocks and the 2D networks made of them.

Source: He et al. (v1.5: the stride stands in the 3x3). Parameter names are those of torchvision's public checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from harness.model.mixconv import MixConv2d
from operators import TemporalOp


def conv3x3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)


class Block(nn.Module):
    """A residual block; its operator, if any, is `temporal`, so that other parameters keep their public names."""

    expansion = 1
    conv1: nn.Conv2d
    conv2: nn.Conv2d | MixConv2d
    downsample: nn.Module | None
    temporal: TemporalOp | None

    def __init__(self) -> None:
        super().__init__()
        self.register_module("temporal", None)
        self.placement = "head"

    def place(self, placement: str, make: Callable[[int], TemporalOp]) -> None:
        """Insert the operator that `make` builds for the number of channels there."""
        channels = {
            "head": self.conv1.in_channels,
            "inner": self.conv1.out_channels,
            "after_conv2": self.conv2.out_channels,
            "block_out": self.conv2.out_channels * self.expansion,
        }
        self.placement = placement
        self.temporal = make(channels[placement])

    def _mix(self, x: Tensor, placement: str) -> Tensor:
        """(N*T, C, H, W) -> the same, through the operator if it is placed here."""
        if self.temporal is None or self.placement != placement:
            return x
        return self.temporal(x.unflatten(0, (-1, self.temporal.num_frames))).flatten(0, 1)

    def _shortcut(self, channels_in: int, channels_out: int, stride: int) -> nn.Module | None:
        if stride == 1 and channels_in == channels_out:
            return None
        return nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
        )


class BasicBlock(Block):
    """Two 3x3 convolutions (ResNet-18 and -34)."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels_in, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = self._shortcut(channels_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(self._mix(x, "head"))), inplace=True)
        y = self._mix(self.bn2(self.conv2(self._mix(y, "inner"))), "after_conv2")
        y = F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)
        return self._mix(y, "block_out")


class Bottleneck(Block):
    """1x1, 3x3, 1x1 convolutions (ResNet-50), the stride in the 3x3."""

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2: nn.Conv2d | MixConv2d = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = self._shortcut(channels_in, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(self._mix(x, "head"))), inplace=True)
        y = F.relu(self.bn2(self.conv2(self._mix(y, "inner"))), inplace=True)
        y = self.bn3(self.conv3(self._mix(y, "after_conv2")))
        y = F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)
        return self._mix(y, "block_out")


class MixBottleneck(Bottleneck):
    """A bottleneck whose 3x3 convolution is depthwise, of sizes 3, 5, 7 and 9 (MixConv, in space)."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__(channels_in, width, stride)
        self.conv2 = MixConv2d(width, stride)


@dataclass(frozen=True)
class Backbone:
    """Blocks a stage, block class, channels of the first stage, and whether the stem is the 7x7 with a max-pool."""

    block: type[BasicBlock] | type[Bottleneck]
    blocks: tuple[int, int, int, int]
    width: int = 64
    big_stem: bool = True


BACKBONES: dict[str, Backbone] = {
    "resnet18": Backbone(BasicBlock, (2, 2, 2, 2)),
    "resnet34": Backbone(BasicBlock, (3, 4, 6, 3)),
    "resnet50": Backbone(Bottleneck, (3, 4, 6, 3)),
    "mixconv_resnet50": Backbone(MixBottleneck, (3, 4, 6, 3)),
    # For CPUs: a 3x3 stem of stride 2 instead of the 7x7 and the max-pool.
    "resnet_tiny": Backbone(BasicBlock, (1, 1, 1, 1), width=16, big_stem=False),
}
