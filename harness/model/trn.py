"""TRN: relations between two, three, ... frames, multi-scale.

Source: Zhou et al., Temporal Relational Reasoning in Videos, ECCV 2018, Sec. 3.1-3.2. The widths are those of its
published code: 256 numbers a frame, 256 in the hidden layer of every scale, and at most 3 tuples of frames a scale.
"""

from __future__ import annotations

import itertools
import random

from torch import Tensor, nn

from harness.model.network import SeededDropout, scaled

TUPLES = 3


class MultiScaleTRN(nn.Module):
    """Sums the scores of relations among T, T - 1, ..., 2 frames, in their order.

    A scale below T sees 3 of its tuples of frames, drawn anew in each training step as in the paper, from the seed of
    the dropout. A test takes tuples spread evenly over the list of all, where the published code draws them too: so
    that a network scores a clip the same twice.

    Args:
        channels: C of the backbone's features.
        num_frames: T, 2 or more.
        num_classes: of every scale's classifier.
        dropout: before the layer that makes 256 numbers of a frame.
        width: a factor on the 256.

    Shape:
        (N*T, C, H, W) -> (N, num_classes).

    Raises:
        ValueError: a single frame.
    """

    def __init__(
        self, channels: int, num_frames: int, num_classes: int, dropout: SeededDropout, width: float = 1.0
    ) -> None:
        super().__init__()
        if num_frames < 2:
            raise ValueError(f"consensus: trn relates frames: {num_frames} frame is too few; use average")
        size = scaled(256, width)
        self.num_frames = num_frames
        self.dropout = dropout
        self.frame = nn.Linear(channels, size)
        self.scales = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Linear(scale * size, size), nn.ReLU(), nn.Linear(size, num_classes))
            for scale in range(num_frames, 1, -1)
        )

    def seen_frames(self) -> int:
        """How many frames in a row a score depends on."""
        return self.num_frames

    def forward(self, x: Tensor) -> Tensor:
        frames = self.frame(self.dropout(x.mean(dim=(2, 3)))).unflatten(
            0, (-1, self.num_frames)
        )  # (N, T, 256)
        scores, draws = frames.new_zeros(()), random.Random(self.dropout.seed) if self.training else None
        for scale, relation in zip(range(self.num_frames, 1, -1), self.scales, strict=True):
            every = list(itertools.combinations(range(self.num_frames), scale))
            taken = min(TUPLES, len(every))
            spread = [(2 * i + 1) * len(every) // (2 * taken) for i in range(taken)]
            for chosen in draws.sample(range(len(every)), taken) if draws else spread:
                scores = scores + relation(frames[:, every[chosen]].flatten(1))
        return scores
