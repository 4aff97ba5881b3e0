"""ECO and ECO Lite: the first blocks of BN-Inception on every frame, then a 3D ResNet-18 over all of them.

Source: Zolfaghari et al., ECO: Efficient Convolutional Network for Online Video Understanding, ECCV 2018, Sec. 3.2 and
Table 1; where batch norm and shortcuts stand is taken from the published network.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model import bninception, start, weights
from harness.model.bninception import BLOCKS, Inception, Stem, Units, stage_blocks
from harness.model.config import ModelConfig
from harness.model.network import Network, SeededDropout, scaled
from harness.seeds import seed_for


class Reduced(Units):
    """Of BN-Inception's block 3c what ECO Lite needs: the first two layers of the branch of two 3x3."""

    def __init__(self, channels: int, width: float) -> None:
        super().__init__()
        sizes = BLOCKS["3c"]
        self.add("double_3x3_reduce", channels, scaled(sizes.double_reduce, width), 1)
        self.add("double_3x3_1", scaled(sizes.double_reduce, width), scaled(sizes.double, width), 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x, "double_3x3_reduce", "double_3x3_1")


class Residual3d(nn.Module):
    """Two 3x3x3 convolutions and a shortcut; the sum goes on before its batch norm and ReLU, which the next one sees.

    Args:
        stride: of frames, height and width alike; above 1 the shortcut is a 3x3x3 convolution.

    Shape:
        (N, C, T, H, W), and the same before batch norm and ReLU -> two such of the next size.
    """

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3x3(channels, out, stride)
        self.bn1 = nn.BatchNorm3d(out)
        self.conv2 = conv3x3x3(out, out)
        self.bn = nn.BatchNorm3d(out)
        self.downsample = conv3x3x3(channels, out, stride) if stride > 1 else None

    def forward(self, x: Tensor, shortcut: Tensor) -> tuple[Tensor, Tensor]:
        y = self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True))
        total = y + (shortcut if self.downsample is None else self.downsample(x))
        return F.relu(self.bn(total)), total


def conv3x3x3(channels: int, out: int, stride: int = 1) -> nn.Conv3d:
    return nn.Conv3d(channels, out, 3, stride, 1, bias=False)


class First3d(nn.Module):
    """96 to 128 channels, and one residual block: what stands for ResNet-18's second stage."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = conv3x3x3(channels, out)
        self.bn = nn.BatchNorm3d(out)
        self.block = Residual3d(out, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv(x)
        result: Tensor = self.block(F.relu(self.bn(first)), first)[0]
        return result


class Stage3d(nn.Module):
    """Two residual blocks, of which the first halves frames, height and width."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.first, self.second = Residual3d(channels, out, 2), Residual3d(out, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(*self.first(x, x))[0]
        return result


class ECO(Network):
    """ECO Lite ("eco_lite"), or ECO ("eco"), in which the rest of BN-Inception goes on beside the 3D part.

    Args:
        config: the network; `weights` is a BN-Inception for the 2D part, `weights_3d` a ResNet-18 for the 3D one.
        num_frames: T.
        num_classes: width of the classifier.
        seed: decides all initial weights.
        channels: of a frame.

    Shape:
        (N, T, channels, H, W) -> (N, num_classes).

    Raises:
        ValueError: clips of another T.
        StudyError: a file of weights is not there, cannot be read, or is of another network.
    """

    def __init__(
        self, config: ModelConfig, num_frames: int, num_classes: int, seed: int = 0, channels: int = 3
    ) -> None:
        super().__init__(num_frames, channels)
        width, sizes = config.width, [scaled(size, config.width) for size in (96, 128, 256, 512)]
        self.whole = config.backbone == "eco"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "backbone"))
            stem = Stem(channels, width)
            self.frames2d, now = nn.ModuleDict({"layer1": stem}), stem.out
            for stage in (2, 3, 4) if self.whole else (2,):
                blocks = nn.Sequential()
                for name in stage_blocks(stage):
                    if name == "3c" and not self.whole:
                        blocks.add_module(name, Reduced(now, width))
                        continue
                    block = Inception(now, BLOCKS[name], width)
                    blocks.add_module(name, block)
                    now = block.out
                self.frames2d[f"layer{stage}"] = blocks
            self.layer2 = First3d(sizes[0], sizes[1])
            self.layer3, self.layer4 = Stage3d(sizes[1], sizes[2]), Stage3d(sizes[2], sizes[3])
            self.dropout = SeededDropout(config.dropout)
            self.fc = nn.Linear(sizes[3] + (now if self.whole else 0), num_classes)
            start.draw(self)
        if config.weights:
            self._load_2d(config.weights)
        if config.weights_3d:
            self._load_3d(config.weights_3d)

    def _load_2d(self, setting: str) -> None:
        """The 2D part from a whole BN-Inception."""
        path = weights.find(setting, "bninception")
        state = bninception.from_public(weights.read(path))
        own = self.frames2d.state_dict()
        if not self.whole:  # the rest of the network has no place here
            state = {key: value for key, value in state.items() if key in own}
        start.load(self.frames2d, state, path)

    def _load_3d(self, setting: str) -> None:
        """The 3D part from the second blocks and stages of a ResNet-18, inflated; a 1x1 shortcut fills the centre of
        its 3x3. The first convolution and batch norm behind a sum have no counterpart there, and keep their start."""
        path = weights.find(setting, "resnet18")
        state = {}
        for key, value in weights.read(path).items():
            if name := _of_resnet18(key):
                state[name] = F.pad(value, (1, 1, 1, 1)) if name.endswith("downsample.weight") else value
        alone = re.compile(r"layer2\.(conv|bn)\.|.*\.bn\.|frames2d\.|fc\.")
        own = {key: value for key, value in self.state_dict().items() if alone.match(key)}
        start.load(self, own | state, path, apart=("fc.",), what="weights_3d")

    def forward(self, clips: Tensor) -> Tensor:
        self.check(clips)
        x = self.frames2d["layer1"](clips.flatten(0, 1))
        beside = None
        for name, block in self.frames2d["layer2"].named_children():
            if name == "3c" and isinstance(block, Inception):
                beside, x = block.with_inner(x)
            else:
                x = block(x)
        volume = x.unflatten(0, (-1, self.num_frames)).transpose(1, 2)
        features = self.layer4(self.layer3(self.layer2(volume))).mean(dim=(2, 3, 4))  # (N, 512)
        if beside is not None:
            frames = self.frames2d["layer4"](self.frames2d["layer3"](beside)).mean(dim=(2, 3))
            means = frames.unflatten(0, (-1, self.num_frames)).mean(dim=1)  # (N, 1024)
            features = torch.cat([features, means], dim=1)
        scores: Tensor = self.fc(self.dropout(features))
        return scores


def _of_resnet18(key: str) -> str:
    """The name here of a ResNet-18's tensor, "" for one that has none."""
    found = re.fullmatch(r"layer([234])\.([01])\.(conv1|bn1|conv2|downsample\.0)\.(\w+)", key)
    if not found or (found[1] == "2" and found[2] == "0"):
        return ""
    stage, block, layer, kind = found.groups()
    place = "block" if stage == "2" else ("first", "second")[int(block)]
    return f"layer{stage}.{place}.{layer.removesuffix('.0')}.{kind}"
