"""The settings of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.errors import nearest
from harness.model import insertion, packages, weights
from harness.model.resnet import BACKBONES
from harness.records import with_name
from operators.stencil import check_path

CONSENSUS = "consensus"
PLACEMENTS = ("head", "inner", "after_conv2", "block_out", CONSENSUS)
OF_ANY = (*insertion.PLACEMENTS, CONSENSUS)
"""Those that a backbone from outside has."""

CONSENSUSES = ("average", "trn", "timeception")

VOLUMES = ("i3d_resnet50", "nl_i3d_resnet50", "eco", "eco_lite", "c3d")
"""Networks that take a clip as a volume: they carry no operators, and have no consensus of frames."""

ALONE = ("bninception", "mixconv_resnet50", *VOLUMES)
"""Networks that are costed as themselves, whatever backbone a study's costs are taken at."""

NAMES = (*BACKBONES, "bninception", *VOLUMES)
"""Whatever `model.backbone` may name."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network of a variant. Defaults: MixTConv paper, Sec. 3.3 and 4.1.

    Attributes:
        backbone: a 2D network over frames: resnet18, resnet34, resnet50, resnet_tiny (width 16, one basic block a
            stage), bninception, mixconv_resnet50 (depthwise convolutions of sizes 3 to 9 in place of the 3x3); one of
            `VOLUMES`; or one from outside: timm/NAME, torchvision/NAME, or the dotted path of what makes the
            user's own (harness/model/packages.py).
        operator: a name of the zoo or a dotted path, and the operator's settings; or one for each stage that has one,
            by its number, as in {1: shift, 3: {name: mixtconv, kernel_sizes: [1, 3]}}.
        placement: "head" puts the operator before a block's first convolution, the identity branch untouched;
            "inner" after it (and its batch norm and ReLU); "after_conv2" after the second one (and its batch norm; in
            a bottleneck its ReLU too); "block_out" after the block, what the identity branch adds included;
            "consensus" once, after the last block, on the means of frames' features, before dropout and classifier.
            A backbone from outside has head, inner and consensus.
        stages: which of the stages 1 to 4 carry operators; at the consensus there is one whatever they are. Of those
            that have an operator of their own, these alone. In a backbone from outside, 4 are the blocks with the
            smallest maps, and so on; all whose maps are larger than those of 2 are 1.
        where: in a backbone from outside, which blocks: types or name patterns (harness/model/insertion.py); empty for
            every block with a shortcut.
        stencil: how depthwise operators compute, "auto" by device; see operators/stencil. Decides the last bits.
        dropout: before the classifier.
        weights: "imagenet", torchvision's public file; or the path of a checkpoint with its names, or of a folder
            that holds it (harness/model/weights.py); "" starts from random weights. From outside: the path of a
            checkpoint with the backbone's own names.
        weights_3d: of eco and eco_lite, whose 2D part `weights` fills: a ResNet-18 for the 3D part.
        consensus: of frames: "average" of their scores, or a head: "trn" or "timeception".
        width: a factor on the channels of every layer, 1 for the network's own.
        flow: pairs of optical-flow pictures behind each frame, which a second network scores; 0: no second stream.
    """

    backbone: str = "resnet50"
    operator: dict[Any, Any] = field(default_factory=lambda: {"name": "identity"})
    placement: str = "head"
    stages: tuple[int, ...] = (1, 2, 3, 4)
    where: tuple[str, ...] = ()
    stencil: str = "auto"
    dropout: float = 0.5
    weights: str = ""
    weights_3d: str = ""
    consensus: str = "average"
    width: float = 1.0
    flow: int = 0

    def drawn(self) -> ModelConfig:
        """The same network, of random weights."""
        return replace(self, weights="", weights_3d="")

    def starts(self) -> dict[str, tuple[str, str]]:
        """By setting, what it names and for which 2D network; only those that name a file."""
        named = {"weights": (self.weights, self.backbone), "weights_3d": (self.weights_3d, "resnet18")}
        return {key: start for key, start in named.items() if start[0]}

    def __post_init__(self) -> None:
        if not self.is_outside and self.backbone not in NAMES:
            raise ValueError(
                f"backbone: no backbone {self.backbone!r}{nearest(self.backbone, NAMES)}; or timm/NAME, "
                "torchvision/NAME, or a dotted path of your own"
            )
        if "name" not in self.operator:
            object.__setattr__(self, "operator", _by_stage(self.operator))
        if self.placement not in PLACEMENTS:
            raise ValueError(
                f"placement: no placement {self.placement!r}{nearest(self.placement, PLACEMENTS)}"
            )
        if self.is_outside and self.placement not in OF_ANY:
            raise ValueError(
                f"placement: {self.placement!r} is none of {', '.join(OF_ANY)}, which {self.backbone} has"
            )
        if self.where and not self.is_outside:
            raise ValueError(f"where: is for backbones from outside; of {self.backbone} choose `stages`")
        if self.where and self.placement == CONSENSUS:
            raise ValueError("where: at the consensus there is one operator; leave it out")
        try:
            check_path(self.stencil)
        except ValueError as error:
            raise ValueError(f"stencil: {error}") from None
        for stage in self.stages:
            if stage not in (1, 2, 3, 4):
                raise ValueError(f"stages: {stage} is none of 1, 2, 3, 4")
        if "name" not in self.operator:
            if self.placement == CONSENSUS:
                raise ValueError(
                    "operator: at the consensus stands one for all stages; give it with its name"
                )
            if not self.operators:
                own, stages = (", ".join(map(str, some)) for some in (self.operator, self.stages))
                raise ValueError(
                    f"operator: of stages {own}, but operators stand in {stages or 'none'} alone"
                )
        if (
            self.weights == "imagenet"
            and weights.FLAT.get(self.backbone, self.backbone) not in weights.PUBLIC
        ):
            known = ", ".join(weights.PUBLIC)
            raise ValueError(f"weights: no public file of {self.backbone}, only of {known}; give a path")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: {self.dropout} is not in [0, 1)")
        self._check_network()

    def _check_network(self) -> None:
        """What not every network can be given."""
        if self.consensus not in CONSENSUSES:
            raise ValueError(
                f"consensus: no consensus {self.consensus!r}{nearest(self.consensus, CONSENSUSES)}"
            )
        if self.is_outside and (self.width != 1 or self.flow):
            name = "flow" if self.flow else "width"
            raise ValueError(f"{name}: {self.backbone} comes from outside, as it is; leave it out")
        if not 0 < self.width <= 4:
            raise ValueError(f"width: {self.width} is not above 0 and at most 4")
        if self.flow < 0:
            raise ValueError(f"flow: {self.flow} is below 0")
        if self.backbone in VOLUMES and self.consensus != "average":
            rule = f"{self.backbone} scores a clip as a whole; leave it out"
            raise ValueError(f"consensus: {self.consensus}: {rule}")
        if self.backbone in VOLUMES and not set(self.operator_names) <= {"identity", "tsn"}:
            raise ValueError(f"operator: {self.backbone} carries none; leave it out, or take a 2D network")
        if self.backbone == "bninception" and self.placement not in ("head", CONSENSUS):
            raise ValueError("placement: an inception block has several first convolutions; use head")
        if self.consensus != "average" and self.placement == CONSENSUS:
            raise ValueError(
                f"placement: {self.consensus} is the consensus; use another placement, or average"
            )
        if self.weights and (self.flow or self.backbone == "c3d"):
            rule = (
                "no 2D network fills a second stream" if self.flow else "c3d has no 2D network to start from"
            )
            raise ValueError(f"weights: {rule}; leave it out")
        if self.weights_3d and self.backbone not in ("eco", "eco_lite"):
            raise ValueError(f"weights_3d: {self.backbone} has no 3D part of its own; use weights")

    @property
    def operators(self) -> dict[int, dict[str, Any]]:
        """What stands in each stage that has an operator."""
        own = dict.fromkeys((1, 2, 3, 4), self.operator) if "name" in self.operator else self.operator
        return {stage: own[stage] for stage in sorted(set(self.stages)) if stage in own}

    @property
    def operator_names(self) -> list[str]:
        """Names of all operators, each once."""
        own = [self.operator] if "name" in self.operator else self.operator.values()
        return list(dict.fromkeys(str(one["name"]) for one in own))

    @property
    def is_outside(self) -> bool:
        """Whether the backbone is none of ours."""
        return packages.is_outside(self.backbone)

    @property
    def own_code(self) -> tuple[str, ...]:
        """Dotted paths and names of what may be the user's own: operators, and a backbone of no package."""
        return (*self.operator_names, *packages.own_path(self.backbone))


def _by_stage(given: Mapping[Any, Any]) -> dict[int, dict[str, Any]]:
    """A mapping of operators by stage, numbers as keys (JSON has them as text), a name as a mapping of it."""
    found = {}
    for stage, operator in given.items():
        if str(stage) not in ("1", "2", "3", "4"):
            raise ValueError(
                "operator: no name; give one, as in {name: depthwise, kernel_size: 3}, or one for each stage, as in "
                "{1: shift, 3: {name: depthwise, kernel_size: 3}}"
            )
        if not isinstance(operator, str | Mapping) or "name" not in (one := with_name(operator)):
            raise ValueError(f"operator: of stage {stage}, {operator!r} has no name")
        found[int(stage)] = one
    if not found:
        raise ValueError("operator: no name; give one, as in {name: depthwise, kernel_size: 3}")
    return dict(sorted(found.items()))
