"""Which figures a study's numbers allow, and the words under them. `harness.plots` draws; nothing is computed there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness import plots
from harness.analysis.operators import kernel_span, operator_settings
from harness.analysis.summary import Row, Summary
from harness.metrics import counts
from harness.plots import Point
from harness.report import first_figure
from harness.report.document.blocks import Figure
from harness.report.format import bare_points, listed
from harness.stats.differences import Verdict
from harness.units import geometry_on_page

MOST = 20
"""Figures with a bar or a panel for each variant show no more of them: the baseline and the best."""

MOST_OPERATORS = 16

MOST_CONFUSED = 40
"""Classes of a confusion matrix that can still be read."""

MOST_CLASSES = 24
"""A figure by class shows half as many that gained most and half as many that lost most."""


def draw(summary: Summary, folder: Path) -> list[Figure]:
    """Draw the figures that the study has numbers for, into `folder`."""
    shown = [row for row in summary.rows if row.accuracy["top1"].n]
    unswept = [] if summary.sweep else shown  # else rows differ in more than their operators
    return [
        *first_figure.draw(summary, folder),
        *_forest(summary, shown, folder),
        *_against_costs(summary, unswept, folder),
        *_by_kernel_size(summary, unswept, folder),
        *_groups(summary, shown, folder),
        *_gains(summary, folder),
        *_confusion(summary, folder),
        *_filters(summary, shown, folder),
        *_curves(summary, shown, folder),
        *_cost_bars(summary, folder),
    ]


def _forest(summary: Summary, shown: list[Row], folder: Path) -> list[Figure]:
    rows = [row for row in _few(summary, shown) if row.difference and row.difference.n]
    if not rows:
        return []
    gaps = []
    for row in rows:
        assert row.difference is not None
        gap = row.difference
        sign = {Verdict.BETTER: 1, Verdict.WORSE: -1}.get(gap.verdict, 0)
        words = f"{gap.words}, {bare_points(gap, seeds=row.finished)}"
        gaps.append(plots.Gap(row.variant, gap.mean, gap.low, gap.high, sign, words, gap.by_seed))
    margin = summary.record.margin or None
    plots.forest(folder / "differences", gaps, summary.against, margin)
    caption = (
        "Difference in top-1 to the baseline, paired by seed, with the interval and the verdict of the table. "
        "An interval is for its row alone; the verdict is corrected for all rows, and so stricter."
    )
    if margin:
        caption += f" The band is the margin of {margin:g} points, within which differences do not matter."
    alt = "; ".join(f"{gap.label} {gap.words}" for gap in gaps)
    return [Figure("differences", "Differences to the baseline", caption + _left_out(shown, summary), alt)]


@dataclass(frozen=True)
class _Cost:
    """What a variant costs, in a figure's unit. low, high: quartiles of what was measured."""

    value: float
    low: float | None = None
    high: float | None = None
    doubtful: bool = False

    def below(self, other: _Cost) -> bool:
        """Whether it is shown to cost no more: a measured one, that their quartiles do not overlap."""
        if self.high is None or other.low is None:
            return self.value <= other.value
        return self.high < other.low and not self.doubtful and not other.doubtful


def _counted(summary: Summary) -> list[tuple[str, str, str, Callable[[Row], _Cost | None]]]:
    """The costs that are counted: stem of the figure, name, unit, and what a row's is."""

    def in_units(count: int | None, unit: float) -> _Cost | None:
        return None if count is None else _Cost(count / unit)

    macs, parameters = (
        ("added MACs", "added parameters") if summary.one_network else ("total MACs", "all parameters")
    )
    return [
        ("accuracy_macs", macs, f"{macs} [G]", lambda row: in_units(summary.macs(row), 1e9)),
        (
            "accuracy_parameters",
            parameters,
            f"{parameters} [million]",
            lambda row: in_units(summary.parameters(row), 1e6),
        ),
    ]


def _latency(row: Row) -> _Cost | None:
    if row.latency_ms is None:
        return None
    measured = row.latency_ms
    return _Cost(measured.median, measured.q1, measured.q3, row.doubtful)


def _activations(row: Row) -> _Cost | None:
    return _Cost(row.cost.activation_mib) if row.cost and row.cost.activation_mib is not None else None


def _step_memory(row: Row) -> _Cost | None:
    return (
        _Cost(row.cost.peak_memory_mib["step"]) if row.cost and "step" in row.cost.peak_memory_mib else None
    )


