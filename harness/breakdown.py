"""Where a variant's gain comes from: classes, confusions, the order of frames, filters, temporal reach."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.stats import Estimate


@dataclass(frozen=True, kw_only=True)
class ClassChange:
    """Top-1 of one class, variant minus baseline, in points, paired by seed."""

    name: str
    group: str
    change: Estimate


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How many per cent of the clips of one class a variant takes for another, mean over seeds.

    twins: the two classes are each other's, played backwards.
    """

    true: str
    predicted: str
    twins: bool
    rate: Estimate
    baseline: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class OrderProbe:
    """Accuracy on the same clips with their frames "reversed", "shuffled" or "frozen" (one frame, T times).

    accuracy: by metric, "top1" and "group/<name>". change: minus that on the clips as they are, paired by seed.
    """

    order: str
    accuracy: dict[str, Estimate]
    change: dict[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The taps of one operator, before and after training.

    operator: its name in the network, "layer1.0.temporal". stage: 1 to 4. offsets: frames, -1 reads the frame before.
    channels: those drawn, evenly spread. initial, final: (channels, offsets), of the first seed.
    moved: Euclidean distance of a channel's taps from their start, mean over all channels; over seeds.
    """

    operator: str
    stage: int
    offsets: list[int]
    channels: list[int]
    initial: list[list[float]]
    final: list[list[float]]
    moved: Estimate


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Which input frames the centre frame's features depend on, by gradients; mean over clips and seeds.

    stage: features after it, 1 to 4. offsets: input frame minus centre frame. share: of the gradient's norm, sums to 1.
    radius: root mean square of the offsets, weighted by share, in frames; over seeds. 0: no other frame is looked at.
    """

    stage: int
    offsets: list[int]
    share: list[float]
    radius: Estimate


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """All of that for one variant. gained, lost: classes in order, the largest change first; empty for the baseline.

    confusions: time-reversed twins first, then the most frequent.
    """

    variant: str
    gained: list[ClassChange] = field(default_factory=list)
    lost: list[ClassChange] = field(default_factory=list)
    confusions: list[Confusion] = field(default_factory=list)
    orders: list[OrderProbe] = field(default_factory=list)
    filters: list[Filters] = field(default_factory=list)
    reach: list[Reach] = field(default_factory=list)
