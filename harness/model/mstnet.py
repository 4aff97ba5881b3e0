"""MSTNet: a 2D network over frames, with one temporal operator in every chosen block.

Source: MixTConv paper, Sec. 3.2-3.3; He et al. for the backbones (v1.5: the stride stands in the 3x3), whose
parameter names are those of torchvision's public checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from harness.model import start, weights
from harness.model.any_backbone import AnyBackbone
from harness.model.config import CONSENSUS, ModelConfig
from harness.model.framewise import Framewise, Make, Place
from harness.model.network import scaled
from harness.model.resnet import BACKBONES, Backbone, Block, conv3x3


class MSTNet(Framewise):
    """A residual network of `BACKBONES` over frames, or a backbone from outside; arguments, shape and errors are those
    of `Framewise`."""

    outside: AnyBackbone | None

    def build(self, config: ModelConfig) -> int:
        self.register_module("outside", None)
        if config.is_outside:
            self.outside = AnyBackbone(config.backbone)
            return self.outside.channels
        return self._make_backbone(BACKBONES[config.backbone], config.width)

    def _make_backbone(self, spec: Backbone, width_factor: float) -> int:
        """One of ours, under torchvision's names; returns the channels of its features."""
        width = scaled(spec.width, width_factor)
        if spec.big_stem:
            self.conv1 = nn.Conv2d(self.channels, width, 7, 2, 3, bias=False)
        else:
            self.conv1 = conv3x3(self.channels, width, 2)
        self.bn1 = nn.BatchNorm2d(width)
        self.big_stem = spec.big_stem
        channels = width
        for stage, count in enumerate(spec.blocks):
            blocks = []
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(spec.block(channels, width << stage, stride))
                channels = (width << stage) * spec.block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        return channels

    def draw(self) -> None:
        start.draw(self, convolutions=self.outside is None)  # one from outside has drawn its own

    def load(self, path: Path) -> None:
        if self.outside is None:
            super().load(path)
        else:
            classifier = self.outside.classifier
            apart = (f"{classifier}.",) if classifier else ()
            start.load(self.outside.network, weights.read(path), path, apart)

    def blocks(self, stage: int) -> Iterator[tuple[str, Place]]:
        for i, block in enumerate(self.get_submodule(f"layer{stage}").children()):
            assert isinstance(block, Block)
            yield f"layer{stage}.{i}", block

    def insert(self, config: ModelConfig, make: Make) -> None:
        if self.outside is None:
            super().insert(config, make)
        else:
            self.outside.insert(
                config.backbone,
                config.where,
                config.placement,
                tuple(config.operators),
                lambda place: make(place.channels, place.conv, config.operators[place.stage]),
            )

    def last_of_stages(self) -> dict[int, nn.Module]:
        """The module that ends a stage, whose output is that stage's; of a backbone from outside, of stages with
        operators."""
        return super().last_of_stages() if self.outside is None else self.outside.last_of_stages()

    def stage_of(self, operator: str) -> int:
        """The stage in which the operator of this name stands; 4 for the one at the consensus."""
        if self.outside is None or operator == CONSENSUS:
            return super().stage_of(operator)
        return {f"outside.network.{place.operator}": place.stage for place in self.outside.places}[operator]

    def features(self, x: Tensor) -> Tensor:
        if self.outside is not None:
            features: Tensor = self.outside(x)
            return features[:, :, None, None]
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        if self.big_stem:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return x