def _against_costs(summary: Summary, shown: list[Row], folder: Path) -> list[Figure]:
    """Top-1 against MACs, parameters and measured latency, each with the variants that no other beats."""
    drawn: list[Figure] = []
    quantities = [
        *_counted(summary),
        ("accuracy_latency", "measured latency", "latency of one clip [ms], median and quartiles", _latency),
    ]
    baseline = summary.baseline if summary.baseline in shown else None
    for stem, what, unit, read in quantities:
        found = {row.variant: (row, cost) for row in shown if (cost := read(row))}
        points = [
            replace(
                _point(row, "top1", cost.value),
                x_low=cost.low,
                x_high=cost.high,
                front=not any(other.below(cost) for _, other in _better(summary, row, found)),
                doubtful=cost.doubtful,
            )
            for row, cost in found.values()
            if row is not baseline  # which is a line, and so does not press the others together
        ]
        if not points:
            continue
        line = _point(baseline, "top1", 0) if baseline else None
        if line and line.label in found and (read is _latency or not summary.one_network):
            own = found[line.label][1]
            words = (
                f"{own.value:.0f} ms" if read is _latency else f"{own.value:.3g} {unit.split('[')[1][:-1]}"
            )
            words += " ?" if own.doubtful else ""
            line = replace(line, label=f"{line.label}, {words}:")
        where = geometry_on_page(row.cost for row, _ in found.values() if row.cost)
        plots.accuracy_against(folder / stem, points, line, f"Accuracy against {what}", f"{unit}, {where}")
        caption = (
            f"Top-1 against {what}. Red: no other variant is shown to be both cheaper and better. "
            "Better: the 95 % interval of their difference, paired by seed and uncorrected, is above 0. "
        )
        if read is _latency:
            caption += "Cheaper: their quartiles do not overlap, and neither latency is doubtful. "
        caption += "Neighbours in red are joined where neither their costs nor their intervals overlap."
        if absent := [row.variant for row in summary.rows if row.variant not in found]:
            caption += f" Not drawn, for want of an accuracy or of a cost: {listed(absent)}."
        alt = "; ".join(f"{p.label} {p.y:.1f} % at {p.x:.4g}{' ?' * p.doubtful}" for p in points)
        drawn.append(Figure(stem, f"Top-1 accuracy against {what}", caption, alt))
    return drawn


def _better(summary: Summary, row: Row, found: Mapping[str, tuple[Row, _Cost]]) -> list[tuple[Row, _Cost]]:
    """Those that are shown to be better than a row."""
    return [pair for variant, pair in found.items() if row.variant in summary.ahead.get(variant, ())]


def _by_kernel_size(summary: Summary, shown: list[Row], folder: Path) -> list[Figure]:
    baseline = summary.baseline
    spans = [
        (row, span)
        for row in shown
        if row is not baseline and (span := kernel_span(operator_settings(summary.record, row.variant)))
    ]
    if len({span for _, (span, _) in spans}) < 2:
        return []
    single = [_point(row, "top1", span) for row, (span, mixed) in spans if not mixed]
    several = [_point(row, "top1", span) for row, (span, mixed) in spans if mixed]
    line = _point(baseline, "top1", 0) if baseline in shown and baseline else None
    plots.accuracy_by_kernel_size(folder / "accuracy_kernel_size", single, several, line)
    caption = (
        "Depthwise operators only. One kernel size on all channels as a line; sizes or dilations mixed over "
        "channel groups as diamonds, each at a place of its own, over the frames that its largest kernel spans."
    )
    return [Figure("accuracy_kernel_size", "Top-1 accuracy by temporal kernel size", caption)]


def _groups(summary: Summary, shown: list[Row], folder: Path) -> list[Figure]:
    groups = [metric.removeprefix("group/") for metric in summary.metrics if metric.startswith("group/")]
    rows = _few(summary, shown)
    if not groups or not rows:
        return []
    bars = {}
    for row in rows:
        measured = [group for group in groups if row.accuracy[f"group/{group}"].n]
        bars[row.variant] = [replace(_point(row, f"group/{group}", 0), label=group) for group in measured]
    plots.group_accuracy(folder / "accuracy_groups", groups, bars)
    caption = "Top-1 over the clips of each group of classes." + _left_out(shown, summary)
    return [Figure("accuracy_groups", "Top-1 accuracy by group of classes", caption)]


def _gains(summary: Summary, folder: Path) -> list[Figure]:
    """Of the best variant that is not the baseline."""
    found = next((row for row in (summary.best, summary.runner_up) if row and row.difference), None)
    breakdown = summary.breakdowns.get(found.variant) if found else None
    if breakdown is None or not (breakdown.gained or breakdown.lost):
        return []
    variant, baseline = breakdown.variant, summary.record.baseline
    half = MOST_CLASSES // 2
    changes = [*breakdown.gained[:half], *reversed(breakdown.lost[:half])]
    points = [Point(c.name, 0, c.change.mean, c.change.low, c.change.high) for c in changes]
    plots.class_gains(folder / "class_gains", points, variant, baseline)
    caption = (
        f"`{variant}` against `{baseline}`, paired by seed, class by class; "
        "intervals are each for itself, uncorrected: they show where to look rather than what is so."
    )
    unchanged = len(summary.record.classes) - len(changes)
    if unchanged:
        caption += f" Of {len(summary.record.classes)} classes, the {len(changes)} that changed most."
    return [Figure("class_gains", f"Gains and losses of {variant} by class", caption)]


