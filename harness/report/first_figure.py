"""The first figure of a study whose clips have levels, or which sweeps a setting."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from harness import plots
from harness.analysis.ladder import Ladder, LevelCurve
from harness.analysis.summary import Summary
from harness.report.document.blocks import Figure
from harness.stats.estimates import Estimate

STEMS = ("accuracy_setting", "accuracy_levels")


def draw(summary: Summary, folder: Path) -> list[Figure]:
    """Draw it into `folder`."""
    if summary.sweep is not None:
        return [_by_setting(summary, folder)]
    return [_by_level(summary.ladder, folder)] if summary.ladder is not None else []


def _by_level(ladder: Ladder, folder: Path) -> Figure:
    name = ladder.level_name
    panels = _panels(ladder)
    plots.accuracy_by_level(folder / "accuracy_levels", panels, name, ladder.chance, ladder.halfway)
    caption = (
        f"Top-1 on the clips of each {name}: mean over seeds, its 95 % interval over seeds, and every seed as a small "
        "point. Rows of the same height are drawn one in the other, the first as the widest."
    )
    if any(panel.predicted is not None for panel in panels):
        caption += (
            " A panel for each predicted horizon. Shaded: what these rows should solve. "
            f"Beyond it, a {name} is more than their network relates, and chance is expected."
        )
    return Figure("accuracy_levels", f"Accuracy by {name}", caption)


def _panels(ladder: Ladder) -> list[plots.Panel]:
    """One for each predicted horizon, else one for all."""
    if not any(curve.horizon for curve in ladder.curves):
        return [plots.Panel("", [_line(curve, ladder.levels) for curve in ladder.curves])]

    def predicted(curve: LevelCurve) -> int:
        known = curve.horizon.predicted if curve.horizon else None
        return -1 if known is None else known

    groups = itertools.groupby(sorted(ladder.curves, key=predicted), predicted)
    return [
        plots.Panel(
            "horizon not stated" if horizon < 0 else f"predicted horizon: {horizon:g}",
            [_line(curve, ladder.levels) for curve in curves],
            None if horizon < 0 else horizon,
        )
        for horizon, curves in groups
    ]


def _line(curve: LevelCurve, levels: Sequence[float]) -> plots.Line:
    return plots.Line(curve.variant, levels, *_ends(curve.accuracy), list(curve.by_seed.values()))


def _ends(accuracy: Sequence[Estimate]) -> tuple[list[float], list[float | None], list[float | None]]:
    return [one.mean for one in accuracy], [one.low for one in accuracy], [one.high for one in accuracy]


def _by_setting(summary: Summary, folder: Path) -> Figure:
    sweep = summary.sweep
    assert sweep is not None
    lines = [
        plots.Line(
            row.row,
            sweep.values,
            *_ends(row.accuracy),
            list(row.by_seed.values()),
            [one.value for one in row.thresholds if one.value is not None],
        )
        for row in sweep.rows
    ]
    plots.accuracy_by_setting(folder / "accuracy_setting", lines, sweep.setting, sweep.chance, sweep.halfway)
    caption = (
        f"Top-1 at each value of `{sweep.key}`, a panel a row: mean over seeds, its 95 % interval over seeds, and "
        "every seed as a small point. Grey: the means of the other rows."
    )
    if any(line.marks for line in lines):
        caption += (
            " Below: where each seed's curve crosses half-way from chance to 100 %, from lowest to highest."
        )
    return Figure("accuracy_setting", f"Accuracy by {sweep.setting}", caption)
