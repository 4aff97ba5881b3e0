"""Figures of trials and costs: learning curves, confusions, gains by class, learned filters, cost bars."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.plots.style import (
    BLUE,
    GREEN,
    GREY,
    HATCHES,
    ORANGE,
    RED,
    Point,
    between,
    handle,
    legend_below,
    save,
    tip,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST_DOTS = 15
"""Epochs of a curve that are marked, or, of more, tell their value without a mark."""


@dataclass(frozen=True)
class Curve:
    """One variant's accuracy over epochs, in per cent: mean, lowest and highest over n trials."""

    label: str
    n: int
    epochs: Sequence[int]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def learning_curves(path: Path, curves: Sequence[Curve], baseline: str) -> None:
    """Validation top-1 per epoch, a panel for each variant, the baseline in every panel."""
    base = next((curve for curve in curves if curve.label == baseline), None)
    shown = [curve for curve in curves if curve is not base] or list(curves)

    def draw(figure: Figure) -> None:
        columns = min(len(shown), 3)
        rows = -(-len(shown) // columns)
        figure.set_size_inches(7.4, 1.7 * rows + 1.1)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for index, axis in enumerate(axes.flat):
            if index >= len(shown):
                axis.set_axis_off()
                continue
            if base is not None and base is not shown[index]:
                _band(axis, base, GREY, "--", "")
            _band(axis, shown[index], BLUE, "-", "o")
            axis.set_title(f"{shown[index].label} (n={shown[index].n})", fontsize=10)
            axis.set_xlabel("epoch" if index + columns >= len(shown) else "")
            axis.set_ylabel("top-1 [%]" if index % columns == 0 else "")
            axis.xaxis.get_major_locator().set_params(integer=True, nbins=5)
            axis.tick_params(labelbottom=index + columns >= len(shown))
        title = "Validation top-1 per epoch: mean over seeds, band from lowest to highest"
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
        handles = [handle(BLUE, "o", "variant", line=True)]
        if base is not None and base is not shown[0]:
            handles.append(handle(GREY, "", f"{base.label} (n={base.n}), the baseline", style="--"))
        legend_below(figure, handles)

    save(path, draw)


def class_gains(path: Path, gains: Sequence[Point], variant: str, baseline: str) -> None:
    """What a variant gains over the baseline on each class.

    Args:
        gains: labelled with the class, in the order to be drawn; y in points, with its interval over seeds.
    """

    def draw(figure: Figure) -> None:
        figure.set_size_inches(7.4, 0.27 * len(gains) + 1.3)
        axis = figure.subplots()
        for place, gain in enumerate(gains):
            colour, hatch = (GREEN, "") if gain.y >= 0 else (RED, HATCHES[1])
            bar = axis.barh(place, gain.y, 0.72, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
            tip(bar.patches[0], f"{gain.label}: {gain.y:+.1f} points{between(gain.low, gain.high)}")
            if gain.low is not None and gain.high is not None:
                axis.plot([gain.low, gain.high], [place, place], color="black", linewidth=1)
        axis.axvline(0, color="black", linewidth=1)
        axis.set_yticks(range(len(gains)), [_short(gain.label) for gain in gains], fontsize=9)
        axis.set_ylim(len(gains) - 0.4, -0.6)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
        interval = ", 95 % intervals over seeds" if any(gain.low is not None for gain in gains) else ""
        axis.set_xlabel(f"top-1 of {variant} minus that of {baseline} [points]{interval}")
        axis.set_title(f"Gains and losses of {variant} by class")

    save(path, draw)


def cost_bars(path: Path, panels: Sequence[tuple[str, Sequence[Point]]], where: str) -> None:
    """What each variant costs, a panel a quantity, the same order in all.

    Args:
        panels: title with unit, and a point a variant: y is the cost, low and high its quartiles; a doubtful one
            is marked with a question mark.
        where: the geometry and the device, in words.
    """

    def draw(figure: Figure) -> None:
        many = max(len(points) for _, points in panels)
        columns = 2 if len(panels) > 1 else 1
        rows = -(-len(panels) // columns)
        figure.set_size_inches(7.4, rows * (0.24 * many + 0.9) + 0.4)
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for place, axis in enumerate(axes.flat):
            if place >= len(panels):
                axis.set_axis_off()
                continue
            _cost_panel(axis, *panels[place], names=place % columns == 0)
        figure.suptitle(f"Cost of one clip: {where}", x=0.01, ha="left", fontsize=11)

    save(path, draw)


def _cost_panel(axis: Axes, title: str, points: Sequence[Point], *, names: bool) -> None:
    """Bars from zero. One that would press all others flat runs out of the panel, and its number says so."""
    values = sorted(point.y for point in points)
    edge = values[-1]
    if len(values) > 1 and values[-1] > 4 * values[-2] > 0:
        edge = 1.5 * values[-2]
    for place, point in enumerate(points):
        beyond = point.y > edge
        bar = axis.barh(place, min(point.y, edge), 0.72, color=BLUE)
        if point.low is not None and point.high is not None and not beyond:
            axis.plot([point.low, point.high], [place, place], color="black", linewidth=1.2)
        right = max(min(point.y, edge), point.high or 0 if not beyond else 0)
        text = "\u00bb " if beyond else ""
        text += f"{point.y:.3g}" if point.y < 1000 else f"{point.y:,.0f}"
        text += " ?" if point.doubtful else ""
        tip(bar.patches[0], f"{point.label}: {text}{between(point.low, point.high)}")
        axis.annotate(
            text, (right, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.set_title(title, fontsize=10)
    axis.set_xlim(0, 1.28 * edge or 1)
    axis.set_yticks(range(len(points)), [point.label for point in points], fontsize=9)
    axis.tick_params(axis="y", length=0, labelleft=names)
    axis.set_ylim(len(points) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.locator_params(axis="x", nbins=4)


@dataclass(frozen=True)
class Taps:
    """One operator's drawn channels, before and after training: (channels, offsets) each."""

    title: str
    offsets: Sequence[int]
    initial: Sequence[Sequence[float]]
    final: Sequence[Sequence[float]]


def filters(path: Path, operators: Sequence[Taps], variant: str) -> None:
    """Learned temporal filters, a panel an operator: where the taps started, dashed, and where they went."""

    def draw(figure: Figure) -> None:
        columns = min(len(operators), 4)
        rows = -(-len(operators) // columns)
        figure.set_size_inches(7.4, 1.6 * rows + 1.0)
        axes = figure.subplots(rows, columns, squeeze=False)
        for place, axis in enumerate(axes.flat):
            if place >= len(operators):
                axis.set_axis_off()
                continue
            taps = operators[place]
            axis.axhline(0, color="black", linewidth=0.6)
            for start, end in zip(taps.initial, taps.final, strict=True):
                axis.plot(taps.offsets, start, "--", color=GREY, linewidth=0.9)
                axis.plot(taps.offsets, end, "-", color=BLUE, linewidth=1.1, marker="o", markersize=2.5)
            axis.set_title(taps.title, fontsize=8)
            axis.set_xticks(taps.offsets)
            axis.tick_params(labelsize=8)
            axis.set_xlabel("frame" if place + columns >= len(operators) else "", fontsize=9)
        figure.suptitle(f"Temporal filters of {variant}", x=0.01, ha="left", fontsize=11)
        handles = [handle(GREY, "", "before training", style="--"), handle(BLUE, "o", "after", line=True)]
        legend_below(figure, handles)

    save(path, draw)


def paired_points(path: Path, pairs: Sequence[tuple[Point, Point]], names: tuple[str, str]) -> None:
    """Top-1 of each variant in two studies, one beside the other, with intervals. names: of the two."""

    def draw(figure: Figure) -> None:
        figure.set_size_inches(7.4, 0.42 * len(pairs) + 1.5)
        axis = figure.subplots()
        for place, pair in enumerate(pairs):
            for point, shift, colour, marker in zip(pair, (-0.14, 0.14), (BLUE, ORANGE), "os", strict=True):
                if point.low is not None and point.high is not None:
                    axis.plot([point.low, point.high], [place + shift] * 2, color=colour, linewidth=1.6)
                (mark,) = axis.plot([point.y], [place + shift], marker, color=colour, markersize=6)
                tip(mark, f"{point.label}: {point.y:.1f} %{between(point.low, point.high)}")
        axis.set_yticks(range(len(pairs)), [pair[0].label for pair in pairs])
        axis.set_ylim(len(pairs) - 0.4, -0.6)
        axis.tick_params(axis="y", length=0)
        axis.set_xlabel("top-1 [%], 95 % intervals over seeds")
        axis.set_title("The same variants in both")
        legend_below(figure, [handle(BLUE, "o", names[0]), handle(ORANGE, "s", names[1])])

    save(path, draw)


def _short(name: str, most: int = 44) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}\u2026"


def confusion_matrix(
    path: Path, counts: np.ndarray | Sequence[Sequence[int]], classes: Sequence[str]
) -> None:
    """Where clips of each class went, as part of the row. counts: (classes, classes), row = true class."""
    clips = np.asarray(counts, dtype=float)
    share = clips / np.maximum(clips.sum(axis=1, keepdims=True), 1.0)

    def draw(figure: Figure) -> None:
        few = len(classes) <= 40
        side = 2.6 + 0.3 * len(classes) if few else 10.0
        figure.set_size_inches(side + 0.8, side)
        axis = figure.subplots()
        image = axis.imshow(100 * share, cmap="cividis", vmin=0, vmax=100)
        axis.grid(visible=False)
        axis.set_title("Confusion: part of each true class")
        axis.set_xlabel("predicted class")
        axis.set_ylabel("true class")
        if few:
            axis.set_xticks(range(len(classes)), list(classes), rotation=90, fontsize=8)
            axis.set_yticks(range(len(classes)), list(classes), fontsize=8)
            for row, column in zip(*np.nonzero(clips), strict=True):
                colour = "black" if share[row, column] > 0.5 else "white"
                text = f"{clips[row, column]:g}"
                axis.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
        figure.colorbar(image, ax=axis, shrink=0.8, label="clips of the true class [%]")

    save(path, draw)


def _band(axis: Axes, curve: Curve, colour: str, style: str, marker: str) -> None:
    axis.fill_between(curve.epochs, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    (line,) = axis.plot(curve.epochs, curve.mean, style, color=colour, linewidth=1.4)
    if not marker:  # the baseline, which stands in every panel
        tip(line, f"{curve.label}: {curve.mean[-1]:.1f} % after epoch {curve.epochs[-1]}")
        return
    every = -(-len(curve.epochs) // MOST_DOTS)
    points = zip(curve.epochs, curve.mean, curve.low, curve.high, strict=True)
    for epoch, mean, low, high in itertools.islice(points, (len(curve.epochs) - 1) % every, None, every):
        (dot,) = axis.plot(
            [epoch], [mean], marker, color=colour, markersize=3.5, alpha=1.0 if every == 1 else 0.0
        )
        tip(dot, f"{curve.label}, epoch {epoch}: {mean:.1f} %, seeds {low:.1f} to {high:.1f}")