def _confusion(summary: Summary, folder: Path) -> list[Figure]:
    """Of the best variant that is not the baseline, over all its seeds."""
    row = next((row for row in (summary.best, summary.runner_up) if row and row.difference), None)
    classes = len(summary.record.classes)
    if row is None or not 2 < classes <= MOST_CONFUSED:
        return []
    kept = [t.predictions for t in summary.trials if t.variant == row.variant and t.status == "done"]
    kept = [one for one in kept if one.get("label") and one.get("predicted")]
    if not kept:
        return []
    table = sum(counts(np.asarray(one["label"]), np.asarray(one["predicted"]), classes) for one in kept)
    plots.confusion_matrix(folder / "confusion", np.asarray(table), summary.record.classes)
    caption = (
        f"`{row.variant}`, all finished seeds: what clips of each class, a row, were taken for, a column."
    )
    return [Figure("confusion", f"Confusions of {row.variant}", caption)]


def _filters(summary: Summary, shown: list[Row], folder: Path) -> list[Figure]:
    """Of the best variant that has any: one operator a stage, or all of a small network."""
    ranked = sorted(shown, key=lambda row: -row.accuracy["top1"].mean)
    known = [summary.breakdowns[row.variant] for row in ranked if row.variant in summary.breakdowns]
    breakdown = next((one for one in known if one.filters), None)
    if breakdown is None:
        return []
    chosen = breakdown.filters
    if len(chosen) > MOST_OPERATORS:
        chosen = list({filters.stage: filters for filters in chosen}.values())  # the last of each stage
    taps = []
    for one in chosen:
        title = f"{one.operator.removesuffix('.temporal')}, moved {one.moved.mean:.2g}"
        taps.append(plots.Taps(title, one.offsets, one.initial, one.final))
    plots.filters(folder / "filters", taps, breakdown.variant)
    caption = (
        f"`{breakdown.variant}`, first seed: taps of some channels, evenly spread, "
        f"of {len(chosen)} of its {len(breakdown.filters)} operators. "
        "Moved: Euclidean distance of a channel's taps from their start, mean over all channels and seeds."
    )
    return [Figure("filters", f"Temporal filters of {breakdown.variant}", caption)]


def _curves(summary: Summary, shown: list[Row], folder: Path) -> list[Figure]:
    rows = _few(summary, shown)
    chosen = {row.variant for row in rows}
    curves = [
        plots.Curve(b.variant, b.n, b.epochs, b.mean, b.low, b.high)
        for b in summary.bands
        if b.variant in chosen
    ]
    if not any(len(curve.epochs) > 1 for curve in curves):  # a point is no curve
        return []
    plots.learning_curves(folder / "learning_curves", curves, summary.record.baseline)
    caption = "Mean over the finished seeds (n); the band goes from the lowest seed to the highest."
    caption += _left_out(shown, summary)
    return [Figure("learning_curves", "Validation top-1 per epoch", caption)]


def _cost_bars(summary: Summary, folder: Path) -> list[Figure]:
    rows = [row for row in _few(summary, summary.rows) if row.cost]
    if not rows:
        return []
    panels = []
    for title, read in (
        *((unit, read) for _, _, unit, read in _counted(summary)),
        ("latency of one clip [ms]", _latency),
        ("activations kept for backward [MiB]", _activations),
        ("peak memory of a training step [MiB]", _step_memory),
    ):
        costs = [(row.variant, cost) for row in rows if (cost := read(row))]
        if len(costs) == len(rows):  # a panel with gaps would read as zeros
            bars = [
                Point(name, 0, cost.value, cost.low, cost.high, doubtful=cost.doubtful)
                for name, cost in costs
            ]
            panels.append((title, bars))
    if not panels:
        return []
    where = geometry_on_page(row.cost for row in rows if row.cost)
    plots.cost_bars(folder / "cost", panels, where)
    caption = (
        "What one clip costs; a bar marked » runs on beyond the panel, its number says how far. "
        "Lines on latencies are quartiles; ? marks a doubtful one. "
        "A quantity that was not measured for every variant has no panel."
    )
    return [Figure("cost", "Cost of every variant", caption + _left_out(summary.rows, summary))]


def _few(summary: Summary, rows: list[Row]) -> list[Row]:
    """All rows, or, of many, the baseline and those with the highest accuracy, in the study's order."""
    if len(rows) <= MOST:
        return rows
    ranked = sorted((r for r in rows if r.accuracy["top1"].n), key=lambda r: -r.accuracy["top1"].mean)
    kept = [row for row in rows if row is summary.baseline]
    kept += [row for row in ranked if row is not summary.baseline][: MOST - len(kept)]
    return [row for row in rows if row in kept]


def _left_out(rows: list[Row], summary: Summary) -> str:
    if len(_few(summary, rows)) == len(rows):
        return ""
    best = f"the baseline and the {MOST - 1} with the highest top-1"
    return f" Of {len(rows)} variants, {best} are drawn; the tables have all."


def _point(row: Row, metric: str, x: float) -> Point:
    value = row.accuracy[metric]
    seeds = tuple(row.by_seed[metric].values())
    return Point(row.variant, x, value.mean, value.low, value.high, seeds=seeds)
