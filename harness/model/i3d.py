"""I3D on ResNet-50, and with non-local blocks.

Source: Wang and Gupta, Videos as Space-Time Region Graphs, ECCV 2018, Table 1: the network that the MixTConv paper
compares with. The last stage keeps height and width; every other block looks along time, as in Wang et al.,
Non-local Neural Networks, CVPR 2018, Sec. 4 (3x1x1). Parameter names are those of torchvision's 2D checkpoint.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model import start, weights
from harness.model.config import ModelConfig
from harness.model.network import Network, SeededDropout, scaled
from harness.model.nonlocal3d import NonLocal3d
from harness.seeds import seed_for

FRAMES = ((3, 3, 3), (3, 1, 3, 1), (3, 1, 3, 1, 3, 1), (1, 3, 1))
"""Of each block of each stage, how many frames its first convolution sees."""

ATTENDING = {2: (1, 3), 3: (1, 3, 5)}
"""The blocks of a stage behind which a non-local block stands."""


class Bottleneck3d(nn.Module):
    """1x1 over `frames` frames, 3x3, 1x1: a bottleneck of ResNet-50 (v1.5), inflated along time in its first layer."""

    def __init__(self, channels: int, width: int, stride: int, frames: int, attends: bool) -> None:
        super().__init__()
        out = 4 * width
        self.conv1 = nn.Conv3d(channels, width, (frames, 1, 1), padding=(frames // 2, 0, 0), bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(out)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels != out:
            shortcut = nn.Conv3d(channels, out, 1, (1, stride, stride), bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm3d(out))
        self.attention = NonLocal3d(out) if attends else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        y = F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)
        return y if self.attention is None else self.attention(y)


class I3D(Network):
    """I3D on ResNet-50.

    Args:
        config: the network; "nl_i3d_resnet50" has five non-local blocks.
        num_frames: T.
        num_classes: width of the classifier.
        seed: decides all initial weights.
        channels: of a frame.

    Shape:
        (N, T, channels, H, W) -> (N, num_classes).

    Raises:
        ValueError: clips of another T.
        StudyError: the file of `config.weights`, a 2D ResNet-50, is not there, cannot be read, or is another network.
    """

    def __init__(
        self, config: ModelConfig, num_frames: int, num_classes: int, seed: int = 0, channels: int = 3
    ) -> None:
        super().__init__(num_frames, channels)
        attending = ATTENDING if config.backbone == "nl_i3d_resnet50" else {}
        first = scaled(64, config.width)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "backbone"))
            self.conv1 = nn.Conv3d(channels, first, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False)
            self.bn1 = nn.BatchNorm3d(first)
            self.pool1 = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
            now = first
            for stage, frames in enumerate(FRAMES, start=1):
                width = first << (stage - 1)
                blocks = []
                for i, seen in enumerate(frames):
                    stride = 2 if stage in (2, 3) and i == 0 else 1
                    attends = i in attending.get(stage, ())
                    blocks.append(Bottleneck3d(now, width, stride, seen, attends))
                    now = 4 * width
                self.add_module(f"layer{stage}", nn.Sequential(*blocks))
                if stage == 1:
                    self.pool2 = nn.MaxPool3d((3, 1, 1), (2, 1, 1), (1, 0, 0))
            self.dropout = SeededDropout(config.dropout)
            self.fc = nn.Linear(now, num_classes)
            start.draw(self)
        for module in self.modules():
            if isinstance(module, NonLocal3d):
                module.start()
        if config.weights:
            path = weights.find(config.weights, config.backbone)
            state = weights.read(path)
            own = {key: value for key, value in self.state_dict().items() if ".attention." in key}
            start.load(self, own | state, path)

    def horizon(self) -> int | None:
        """As for any network; a non-local block sees all frames."""
        if any(isinstance(module, NonLocal3d) for module in self.modules()):
            return self.num_frames - 1
        return super().horizon()

    def forward(self, clips: Tensor) -> Tensor:
        self.check(clips)
        x = F.relu(self.bn1(self.conv1(clips.transpose(1, 2))), inplace=True)
        x = self.pool2(self.get_submodule("layer1")(self.pool1(x)))
        for stage in (2, 3, 4):
            x = self.get_submodule(f"layer{stage}")(x)
        scores: Tensor = self.fc(self.dropout(x.mean(dim=(2, 3, 4))))
        return scores
