"""BN-Inception: the 2D network of TSN, TRN and ECO; operators stand at the head of its ten inception blocks.

Source: Ioffe and Szegedy, Batch Normalization, ICML 2015, Fig. 5; sizes, biases and names of the public Caffe model
that TSN and all of its followers start from. Its stages here: the stem, 3a to 3c, 4a to 4e, 5a and 5b.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model import start, weights
from harness.model.config import ModelConfig
from harness.model.framewise import Framewise, Place
from harness.model.network import scaled
from operators import TemporalOp


class Sizes(NamedTuple):
    """Channels of the branches of a block. 0: it has no such branch; of `pool`: what is pooled stays as it is.

    A block without the 1x1 halves height and width. pooled: by mean ("avg") or maximum ("max").
    """

    one: int
    three_reduce: int
    three: int
    double_reduce: int
    double: int
    pooled: str
    pool: int


BLOCKS = {
    "3a": Sizes(64, 64, 64, 64, 96, "avg", 32),
    "3b": Sizes(64, 64, 96, 64, 96, "avg", 64),
    "3c": Sizes(0, 128, 160, 64, 96, "max", 0),
    "4a": Sizes(224, 64, 96, 96, 128, "avg", 128),
    "4b": Sizes(192, 96, 128, 96, 128, "avg", 128),
    "4c": Sizes(160, 128, 160, 128, 160, "avg", 128),
    "4d": Sizes(96, 128, 192, 160, 192, "avg", 128),
    "4e": Sizes(0, 128, 192, 192, 256, "max", 0),
    "5a": Sizes(352, 192, 320, 160, 224, "avg", 128),
    "5b": Sizes(352, 192, 320, 192, 224, "max", 128),
}


def pool(x: Tensor) -> Tensor:
    """The 3x3 maximum of stride 2, sizes rounded up as in the convolutions beside it: odd ones, which the public model
    never has, are padded."""
    return F.max_pool2d(x, 3, 2, padding=(x.shape[2] % 2, x.shape[3] % 2), ceil_mode=True)


class Units(nn.Module):
    """Convolutions with batch norm and ReLU, under the public model's names."""

    temporal: TemporalOp | None

    def __init__(self) -> None:
        super().__init__()
        self.register_module("temporal", None)

    def place(self, placement: str, make: Callable[[int], TemporalOp]) -> None:
        """Insert the operator that `make` builds, before all branches."""
        self.temporal = make(self.channels)

    def mixed(self, x: Tensor) -> Tensor:
        """(N*T, C, H, W) -> the same, through the operator if there is one."""
        if self.temporal is None:
            return x
        return self.temporal(x.unflatten(0, (-1, self.temporal.num_frames))).flatten(0, 1)

    def add(self, name: str, channels_in: int, channels_out: int, size: int, stride: int = 1) -> None:
        """Make the unit `name`."""
        self.add_module(name, nn.Conv2d(channels_in, channels_out, size, stride, size // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(channels_out))

    def run(self, x: Tensor, *names: str) -> Tensor:
        """Through the units of these names, one after the other."""
        for name in names:
            x = F.relu(self.get_submodule(f"{name}_bn")(self.get_submodule(name)(x)), inplace=True)
        return x

    channels: int


class Stem(Units):
    """7x7, pool, 1x1 and 3x3, pool: an eighth of height and width."""

    def __init__(self, channels: int, width: float) -> None:
        super().__init__()
        first, self.out = scaled(64, width), scaled(192, width)
        self.add("conv1_7x7_s2", channels, first, 7, 2)
        self.add("conv2_3x3_reduce", first, first, 1)
        self.add("conv2_3x3", first, self.out, 3)

    def forward(self, x: Tensor) -> Tensor:
        return pool(self.run(pool(self.run(x, "conv1_7x7_s2")), "conv2_3x3_reduce", "conv2_3x3"))


class Inception(Units):
    """A block: 1x1, 3x3, two 3x3, and a pool beside each other.

    Args:
        channels: C.
        sizes: of the paper's width; `width` is a factor on all of them.
    """

    def __init__(self, channels: int, sizes: Sizes, width: float) -> None:
        super().__init__()
        wide: dict[str, Any] = {
            name: scaled(size, width) for name, size in sizes._asdict().items() if size and name != "pooled"
        }
        own = sizes._replace(**wide)
        self.channels, self.sizes = channels, own
        self.stride = 1 if own.one else 2
        if own.one:
            self.add("1x1", channels, own.one, 1)
        self.add("3x3_reduce", channels, own.three_reduce, 1)
        self.add("3x3", own.three_reduce, own.three, 3, self.stride)
        self.add("double_3x3_reduce", channels, own.double_reduce, 1)
        self.add("double_3x3_1", own.double_reduce, own.double, 3)
        self.add("double_3x3_2", own.double, own.double, 3, self.stride)
        if own.pool:
            self.add("pool_proj", channels, own.pool, 1)
        self.out = own.one + own.three + own.double + (own.pool or channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.with_inner(x)[0]

    def with_inner(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, and what its branch of two 3x3 holds between them, which ECO goes on from."""
        x = self.mixed(x)
        inner = self.run(x, "double_3x3_reduce", "double_3x3_1")
        branches = [self.run(x, "3x3_reduce", "3x3"), self.run(inner, "double_3x3_2")]
        if self.stride == 2:
            return torch.cat([*branches, pool(x)], dim=1), inner
        pooled = F.avg_pool2d(x, 3, 1, 1) if self.sizes.pooled == "avg" else F.max_pool2d(x, 3, 1, 1)
        return torch.cat([self.run(x, "1x1"), *branches, self.run(pooled, "pool_proj")], dim=1), inner


def stage_blocks(stage: int) -> list[str]:
    """The names of the blocks of stages 2 to 4."""
    return [name for name in BLOCKS if int(name[0]) == stage + 1]


class BNInception(Framewise):
    """BN-Inception over frames; arguments, shape and errors are those of `Framewise`. Stage 1 takes no operators."""

    def build(self, config: ModelConfig) -> int:
        self.layer1 = Stem(self.channels, config.width)
        channels = self.layer1.out
        for stage in (2, 3, 4):
            blocks = nn.Sequential()
            for name in stage_blocks(stage):
                block = Inception(channels, BLOCKS[name], config.width)
                blocks.add_module(name, block)
                channels = block.out
            self.add_module(f"layer{stage}", blocks)
        return channels

    def blocks(self, stage: int) -> Iterator[tuple[str, Place]]:
        for name, block in self.get_submodule(f"layer{stage}").named_children() if stage > 1 else ():
            assert isinstance(block, Inception)
            yield f"layer{stage}.{name}", block

    def features(self, x: Tensor) -> Tensor:
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return x

    def load(self, path: Path) -> None:
        start.load(self, from_public(weights.read(path)), path)


def from_public(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The public model's tensors under the names that layers have here, its input as frames are here.

    The public model takes BGR from 0 to 255 less (104, 117, 128); frames here are RGB less their mean, over their
    deviation. Its first layer is changed so that it gives the same but at the frame's border, where padding stands
    for another grey. A file that holds the names of this project is taken as it is.
    """
    found = {}
    for name, value in state.items():
        name = re.sub(r"^conv", "layer1.conv", name)
        name = re.sub(r"^inception_(\d)(\w)_", lambda m: f"layer{int(m[1]) - 1}.{m[1]}{m[2]}.", name)
        found[name] = value
    if "conv1_7x7_s2.weight" in state:
        kernel, bias = (state[f"conv1_7x7_s2.{part}"] for part in ("weight", "bias"))
        mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]) * 255
        rgb = kernel.flip(1)
        found["layer1.conv1_7x7_s2.weight"] = rgb * deviation[:, None, None]
        offset = (rgb * (mean - torch.tensor([128.0, 117.0, 104.0]))[:, None, None]).sum(dim=(1, 2, 3))
        found["layer1.conv1_7x7_s2.bias"] = bias + offset
    return {name: value for name, value in found.items() if not name.startswith("last_linear.")}
