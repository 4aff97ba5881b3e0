"""Timeception: depthwise convolutions of several sizes along time, in layers on top of a network.

Source: Hussein et al., Timeception for Complex Action Recognition, CVPR 2019, Sec. 3.3 and Fig. 3; sizes as in its
published code (8 groups, 1.25 times the channels a layer). Shape letters as in operators/base.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model.network import SeededDropout

KERNELS = (3, 5, 7)


class TimeceptionLayer(nn.Module):
    """In each of 8 groups of channels: five branches, each a 1x1 convolution and then nothing, a depthwise convolution
    along time of 3, 5 or 7 frames, or the largest of two frames. Their channels are shuffled among the groups, and of
    two frames the larger value stays.

    Args:
        channels: C, a multiple of `groups`.

    Shape:
        (N, C, T, H, W) -> (N, `out`, T / 2 rounded up, H, W), `out` being 1.25 C rounded down to 5 x groups.
    """

    def __init__(self, channels: int, groups: int = 8) -> None:
        super().__init__()
        branches = len(KERNELS) + 2
        part = max(1, channels * 5 // (4 * branches * groups))  # of a branch of a group
        inner, self.groups, self.out = part * groups, groups, part * groups * branches
        self.reduce = nn.ModuleList(
            nn.Conv3d(channels, inner, 1, groups=groups, bias=False) for _ in range(branches)
        )
        self.filters = nn.ModuleList(
            nn.Conv3d(inner, inner, (k, 1, 1), padding=(k // 2, 0, 0), groups=inner, bias=False)
            for k in KERNELS
        )
        self.norms = nn.ModuleList(nn.BatchNorm3d(inner) for _ in range(branches))

    def forward(self, x: Tensor) -> Tensor:
        plain, *filtered, pooled = (reduce(x) for reduce in self.reduce)
        filtered = [conv(one) for conv, one in zip(self.filters, filtered, strict=True)]
        pooled = F.max_pool3d(F.pad(pooled, (0, 0, 0, 0, 0, 1), value=float("-inf")), (2, 1, 1), 1)
        normed = [norm(one) for norm, one in zip(self.norms, [plain, *filtered, pooled], strict=True)]
        parts = [one.unflatten(1, (self.groups, -1)) for one in normed]
        mixed = F.relu(torch.cat(parts, dim=2)).transpose(1, 2).flatten(1, 2)  # the shuffle
        return F.max_pool3d(mixed, (2, 1, 1), ceil_mode=True)


class TimeceptionHead(nn.Module):
    """Layers of Timeception, then the mean over all that is left of time and space, and a classifier.

    Four layers as in the paper, or fewer where time is one frame before. The paper's two dense layers are one here.

    Args:
        channels: C of the backbone's features.
        num_frames: T.
        num_classes: of the classifier.
        dropout: before the classifier, once a clip.
        width: changes nothing: the layers are as wide as what they stand on.

    Shape:
        (N*T, C, H, W) -> (N, num_classes).

    Raises:
        ValueError: C is no multiple of 8.
    """

    LAYERS = 4

    def __init__(
        self, channels: int, num_frames: int, num_classes: int, dropout: SeededDropout, width: float = 1.0
    ) -> None:
        super().__init__()
        if channels % 8:
            raise ValueError(
                f"consensus: timeception makes 8 groups, and {channels} channels are no multiple of 8"
            )
        self.num_frames = num_frames
        self.dropout = dropout
        dropout.num_frames = 1
        layers: list[TimeceptionLayer] = []
        while len(layers) < self.LAYERS and num_frames > 1:
            layers.append(TimeceptionLayer(channels))
            channels, num_frames = layers[-1].out, (num_frames + 1) // 2
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, num_classes)

    def seen_frames(self) -> int:
        """How many frames in a row a feature behind the last layer depends on: of each layer the widest filter, and two
        frames of which one stays."""
        return 1 + sum((max(KERNELS) - 1 + 1) << layer for layer in range(len(self.layers)))

    def forward(self, x: Tensor) -> Tensor:
        volume = x.unflatten(0, (-1, self.num_frames)).transpose(1, 2)  # (N, C, T, H, W)
        scores: Tensor = self.fc(self.dropout(self.layers(volume).mean(dim=(2, 3, 4))))
        return scores
