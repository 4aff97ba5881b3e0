"""At which geometry costs are taken, and what is timed."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import nearest
from harness.model.config import NAMES
from harness.model.packages import is_outside
from harness.train.recipe import PRECISIONS

OWN = "own"


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """At which geometry costs are taken, and what is measured. Defaults: MixTConv paper, Table 2.

    Attributes:
        backbone: as in `ModelConfig`; "own" is each variant's own.
        num_classes: of the classifier (174: Something-Something).
        size: pixels of a square frame.
        num_frames: T; 0 takes the variant's own.
        stages: that carry operators; those of the variant where empty. A study that trains operators in few stages, to
            see how far each looks, can so be costed as networks are used.
        latency: measure it, or only count.
        step: measure training steps too, and on a CPU everything on one thread as well.
        precision: "fp32", or autocast to "bf16" or "fp16".
        repeats: timed rounds on a CPU; ten times as many on a GPU.
    """

    backbone: str = "resnet50"
    num_classes: int = 174
    size: int = 224
    num_frames: int = 0
    stages: tuple[int, ...] = ()
    latency: bool = True
    step: bool = False
    precision: str = "fp32"
    repeats: int = 5

    def __post_init__(self) -> None:
        known = (*NAMES, OWN)
        if not is_outside(self.backbone) and self.backbone not in known:
            raise ValueError(f"backbone: no backbone {self.backbone!r}{nearest(self.backbone, known)}")
        for name in ("num_classes", "size", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is below 1")
        if not set(self.stages) <= {1, 2, 3, 4} or len(set(self.stages)) < len(self.stages):
            raise ValueError(f"stages: {list(self.stages)}: use each of 1, 2, 3, 4 once at most")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: {self.precision!r} is none of {', '.join(PRECISIONS)}")
