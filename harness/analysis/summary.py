"""One study: its rows, their differences, what it stated and what is missing, all from its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.analysis.breakdown import Breakdown, break_down
from harness.analysis.ladder import Ladder, climb, levels_of
from harness.analysis.ranking import ahead_of, cheapest_of, is_clear, ranked_by
from harness.analysis.sweep import Sweep, baselines, sweep
from harness.analysis.trials import Band, band_of, by_seed, metrics_of, per_class, planned_trials
from harness.metrics import level_metric
from harness.published import is_reproduced, load_reference, published_row, same_geometry
from harness.records import CostRecord, StudyRecord, TrialRecord
from harness.stats.cheapest import Cheapest
from harness.stats.clips import hits
from harness.stats.collapse import Collapse, collapses
from harness.stats.differences import Difference
from harness.stats.estimates import PER_CENT, SAME, Estimate, Quartiles, mean_interval, quartiles
from harness.stats.hypotheses import Tested, decide, parse_hypothesis, parse_pair
from harness.stats.scores import Scores

CEILING = 98.0
"""Per cent: what is right so often leaves too little for a difference to be seen."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant of the table.

    accuracy: by metric, "top1", "top5", "pair", "group/<name>", "lag/3"; last epoch, over the finished trials.
    difference: to the baseline, in a sweep to that at the same value; None for the baseline itself.
    by_seed: each finished trial's value, by metric and seed.
    paper: the published row; empty where there is none. reproduced: whether its added MACs are ours.
    """

    variant: str
    planned: int
    status: dict[str, int]
    accuracy: dict[str, Estimate]
    by_seed: dict[str, dict[int, float]]
    per_class: dict[str, Estimate]
    difference: Difference | None
    cost: CostRecord | None
    latency_ms: Quartiles | None
    paper: dict[str, Any]
    reproduced: bool | None

    @property
    def doubtful(self) -> bool:
        """Whether its latency was measured under conditions that make it doubtful."""
        return bool(self.cost and self.cost.doubts)

    @property
    def finished(self) -> int:
        return self.status.get("done", 0)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything that a report shows about one study.

    ranked: top-1 of the variants, the highest first, over the seeds that all of them have (`ranking.ranked_by`).
    best: the first of them; None where no seed is common to all.
    runner_up, lead: the variant with the second highest mean top-1, and the best one's difference to it,
        not corrected for the two having been picked after looking. None where there are no two.
    trials: every variant x seed of the plan, in its order.
    unusable: (variant, seed) of finished trials whose top-1 is absent or not a number.
    pairs: the comparisons that the study names under `pairs`, corrected together.
    hypotheses: those of the study, corrected together; everything else is exploratory.
    cheapest: the engineer's question, by MACs and by latency; empty without a margin.
    breakdowns: where each variant's gain comes from.
    clear_best: every other row with an accuracy is worse than the best, corrected for all of them.
    ladder: accuracy against level; None where clips have no levels. sweep: against a setting that varies over rows;
        None without one, and else there is neither a lead nor a cheapest: rows differ in more than what is compared.
    collapses: rows with trainings that fell far below the others of their row.
    ceiling: rows whose mean top-1 is at least `CEILING`, at every level where there are such.
    ahead: of each variant, those that it is shown to be better than, each for itself; empty in a sweep.
    """

    record: StudyRecord
    metrics: list[str]
    rows: list[Row]
    bands: list[Band]
    best: Row | None
    runner_up: Row | None
    lead: Difference | None
    reference: dict[str, Any]
    trials: list[TrialRecord] = field(default_factory=list)
    unusable: list[tuple[str, int]] = field(default_factory=list)
    pairs: list[Difference] = field(default_factory=list)
    hypotheses: list[Tested] = field(default_factory=list)
    cheapest: list[Cheapest] = field(default_factory=list)
    breakdowns: dict[str, Breakdown] = field(default_factory=dict)
    clear_best: bool = False
    ladder: Ladder | None = None
    sweep: Sweep | None = None
    ceiling: list[str] = field(default_factory=list)
    collapses: list[Collapse] = field(default_factory=list)
    ahead: dict[str, list[str]] = field(default_factory=dict)
    ranked: dict[str, Estimate] = field(default_factory=dict)

    @property
    def one_network(self) -> bool:
        """Whether operators stand in one network, so that what they add to it compares the rows' costs."""
        costs = [row.cost for row in self.rows if row.cost]
        return len({cost.params_total - cost.params_added for cost in costs}) <= 1

    def macs(self, row: Row) -> int | None:
        """The multiply-adds that compare rows: those that operators add, or of networks of their own all; None where
        not known."""
        cost = row.cost
        return None if cost is None else cost.macs_added if self.one_network else cost.macs_total

    def parameters(self, row: Row) -> int | None:
        """The same of parameters."""
        cost = row.cost
        return None if cost is None else cost.params_added if self.one_network else cost.params_total

    @property
    def missing(self) -> list[TrialRecord]:
        """Trials of the plan that did not finish."""
        return [trial for trial in self.trials if trial.status != "done"]

    @property
    def usable(self) -> int:
        """Trials of the plan that finished with an accuracy."""
        return len(self.trials) - len(self.missing) - len(self.unusable)

    @property
    def tied(self) -> list[str]:
        """Other variants with the very same mean top-1 as the best."""
        if self.best is None:
            return []
        best = self.best.variant
        highest = self.ranked[best].mean
        return [
            row.variant
            for row in self.rows
            if row.variant in self.ranked
            and row.variant != best
            and abs(self.ranked[row.variant].mean - highest) <= SAME
        ]

    @property
    def unranked(self) -> list[str]:
        """Variants with an accuracy and without a place among the ranked: trials of theirs failed."""
        known = [row.variant for row in self.rows if row.accuracy["top1"].n]
        return [variant for variant in known if self.ranked and variant not in self.ranked]

    @property
    def against(self) -> str:
        """What rows are compared with, in words."""
        if self.sweep is None:
            return self.record.baseline
        return f"{self.sweep.baseline} at the same {self.sweep.setting}"

    @property
    def baseline(self) -> Row | None:
        """None where only other variants were asked for."""
        return next((row for row in self.rows if row.variant == self.record.baseline), None)


