"""A record's trials, put in order: what was planned, and the values of each metric by seed and by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.metrics import level_metric
from harness.records import StudyRecord, TrialRecord
from harness.stats.estimates import PER_CENT, Estimate, finite, mean_interval


@dataclass(frozen=True, kw_only=True)
class Band:
    """Validation top-1 per epoch of one variant: mean, lowest and highest over its finished trials."""

    variant: str
    n: int
    epochs: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def planned_trials(record: StudyRecord) -> list[TrialRecord]:
    """Every variant x seed of the plan, in its order; one without a record counts as missing."""
    known = {(trial.variant, trial.seed): trial for trial in record.trials}
    return [
        known.get((variant, seed))
        or TrialRecord(trial_id="", variant=variant, seed=seed, status="missing", reason="never started")
        for variant in record.variants
        for seed in record.seeds
    ]


def metrics_of(record: StudyRecord, levels: Sequence[float]) -> list[str]:
    """top1, top5, pair where it was measured, the groups, first in the data set's order, then any other that was
    measured, and the levels."""
    pair = ["pair"] if any("pair" in trial.last for trial in record.trials) else []
    seen = dict.fromkeys(f"group/{group}" for group in record.groups if group)
    for trial in record.trials:
        seen.update(dict.fromkeys(metric for metric in trial.last if metric.startswith("group/")))
    return ["top1", "top5", *pair, *seen, *(level_metric(record.level_name, level) for level in levels)]


def by_seed(done: Mapping[str, Sequence[TrialRecord]], metric: str) -> dict[str, dict[int, float]]:
    return {
        variant: {trial.seed: trial.last[metric] for trial in trials if finite(trial.last.get(metric))}
        for variant, trials in done.items()
    }


def per_class(classes: Sequence[str], done: Sequence[TrialRecord]) -> dict[str, Estimate]:
    return {
        name: mean_interval([t.per_class[name] for t in done if finite(t.per_class.get(name))], PER_CENT)
        for name in classes
    }


def band_of(variant: str, done: Sequence[TrialRecord]) -> Band | None:
    """None without a finished trial that kept its history. n: trials; they all have the same epochs."""
    by_epoch: dict[int, list[float]] = {}
    trials = [trial for trial in done if trial.history]
    for trial in trials:
        for epoch in trial.history:
            if finite(epoch.get("val/top1")):
                by_epoch.setdefault(int(epoch["epoch"]), []).append(epoch["val/top1"])
    if not by_epoch:
        return None
    epochs = sorted(by_epoch)
    return Band(
        variant=variant,
        n=len(trials),
        epochs=epochs,
        mean=[sum(by_epoch[e]) / len(by_epoch[e]) for e in epochs],
        low=[min(by_epoch[e]) for e in epochs],
        high=[max(by_epoch[e]) for e in epochs],
    )
