"""MSTNet: a 2D residual network over frames, with one temporal operator in every chosen block.

Source: MixTConv paper, Sec. 3.2-3.3; He et al. for the backbones (v1.5: the stride stands in the 3x3), whose
parameter names are those of torchvision's public checkpoints. Shape letters as in operators/base.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness import weights
from harness.errors import StudyError, nearest
from harness.seeds import seed_for
from operators import TemporalOp, make_operator
from operators.stencil import check_path

PLACEMENTS = ("head", "inner")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network of a variant. Defaults: MixTConv paper, Sec. 3.3 and 4.1.

    Attributes:
        backbone: resnet18, resnet34, resnet50, or resnet_tiny (width 16, one basic block a stage).
        operator: a name of the zoo or a dotted path, and the operator's settings.
        placement: "head" puts the operator before a block's first convolution, the identity branch untouched;
            "inner" after it (and its batch norm and ReLU).
        stages: which of the stages 1 to 4 carry operators.
        stencil: how depthwise operators compute, "auto" by device; see operators/stencil. Decides the last bits.
        dropout: before the classifier.
        weights: "imagenet", torchvision's public file; or the path of a checkpoint with its names, or of a folder
            that holds it (harness/weights.py); "" starts from random weights.
    """

    backbone: str = "resnet50"
    operator: dict[str, Any] = field(default_factory=lambda: {"name": "identity"})
    placement: str = "head"
    stages: tuple[int, ...] = (1, 2, 3, 4)
    stencil: str = "auto"
    dropout: float = 0.5
    weights: str = ""

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"backbone: no backbone {self.backbone!r}{nearest(self.backbone, BACKBONES)}")
        if "name" not in self.operator:
            raise ValueError("operator: no name; give one, as in {name: depthwise, kernel_size: 3}")
        if self.placement not in PLACEMENTS:
            raise ValueError(f"placement: {self.placement!r} is none of {', '.join(PLACEMENTS)}")
        try:
            check_path(self.stencil)
        except ValueError as error:
            raise ValueError(f"stencil: {error}") from None
        for stage in self.stages:
            if stage not in (1, 2, 3, 4):
                raise ValueError(f"stages: {stage} is none of 1, 2, 3, 4")
        if self.weights == "imagenet" and self.backbone not in weights.PUBLIC:
            known = ", ".join(weights.PUBLIC)
            raise ValueError(f"weights: no public file of {self.backbone}, only of {known}; give a path")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: {self.dropout} is not in [0, 1)")


def _conv3x3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)


class Block(nn.Module):
    """A residual block; its operator, if any, is `temporal`, so that other parameters keep their public names."""

    expansion = 1
    conv1: nn.Conv2d
    downsample: nn.Module | None
    temporal: TemporalOp | None

    def __init__(self) -> None:
        super().__init__()
        self.register_module("temporal", None)
        self.placement = "head"

    def place(self, placement: str, make: Callable[[int], TemporalOp]) -> None:
        """Insert the operator that `make` builds for the number of channels there."""
        self.placement = placement
        self.temporal = make(self.conv1.in_channels if placement == "head" else self.conv1.out_channels)

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
        self.conv1 = _conv3x3(channels_in, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = self._shortcut(channels_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(self._mix(x, "head"))), inplace=True)
        y = self.bn2(self.conv2(self._mix(y, "inner")))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Bottleneck(Block):
    """1x1, 3x3, 1x1 convolutions (ResNet-50), the stride in the 3x3."""

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = self._shortcut(channels_in, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(self._mix(x, "head"))), inplace=True)
        y = F.relu(self.bn2(self.conv2(self._mix(y, "inner"))), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


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
    # For CPUs: a 3x3 stem of stride 2 instead of the 7x7 and the max-pool.
    "resnet_tiny": Backbone(BasicBlock, (1, 1, 1, 1), width=16, big_stem=False),
}


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
        ValueError: the operator refuses its settings or the channels of a block; clips of another T.
        StudyError: the file of `config.weights` is not there, cannot be read, or is of another architecture.
    """

    def __init__(self, config: ModelConfig, num_frames: int, num_classes: int, seed: int = 0) -> None:
        super().__init__()
        spec = BACKBONES[config.backbone]
        self.num_frames = num_frames
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "backbone"))
            width = spec.width
            if spec.big_stem:
                self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
            else:
                self.conv1 = _conv3x3(3, width, 2)
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
            self.dropout = SeededDropout(config.dropout, num_frames)
            self.fc = nn.Linear(channels, num_classes)
            if not self.fc.weight.is_meta:  # shapes alone: drawing there imports a second's worth of torch
                self._draw_weights()
        if config.weights:
            load_backbone(self, weights.find(config.weights, config.backbone))
        self._insert_operators(config, seed)

    def _draw_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.fc.weight, 0, 0.001)  # TSN's classifier start
        nn.init.zeros_(self.fc.bias)

    def _insert_operators(self, config: ModelConfig, seed: int) -> None:
        settings = {key: value for key, value in config.operator.items() if key != "name"}
        for stage in sorted(set(config.stages)):
            for i, block in enumerate(self.get_submodule(f"layer{stage}").children()):
                assert isinstance(block, Block)

                def make(channels: int, where: str = f"layer{stage}.{i}") -> TemporalOp:
                    with torch.random.fork_rng(devices=[]):
                        torch.manual_seed(seed_for(seed, "operator", where))
                        op = make_operator(config.operator["name"], channels, self.num_frames, **settings)
                    op.stencil_path = config.stencil
                    return op

                block.place(config.placement, make)

    def operators(self) -> Iterator[tuple[str, TemporalOp]]:
        """(name, operator) of every block that has one, from input to output."""
        for name, module in self.named_modules():
            if isinstance(module, TemporalOp):
                yield name, module

    def forward(self, clips: Tensor) -> Tensor:
        if clips.dim() != 5 or clips.shape[1] != self.num_frames:  # flattened, clips would mix
            raise ValueError(f"clips {tuple(clips.shape)} are not (N, {self.num_frames}, 3, H, W)")
        x = clips.flatten(0, 1)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        if self.big_stem:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        scores = self.fc(self.dropout(x.mean(dim=(2, 3))))  # (N*T, classes)
        return scores.unflatten(0, (-1, self.num_frames)).mean(dim=1)


def to_memory_format(model: nn.Module, layout: torch.memory_format) -> nn.Module:
    """Lay out the weights of convolutions; an operator's parameters of other shapes have no such format."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return model


def load_backbone(model: MSTNet, path: Path) -> None:
    """Load a checkpoint with torchvision's names, all but its classifier, before operators are inserted.

    Raises:
        StudyError: no such file, not a checkpoint, or keys or shapes that do not match.
    """
    state = weights.read(path)
    own = {key: value for key, value in model.state_dict().items() if not key.startswith("fc.")}
    given = {key: value for key, value in state.items() if not key.startswith("fc.")}
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
    model.load_state_dict(given, strict=False)