def summarize(record: StudyRecord) -> Summary:
    """Compute every number of a report.

    Raises:
        StudyError: the record names a reference table that does not exist.
    """
    reference = load_reference(record.reference) if record.reference else {}
    trials = planned_trials(record)
    levels = levels_of(record)
    metrics = metrics_of(record, levels)
    done = {
        variant: [trial for trial in trials if trial.variant == variant and trial.status == "done"]
        for variant in record.variants
    }
    values = {metric: by_seed(done, metric) for metric in metrics}
    scores = Scores(
        accuracy=values["top1"],
        hits={variant: hits({t.seed: t.predictions for t in mine}) for variant, mine in done.items()},
        margin=record.margin,
        at_level={level: values[level_metric(record.level_name, level)] for level in levels},
    )
    hypotheses = [parse_hypothesis(text, record.margin) for text in record.hypotheses]
    stated = {frozenset((one.left, one.right)) for one in hypotheses if one.level is None}
    others = baselines(record)
    differences = dict(zip(others, scores.table(others.items()), strict=True))
    rows = []
    for variant in record.variants:
        cost = record.costs.get(variant)
        mine = [trial for trial in trials if trial.variant == variant]
        rows.append(
            Row(
                variant=variant,
                planned=len(mine),
                status={s: sum(t.status == s for t in mine) for s in sorted({t.status for t in mine})},
                accuracy={
                    metric: mean_interval(list(values[metric][variant].values()), PER_CENT)
                    for metric in metrics
                },
                by_seed={metric: values[metric][variant] for metric in metrics},
                per_class=per_class(record.classes, done[variant]),
                difference=_labelled(differences[variant], stated) if variant in differences else None,
                cost=cost,
                latency_ms=quartiles(cost.latency_ms) if cost else None,
                paper=published_row(reference, variant, cost.geometry.get("placement") if cost else None),
                reproduced=is_reproduced(reference, variant, cost.macs_added)
                if cost and same_geometry(reference, cost.geometry, variant)
                else None,
            )
        )
    ranked = ranked_by(values["top1"], trials, record.baseline)
    by_name = {row.variant: row for row in rows}
    best, runner_up = (*map(by_name.get, ranked), None, None)[:2]
    lead = None
    if best and runner_up and not record.sweep:
        lead = scores.difference(best.variant, runner_up.variant)
    return Summary(
        record=record,
        metrics=metrics,
        rows=rows,
        bands=[band for variant in record.variants if (band := band_of(variant, done[variant]))],
        best=best,
        runner_up=runner_up,
        lead=lead,
        reference=reference,
        trials=trials,
        unusable=[
            (trial.variant, trial.seed)
            for trial in trials
            if trial.status == "done" and trial.seed not in values["top1"][trial.variant]
        ],
        pairs=[_labelled(one, stated) for one in scores.table(map(parse_pair, record.pairs))],
        hypotheses=decide(scores, hypotheses),
        cheapest=[] if record.sweep else _cheapest(scores, rows),
        breakdowns=break_down(record, done),
        clear_best=not record.sweep and best is not None and is_clear(scores, best.variant),
        ladder=climb(record, scores),
        sweep=sweep(record, values["top1"]),
        collapses=collapses(values["top1"]),
        ceiling=[
            row.variant for row in rows if row.accuracy["top1"].n and _at_ceiling(row, record.level_name)
        ],
        ranked=ranked,
        ahead={} if record.sweep else ahead_of(scores),
    )


def _at_ceiling(row: Row, level_name: str) -> bool:
    metrics = [metric for metric in row.accuracy if level_name and metric.startswith(f"{level_name}/")]
    return all(row.accuracy[metric].mean >= CEILING for metric in metrics or ["top1"])


def _labelled(difference: Difference, stated: set[frozenset[str]]) -> Difference:
    """Whether the study stated a hypothesis about the two beforehand."""
    return replace(difference, exploratory=frozenset((difference.variant, difference.other)) not in stated)


def _cheapest(scores: Scores, rows: Sequence[Row]) -> list[Cheapest]:
    macs = {row.variant: float(row.cost.macs_total) for row in rows if row.cost and row.cost.macs_total}
    latency = {row.variant: row.latency_ms for row in rows if row.latency_ms}
    return cheapest_of(scores, macs, latency, [row.variant for row in rows if row.doubtful])
