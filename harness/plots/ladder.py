"""Accuracy against how hard a clip is, and against a setting that was swept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.plots.style import COLOURS, GREY, MARKERS, SKY, handle, legend_below, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Line:
    """One operator's top-1 in per cent along x.

    low, high: its 95 % intervals, None where there is none. seeds: the curve of each seed, NaN where it has none.
    marks: where each seed's curve crosses half-way.
    """

    label: str
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float | None]
    high: Sequence[float | None]
    seeds: Sequence[Sequence[float]]
    marks: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """The lines of one panel. predicted: the largest x that they are to solve; None where nothing is predicted."""

    title: str
    lines: Sequence[Line]
    predicted: float | None = None


def accuracy_by_level(
    path: Path, panels: Sequence[Panel], level_name: str, chance: float | None, halfway: float | None
) -> None:
    """Top-1 against level, a line an operator, every seed a point; what is predicted to be solved is shaded."""
    levels = sorted({x for panel in panels for line in panel.lines for x in line.x})
    looks = _looks([line.label for panel in panels for line in panel.lines])

    def draw(figure: Figure) -> None:
        columns = min(len(panels), 2)
        rows = -(-len(panels) // columns)
        figure.set_size_inches(7.4, (2.5 if rows > 1 else 3.9) * rows + 0.4 + 0.2 * -(-len(looks) // 4))
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        lowest = _lowest([line for panel in panels for line in panel.lines], chance)
        step = min((b - a for a, b in itertools.pairwise(levels)), default=1.0)
        for place, axis in enumerate(axes.flat):
            if place >= len(panels):
                axis.set_axis_off()
                continue
            panel = panels[place]
            if panel.predicted is not None and panel.predicted >= levels[0]:
                axis.axvspan(levels[0] - step, panel.predicted + step / 2, color=SKY, alpha=0.22, linewidth=0)
            _levels_across(axis, chance, halfway, lowest)
            for line, shift in zip(panel.lines, _shifts(len(panel.lines), 0.5 * step), strict=True):
                _line(axis, line, [x + shift for x in line.x], *looks[line.label])
            axis.set_title(panel.title, fontsize=10)
            axis.set_xticks(levels, [f"{level:g}" for level in levels])
            axis.set_xlim(levels[0] - step / 2, levels[-1] + step / 2)
            axis.tick_params(labelbottom=place + columns >= len(panels))
            axis.set_xlabel(level_name if place + columns >= len(panels) else "")
            axis.set_ylabel("top-1 [%]" if place % columns == 0 else "")
        figure.suptitle(
            f"Accuracy by {level_name}: mean, 95 % interval and every seed", x=0.01, ha="left", fontsize=11
        )
        legend_below(figure, [handle(c, m, label, style=s) for label, (c, m, s) in looks.items()])

    save(path, draw)


def accuracy_by_setting(
    path: Path, lines: Sequence[Line], setting: str, chance: float | None, halfway: float | None
) -> None:
    """Top-1 against a swept setting, a line a row, every seed a point; below, where each seed crosses half-way."""
    values = sorted({x for line in lines for x in line.x})
    looks = _looks([line.label for line in lines])
    logarithmic = values[0] > 0

    def place(
        x: float,
    ) -> float:  # drawn on an axis of our own, so that lines are straight as they were computed
        return math.log(x) if logarithmic else x

    def draw(figure: Figure) -> None:
        crossed = [line for line in lines if line.marks]
        figure.set_size_inches(7.4, 4.6 + 0.2 * -(-len(looks) // 4) + 0.2 * len(crossed))
        if crossed:
            top, foot = figure.subplots(2, 1, sharex=True, height_ratios=(12, len(crossed) + 1))
        else:
            top = foot = figure.subplots()
        _levels_across(top, chance, halfway, _lowest(lines, chance))
        span = place(values[-1]) - place(values[0]) or 1.0
        step = span / max(1, len(values) - 1)
        for line, shift in zip(lines, _shifts(len(lines), 0.25 * step), strict=True):
            _line(top, line, [place(x) + shift for x in line.x], *looks[line.label])
        top.set_ylabel("top-1 [%]")
        for row, line in enumerate(crossed):
            colour, marker, _ = looks[line.label]
            ends = place(min(line.marks)), place(max(line.marks))
            foot.plot(ends, [row, row], "-", color=colour, linewidth=1.6)
            for mark in line.marks:
                foot.plot([place(mark)], [row], marker, color=colour, markersize=5, markerfacecolor="white")
        if crossed:
            foot.set_yticks(range(len(crossed)), [line.label for line in crossed], fontsize=9)
            foot.set_ylim(len(crossed) - 0.4, -0.6)
            foot.set_title("where each seed gets half-way", fontsize=10)
        foot.set_xticks([place(value) for value in values], [f"{value:g}" for value in values])
        foot.set_xlim(place(values[0]) - step / 3, place(values[-1]) + step / 3)
        foot.set_xlabel(setting + (", logarithmic" if logarithmic else ""))
        top.set_title(f"Accuracy by {setting}: mean, 95 % interval and every seed")
        legend_below(figure, [handle(c, m, label, style=s) for label, (c, m, s) in looks.items()])

    save(path, draw)


def _looks(labels: Sequence[str]) -> Mapping[str, tuple[str, str, str]]:
    """Colour, marker and line style of each: no two share all three, nor neighbours any."""
    return {
        label: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], STYLES[i % len(STYLES)])
        for i, label in enumerate(labels)
    }


def _shifts(many: int, width: float) -> list[float]:
    """Places side by side around 0, so that lines of the same height do not hide each other."""
    return [width * (i - (many - 1) / 2) / max(many, 4) for i in range(many)]


def _lowest(lines: Sequence[Line], chance: float | None) -> float:
    """Where the axis of accuracies begins: below chance, and below whatever is drawn."""
    values = [y for line in lines for curve in (line.mean, *line.seeds) for y in curve if not math.isnan(y)]
    return min([*values, *([] if chance is None else [chance])], default=0.0) - 8


def _levels_across(axis: Axes, chance: float | None, halfway: float | None, lowest: float) -> None:
    for value, style, words in ((halfway, "--", "half-way"), (chance, ":", "chance")):
        if value is not None:
            axis.axhline(value, color=GREY, linestyle=style, linewidth=1)
            axis.annotate(
                words,
                (1.0, value),
                xycoords=("axes fraction", "data"),
                xytext=(-2, -2),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=8,
                color="#444444",
            )
    axis.set_ylim(lowest, 104)


def _line(axis: Axes, line: Line, x: Sequence[float], colour: str, marker: str, style: str) -> None:
    for seed in line.seeds:
        axis.plot(x, seed, marker, color=colour, markersize=3.4, alpha=0.5, markeredgewidth=0, zorder=2)
    for place, low, high in zip(x, line.low, line.high, strict=True):
        if low is not None and high is not None:
            axis.plot([place, place], [low, high], color=colour, linewidth=1, alpha=0.7, zorder=2)
    axis.plot(x, line.mean, style, color=colour, marker=marker, markersize=5.5, linewidth=1.4, zorder=3)
