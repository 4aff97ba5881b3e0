"""C3D: eight 3x3x3 convolutions and three dense layers.

Source: Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015, Sec. 3.3 and Fig. 3:
16 frames of 112x112 pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model import start
from harness.model.config import ModelConfig
from harness.model.network import Network, SeededDropout, scaled
from harness.seeds import seed_for

STAGES = ((64, 128), (256, 256), (512, 512), (512, 512))
"""Convolutions of a stage; the first stage pools behind each of its two, the first of these pools not over frames."""

LEFT = (1, 4, 4)
"""Frames, height and width that the dense layers see: what the paper's clips come down to. Others are averaged or
repeated to it."""


class C3D(Network):
    """C3D. It has no batch norm, and knows no 2D network to start from.

    Args:
        config: the network.
        num_frames: T.
        num_classes: width of the classifier.
        seed: decides all initial weights.
        channels: of a frame.

    Shape:
        (N, T, channels, H, W) -> (N, num_classes).

    Raises:
        ValueError: clips of another T.
    """

    def __init__(
        self, config: ModelConfig, num_frames: int, num_classes: int, seed: int = 0, channels: int = 3
    ) -> None:
        super().__init__(num_frames, channels)
        dense = scaled(4096, config.width)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "backbone"))
            now = channels
            for stage, sizes in enumerate(STAGES, start=1):
                layers: list[nn.Module] = []
                for i, size in enumerate(sizes):
                    layers += [
                        nn.Conv3d(now, scaled(size, config.width), 3, padding=1),
                        nn.ReLU(inplace=True),
                    ]
                    now = scaled(size, config.width)
                    if stage == 1 or i == 1:
                        layers.append(_pool(first=stage == 1 and i == 0, last=stage == 4))
                self.add_module(f"layer{stage}", nn.Sequential(*layers))
            self.dense = nn.Sequential(
                nn.Linear(now * LEFT[0] * LEFT[1] * LEFT[2], dense), nn.ReLU(inplace=True)
            )
            self.dense2 = nn.Sequential(nn.Linear(dense, dense), nn.ReLU(inplace=True))
            self.dropout = SeededDropout(config.dropout)
            self.fc = nn.Linear(dense, num_classes)
            start.draw(self)

    def forward(self, clips: Tensor) -> Tensor:
        self.check(clips)
        x = clips.transpose(1, 2)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        x = self.dropout(self.dense(F.adaptive_avg_pool3d(x, LEFT).flatten(1)))
        scores: Tensor = self.fc(self.dropout(self.dense2(x)))
        return scores


def _pool(first: bool, last: bool) -> nn.Module:
    """The maximum of 2x2x2, sizes rounded up so that few frames and small ones are enough."""
    size = (1 if first else 2, 2, 2)
    return nn.MaxPool3d(size, size, (0, 1, 1) if last else 0, ceil_mode=True)
