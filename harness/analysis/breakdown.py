"""Where a variant's gain comes from: classes, confusions, the order of frames, filters, temporal reach."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.analysis.sweep import baselines
from harness.metrics import counts
from harness.records import StudyRecord, TrialRecord
from harness.stats.estimates import PER_CENT, POINTS, Estimate, finite, mean_interval

DISTANCE = (0.0, math.inf)
"""What a distance can be."""

CONFUSIONS = 20
"""Of each variant, beside its twins."""


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

    One centre crop a video, whatever the study's protocol. accuracy: by metric, "top1" and "group/<name>".
    change: minus that on the clips as they are, paired by seed.
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

    stage: features after it, 1 to 4. offsets: input frame minus centre frame.
    share: of the squared gradient, sums to 1.
    radius: root mean square of the offsets, weighted by share, in frames; over seeds. 0: no other frame is looked at.
    """

    stage: int
    offsets: list[int]
    share: list[float]
    radius: Estimate


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """How far the belief in a clip's class, against its twin's, falls when one frame is grey; points, over seeds.

    as_is: the belief with every frame, in per cent. fall: by how much it falls for each frame.
    """

    as_is: Estimate
    fall: list[Estimate]


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
    occlusion: Occlusion | None = None


def break_down(record: StudyRecord, done: Mapping[str, Sequence[TrialRecord]]) -> dict[str, Breakdown]:
    """Of every variant with a finished trial.

    Args:
        done: finished trials by variant.
    """
    others = baselines(record)
    found = {}
    for variant, trials in done.items():
        baseline = done.get(others.get(variant, ""), ())
        if trials:
            found[variant] = Breakdown(
                variant=variant,
                **(_classes(record, trials, baseline) if variant in others else {}),
                confusions=_confusions(record, trials, baseline),
                orders=_orders(trials),
                filters=_filters(trials),
                reach=_reach(trials),
                occlusion=_occlusion(trials),
            )
    return found


def _paired(mine: Mapping[int, float | None], other: Mapping[int, float | None]) -> Estimate:
    """Mean over seeds of mine - other, where both are numbers."""
    pairs = [(mine[seed], other.get(seed)) for seed in mine]
    return mean_interval([a - b for a, b in pairs if finite(a) and finite(b)], POINTS)


def _classes(
    record: StudyRecord, trials: Sequence[TrialRecord], baseline: Sequence[TrialRecord]
) -> dict[str, list[ClassChange]]:
    groups = [*record.groups, *[""] * len(record.classes)]
    changes = []
    for name, group in zip(record.classes, groups, strict=False):
        change = _paired(
            {trial.seed: trial.per_class.get(name) for trial in trials},
            {trial.seed: trial.per_class.get(name) for trial in baseline},
        )
        if change.n:
            changes.append(ClassChange(name=name, group=group, change=change))
    changes.sort(key=lambda one: (-abs(one.change.mean), one.name))
    return {
        "gained": [one for one in changes if one.change.mean > 0],
        "lost": [one for one in changes if one.change.mean < 0],
    }


def _confusion_rates(trial: TrialRecord, classes: int) -> np.ndarray | None:
    """(classes, classes) percentages of the clips of each true class; None where predictions were not kept."""
    labels, predicted = trial.predictions.get("label"), trial.predictions.get("predicted")
    if not labels or not predicted:
        return None
    table = counts(np.asarray(labels), np.asarray(predicted), classes)
    rates: np.ndarray = 100.0 * table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    return rates


def _confusions(
    record: StudyRecord, trials: Sequence[TrialRecord], baseline: Sequence[TrialRecord]
) -> list[Confusion]:
    classes = len(record.classes)
    mine = [rates for trial in trials if (rates := _confusion_rates(trial, classes)) is not None]
    theirs = [rates for trial in baseline if (rates := _confusion_rates(trial, classes)) is not None]
    if not mine:
        return []
    twins = [(a, b) for pair in record.twins for a, b in (pair, pair[::-1])]
    mean = np.mean(mine, axis=0)
    np.fill_diagonal(mean, 0.0)
    order = np.argsort(-mean, axis=None, kind="stable")[: CONFUSIONS + len(twins)]
    frequent = [(int(place) // classes, int(place) % classes) for place in order]
    others = [cell for cell in frequent if cell not in twins and mean[cell] > 0][:CONFUSIONS]
    twins.sort(key=lambda cell: -mean[cell])
    return [
        Confusion(
            true=record.classes[i],
            predicted=record.classes[j],
            twins=(i, j) in twins,
            rate=mean_interval([float(rates[i, j]) for rates in mine], PER_CENT),
            baseline=mean_interval([float(rates[i, j]) for rates in theirs], PER_CENT) if theirs else None,
        )
        for i, j in [*twins, *others]
    ]


def _orders(trials: Sequence[TrialRecord]) -> list[OrderProbe]:
    probed = [(trial, trial.probes["order"]) for trial in trials if trial.probes.get("order")]
    if not probed:
        return []
    probes = []
    for order in [name for name in probed[0][1] if name != "as_is"]:
        metrics = [m for m in probed[0][1][order] if m == "top1" or m.startswith("group/")]
        found = {m: {t.seed: one.get(order, {}).get(m) for t, one in probed} for m in metrics}
        as_is = {m: {t.seed: one.get("as_is", {}).get(m) for t, one in probed} for m in metrics}
        probes.append(
            OrderProbe(
                order=order,
                accuracy={
                    m: mean_interval([v for v in found[m].values() if finite(v)], PER_CENT) for m in metrics
                },
                change={m: _paired(found[m], as_is[m]) for m in metrics},
            )
        )
    return probes


def _filters(trials: Sequence[TrialRecord]) -> list[Filters]:
    probed = [trial.probes["filters"] for trial in trials if trial.probes.get("filters")]
    # None of a training that diverged:
    probed = [found for found in probed if all(finite(one["moved"]) for one in found)]
    if not probed:
        return []
    return [
        Filters(
            **{key: one[key] for key in ("operator", "stage", "offsets", "channels", "initial", "final")},
            moved=mean_interval([float(other[i]["moved"]) for other in probed], DISTANCE),
        )
        for i, one in enumerate(probed[0])
    ]


def _reach(trials: Sequence[TrialRecord]) -> list[Reach]:
    """Stage by stage, of the trials that have it: one whose features are dead has none there."""
    probed = [one for trial in trials for one in trial.probes.get("reach") or ()]
    by_stage = {
        stage: [one for one in probed if one["stage"] == stage] for stage in {p["stage"] for p in probed}
    }
    return [
        Reach(
            stage=stage,
            offsets=found[0]["offsets"],
            share=np.mean([one["share"] for one in found], axis=0).tolist(),
            radius=mean_interval([float(one["radius"]) for one in found], DISTANCE),
        )
        for stage, found in sorted(by_stage.items())
    ]


def _occlusion(trials: Sequence[TrialRecord]) -> Occlusion | None:
    probed = [one for trial in trials if (one := trial.probes.get("occlusion"))]
    probed = [one for one in probed if finite(one["as_is"])]
    if not probed:
        return None
    return Occlusion(
        as_is=mean_interval([one["as_is"] for one in probed], PER_CENT),
        fall=[
            mean_interval(list(values), POINTS)
            for values in zip(*(one["fall"] for one in probed), strict=True)
        ],
    )
