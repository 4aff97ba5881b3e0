"""Accuracy against how hard a clip is, and against a setting that was swept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from harness.plots.style import COLOURS, GREY, MARKERS, SKY, between, handle, legend_below, save, tip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = ("-", "--", ":", "-.")

Look: TypeAlias = tuple[str, str, str]
"""Colour, marker, line style."""


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
    """Top-1 against level, a line an operator, every seed a point; what is predicted to be solved is shaded.

    Lines of the same height are drawn one in the other, the first as the widest: nothing is moved.
    """
    levels = sorted({x for panel in panels for line in panel.lines for x in line.x})
    looks = _looks([line.label for panel in panels for line in panel.lines])

    def draw(figure: Figure) -> None:
        columns = min(len(panels), 2 if len(panels) <= 4 else 4)
        rows = -(-len(panels) // columns)
        height = 3.9 if rows == 1 else 2.5 if columns == 2 else 2.0
        figure.set_size_inches(7.4, height * rows + 0.4 + 0.2 * -(-len(looks) // 4))
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
            _levels_across(axis, chance, halfway, lowest, words=place == 0)
            for line, width in zip(panel.lines, _widths(len(panel.lines)), strict=True):
                _line(axis, line, line.x, looks[line.label], width)
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
    """Top-1 against a swept setting, a panel a row, every seed a point; below, where each seed crosses half-way."""
    values = sorted({x for line in lines for x in line.x})
    looks = _looks([line.label for line in lines])
    logarithmic = values[0] > 0

    def place(x: float) -> float:
        """On an axis of our own, so that lines are as straight as they were computed."""
        return math.log(x) if logarithmic else x

    def draw(figure: Figure) -> None:
        crossed = [line for line in lines if line.marks]
        columns = min(len(lines), 3 if len(values) <= 6 else 2)
        rows = -(-len(lines) // columns)
        height = 1.75 if rows < 3 else 1.5
        figure.set_size_inches(7.4, height * rows + 0.9 + (0.6 + 0.2 * len(crossed) if crossed else 0))
        heights = [height] * rows + ([0.5 + 0.2 * len(crossed)] if crossed else [])
        grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
        panels: list[Axes] = []
        for index, line in enumerate(lines):
            cell = grid[index // columns, index % columns]
            first = panels[0] if panels else None
            axis = figure.add_subplot(cell, sharex=first, sharey=first)
            panels.append(axis)
            _levels_across(axis, chance, halfway, _lowest(lines, chance), words=index == 0)
            for other in lines:
                axis.plot(list(map(place, other.x)), other.mean, "-", color="#C9C9C9", linewidth=1, zorder=1)
            _line(axis, line, list(map(place, line.x)), looks[line.label], 1.6)
            axis.set_title(line.label, fontsize=10)
            axis.set_ylabel("top-1 [%]" if index % columns == 0 else "")
            axis.tick_params(labelleft=index % columns == 0, labelbottom=index + columns >= len(lines))
        last = panels
        if crossed:
            foot = figure.add_subplot(grid[-1, :], sharex=panels[0])
            last = [*panels, foot]
            _crossings(foot, crossed, place, looks)
        _setting_axis(last, [place(value) for value in values], values, small=columns > 1)
        figure.supxlabel(setting + (", logarithmic" if logarithmic else ""), fontsize=10)
        title = f"Accuracy by {setting}: mean, 95 % interval and every seed; grey: the other rows"
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)

    save(path, draw)


def _setting_axis(
    axes: Sequence[Axes], places: Sequence[float], values: Sequence[float], *, small: bool
) -> None:
    span = places[-1] - places[0] or 1.0
    for axis in axes:
        axis.set_xticks(places, [f"{value:g}" for value in values], fontsize=8 if small else 10)
    axes[0].set_xlim(places[0] - 0.06 * span, places[-1] + 0.06 * span)


def _crossings(
    axis: Axes, lines: Sequence[Line], place: Callable[[float], float], looks: Mapping[str, Look]
) -> None:
    """Where each seed gets half-way, a line a row from the lowest to the highest."""
    for row, line in enumerate(lines):
        colour, marker, _ = looks[line.label]
        axis.plot(
            [place(min(line.marks)), place(max(line.marks))], [row, row], "-", color=colour, linewidth=1.6
        )
        for mark in line.marks:
            (drawn,) = axis.plot(
                [place(mark)], [row], marker, color=colour, markersize=5, markerfacecolor="white"
            )
            tip(drawn, f"{line.label}: {mark:.4g}")
    axis.set_yticks(range(len(lines)), [line.label for line in lines], fontsize=9)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    axis.set_title("where each seed gets half-way", fontsize=10)


def _looks(labels: Sequence[str]) -> Mapping[str, Look]:
    """Colour, marker and line style of each: no two share all three, nor neighbours colour or marker."""
    return {
        label: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], STYLES[i // 24 % len(STYLES)])
        for i, label in enumerate(labels)
    }


def _widths(many: int) -> list[float]:
    """Of lines that may lie on each other: each narrower than the one before, so that all are seen."""
    return [1.4 + min(1.6, 7.0 / many) * (many - 1 - i) for i in range(many)]


def _lowest(lines: Sequence[Line], chance: float | None) -> float:
    """Where the axis of accuracies begins: below chance, and below whatever is drawn."""
    drawn = [y for line in lines for curve in (line.mean, line.low, *line.seeds) for y in curve]
    values = [y for y in (*drawn, chance) if y is not None and not math.isnan(y)]
    return min(values, default=0.0) - 8


def _levels_across(
    axis: Axes, chance: float | None, halfway: float | None, lowest: float, *, words: bool = True
) -> None:
    for value, style, name in ((halfway, "--", "half-way"), (chance, ":", "chance")):
        if value is not None:
            axis.axhline(value, color=GREY, linestyle=style, linewidth=1)
            if not words:
                continue
            axis.annotate(
                name,
                (1.0, value),
                xycoords=("axes fraction", "data"),
                xytext=(-2, -5),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=8,
                color="#444444",
            )
    axis.set_ylim(lowest, 104)


def _line(axis: Axes, line: Line, x: Sequence[float], look: Look, width: float) -> None:
    colour, marker, style = look
    for seed in line.seeds:
        axis.plot(x, seed, marker, color=colour, markersize=3.4, alpha=0.5, markeredgewidth=0, zorder=2)
    for place, low, high in zip(x, line.low, line.high, strict=True):
        if low is not None and high is not None:
            axis.plot([place, place], [low, high], color=colour, linewidth=width, alpha=0.5, zorder=2)
    axis.plot(x, line.mean, style, color=colour, linewidth=width, zorder=3)
    for place, shown, mean, low, high in zip(x, line.x, line.mean, line.low, line.high, strict=True):
        fill = colour if width < 2 else "none"
        (mark,) = axis.plot(
            [place], [mean], marker, color=colour, markerfacecolor=fill, markersize=4 + width, zorder=4
        )
        tip(mark, f"{line.label} at {shown:g}: {mean:.1f} %{between(low, high)}")
