"""A 2D backbone over frames, a temporal operator in every chosen block, and a consensus of the frames.

Source: MixTConv paper, Sec. 3.2-3.3. Shape letters as in operators/base.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from harness.model import start, weights
from harness.model.config import CONSENSUS, ModelConfig
from harness.model.network import Network, SeededDropout
from harness.model.timeception import TimeceptionHead
from harness.model.trn import MultiScaleTRN
from harness.seeds import seed_for
from operators import TemporalOp, make_operator

HEADS: dict[str, type[MultiScaleTRN | TimeceptionHead]] = {
    "trn": MultiScaleTRN,
    "timeception": TimeceptionHead,
}


class Make(Protocol):
    """Makes an operator: for how many channels, where, and which."""

    def __call__(self, channels: int, where: str, operator: Mapping[str, Any]) -> TemporalOp: ...


class Place(Protocol):
    """A block that takes an operator."""

    def place(self, placement: str, make: Callable[[int], TemporalOp]) -> None:
        """Insert the operator that `make` builds for the number of channels there."""


class Framewise(Network):
    """Scores a clip: the backbone on every frame, operators between frames, a consensus.

    The consensus averages the scores of frames ("average"), or it is a head that looks at all of their features.

    Args:
        config: the network.
        num_frames: T.
        num_classes: width of the classifier.
        seed: decides all initial weights. The backbone's depend neither on the operator nor on the consensus.
        channels: of a frame.

    Shape:
        (N, T, channels, H, W) -> (N, num_classes).

    Raises:
        ValueError: the operator refuses its settings or the channels of a block; clips of another T; a backbone from
            outside cannot be used.
        StudyError: the file of `config.weights` is not there, cannot be read, or is of another architecture.
    """

    consensus: TemporalOp | None

    def __init__(
        self, config: ModelConfig, num_frames: int, num_classes: int, seed: int = 0, channels: int = 3
    ) -> None:
        super().__init__(num_frames, channels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "backbone"))
            features = self.build(config)
            self.dropout = SeededDropout(config.dropout, num_frames)
            self.fc = nn.Linear(features, num_classes)
            self.draw()
        if config.weights:
            self.load(weights.find(config.weights, config.backbone))
        self.head: MultiScaleTRN | TimeceptionHead | None = None
        if config.consensus != "average":
            del self.fc
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed_for(seed, "head"))
                self.head = HEADS[config.consensus](
                    features, num_frames, num_classes, self.dropout, config.width
                )
        self._insert_operators(config, seed)

    def build(self, config: ModelConfig) -> int:
        """Make the backbone's layers. Returns the channels of its features."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """(N*T, channels, H, W) -> (N*T, C, H', W')."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw all weights."""
        start.draw(self)

    def load(self, path: Path) -> None:
        """Fill the backbone from a checkpoint with public names."""
        start.load(self, weights.read(path), path)

    def blocks(self, stage: int) -> Iterator[tuple[str, Place]]:
        """(name, block) of those blocks of a stage that take operators."""
        raise NotImplementedError

    def _insert_operators(self, config: ModelConfig, seed: int) -> None:
        def make(channels: int, where: str, operator: Mapping[str, Any]) -> TemporalOp:
            settings = {key: value for key, value in operator.items() if key != "name"}
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed_for(seed, "operator", where))
                op = make_operator(operator["name"], channels, self.num_frames, **settings)
            op.stencil_path = config.stencil
            return op

        self.register_module(CONSENSUS, None)
        if config.placement == CONSENSUS:
            self.consensus = make(self.fc.in_features, CONSENSUS, config.operator)
            return
        self.insert(config, make)

    def insert(self, config: ModelConfig, make: Make) -> None:
        """Put operators into the blocks of the chosen stages."""
        for stage, operator in config.operators.items():
            for name, block in self.blocks(stage):
                block.place(config.placement, partial(make, where=name, operator=operator))

    def horizon(self) -> int | None:
        """The largest distance in frames of two frames that some feature depends on: the sum of the operators' spans
        and what the head sees, at most T - 1; None where an operator does not state its reach."""
        total = self.head.seen_frames() - 1 if self.head else 0
        for _, operator in self.operators():
            if operator.span is None:
                return None
            total += operator.span
        return min(total, self.num_frames - 1)

    def forward(self, clips: Tensor) -> Tensor:
        self.check(clips)
        x = self.features(clips.flatten(0, 1))
        if self.head is not None:
            scores: Tensor = self.head(x)
            return scores
        features = x.mean(dim=(2, 3))  # (N*T, C)
        if self.consensus is not None:
            clip = features[:, :, None, None].unflatten(0, (-1, self.num_frames))
            features = self.consensus(clip).flatten(0, 1).flatten(1)
        scores = self.fc(self.dropout(features))  # (N*T, classes)
        return scores.unflatten(0, (-1, self.num_frames)).mean(dim=1)
