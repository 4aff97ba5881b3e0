"""MSTNet: a 2D network over frames, with one temporal operator in every chosen block.

Source: MixTConv paper, Sec. 3.2-3.3; He et al. for the backbones (v1.5: the stride stands in the 3x3), whose
parameter names are those of torchvision's public checkpoints. Shape letters as in operators/base.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import StudyError
from harness.model import weights
from harness.model.any_backbone import AnyBackbone
from harness.model.config import CONSENSUS, ModelConfig
from harness.model.resnet import BACKBONES, Backbone, Block, conv3x3
from harness.seeds import seed_for
from operators import TemporalOp, make_operator


class SeededDropout(nn.Module):
    """Dropout whose mask depends on `seed` alone, not on what an operator drew before it.

    The training loop sets `seed` before every step. Masks are drawn on the CPU, so that every device draws alike.
    Where a batch is worked on in parts, `clips_before` says how many of its clips come before this part: together the
    parts get the masks of the whole.
    """

    def __init__(self, p: float, num_frames: int = 1) -> None:
        super().__init__()
        self.p = p
        self.num_frames = num_frames
        self.seed = 0
        self.clips_before = 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        generator = torch.Generator().manual_seed(self.seed)
        before = self.clips_before * self.num_frames  # rows: (N*T, C)
        keep = torch.rand((before + len(x), *x.shape[1:]), generator=generator)[before:] >= self.p
        return x * (keep.to(x.device, non_blocking=True) / (1 - self.p)).to(x.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class MSTNet(nn.Module):
    """Scores a clip: the backbone on every frame, operators between frames, the average over frames.

    Args:
        config: the network.
        num_frames: T.
        num_classes: width of the classifier.
        seed: decides all initial weights. The backbone's do not depend on the operator.

    Shape:
        (N, T, 3, H, W) -> (N, num_classes).

    Raises:
        ValueError: the operator refuses its settings or the channels of a block; clips of another T; a backbone from
            outside cannot be used.
        StudyError: the file of `config.weights` is not there, cannot be read, or is of another architecture.
    """

    consensus: TemporalOp | None
    outside: AnyBackbone | None

    def __init__(self, config: ModelConfig, num_frames: int, num_classes: int, seed: int = 0) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.register_module("outside", None)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "backbone"))
            if config.is_outside:
                self.outside = AnyBackbone(config.backbone)
                channels = self.outside.channels
            else:
                channels = self._make_backbone(BACKBONES[config.backbone])
            self.dropout = SeededDropout(config.dropout, num_frames)
            self.fc = nn.Linear(channels, num_classes)
            if not self.fc.weight.is_meta:  # shapes alone: drawing there imports a second's worth of torch
                self._draw_weights()
        if config.weights:
            load_backbone(self, weights.find(config.weights, config.backbone))
        self._insert_operators(config, seed)

    def _make_backbone(self, spec: Backbone) -> int:
        """One of ours, under torchvision's names; returns the channels of its features."""
        width = spec.width
        if spec.big_stem:
            self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        else:
            self.conv1 = conv3x3(3, width, 2)
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

    def _draw_weights(self) -> None:
        if self.outside is None:  # else it has drawn its own
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.fc.weight, 0, 0.001)  # TSN's classifier start
        nn.init.zeros_(self.fc.bias)

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
        if self.outside is not None:
            self.outside.insert(
                config.backbone,
                config.where,
                config.placement,
                tuple(config.operators),
                lambda place: make(place.channels, place.conv, config.operators[place.stage]),
            )
            return
        for stage, operator in config.operators.items():
            for i, block in enumerate(self.get_submodule(f"layer{stage}").children()):
                assert isinstance(block, Block)
                block.place(config.placement, partial(make, where=f"layer{stage}.{i}", operator=operator))

    def operators(self) -> Iterator[tuple[str, TemporalOp]]:
        """(name, operator) of every block that has one, from input to output, and at the consensus."""
        for name, module in self.named_modules():
            if isinstance(module, TemporalOp):
                yield name, module

    def last_of_stages(self) -> dict[int, nn.Module]:
        """The module that ends a stage, whose output is that stage's; of a backbone from outside, of stages with
        operators."""
        if self.outside is not None:
            return self.outside.last_of_stages()
        return {stage: self.get_submodule(f"layer{stage}") for stage in (1, 2, 3, 4)}

    def stage_of(self, operator: str) -> int:
        """The stage in which the operator of this name stands; 4 for the one at the consensus."""
        if operator == CONSENSUS:
            return 4
        if self.outside is not None:
            return {f"outside.network.{place.operator}": place.stage for place in self.outside.places}[
                operator
            ]
        return int(operator.removeprefix("layer")[0])

    def horizon(self) -> int | None:
        """The largest distance in frames of two frames that some feature depends on: the sum of the operators' spans,
        at most T - 1; None where an operator does not state its reach."""
        total = 0
        for _, operator in self.operators():
            if operator.span is None:
                return None
            total += operator.span
        return min(total, self.num_frames - 1)

    def forward(self, clips: Tensor) -> Tensor:
        if clips.dim() != 5 or clips.shape[1] != self.num_frames:  # flattened, clips would mix
            raise ValueError(f"clips {tuple(clips.shape)} are not (N, {self.num_frames}, 3, H, W)")
        features = self._features(clips.flatten(0, 1))  # (N*T, C)
        if self.consensus is not None:
            clip = features[:, :, None, None].unflatten(0, (-1, self.num_frames))
            features = self.consensus(clip).flatten(0, 1).flatten(1)
        scores = self.fc(self.dropout(features))  # (N*T, classes)
        return scores.unflatten(0, (-1, self.num_frames)).mean(dim=1)

    def _features(self, x: Tensor) -> Tensor:
        """(N*T, 3, H, W) -> (N*T, C)."""
        if self.outside is not None:
            features: Tensor = self.outside(x)
            return features
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        if self.big_stem:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return x.mean(dim=(2, 3))


def to_memory_format(model: nn.Module, layout: torch.memory_format) -> nn.Module:
    """Lay out the weights of convolutions; an operator's parameters of other shapes have no such format."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return model


def load_backbone(model: MSTNet, path: Path) -> None:
    """Load a checkpoint with the backbone's names (ours: torchvision's), all but its classifier, before operators are
    inserted.

    Raises:
        StudyError: no such file, not a checkpoint, or keys or shapes that do not match.
    """
    state = weights.read(path)
    backbone, classifier = (
        (model, "fc") if model.outside is None else (model.outside.network, model.outside.classifier)
    )
    own, given = (
        {
            key: value
            for key, value in tensors.items()
            if not classifier or not key.startswith(f"{classifier}.")
        }
        for tensors in (backbone.state_dict(), state)
    )
    wrong = [f"missing {key}" for key in own if key not in given and not key.endswith("num_batches_tracked")]
    wrong += [f"unexpected {key}" for key in given if key not in own]
    wrong += [
        f"{key} is {tuple(given[key].shape)}, not {tuple(own[key].shape)}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    if wrong:
        shown = "; ".join(wrong[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise StudyError(f"model.weights: {path} does not fit the backbone: {shown}")
    backbone.load_state_dict(given, strict=False)
