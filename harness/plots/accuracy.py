"""Accuracy of variants: against what they cost, by kernel size, as differences, by group of classes."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.plots.style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    HATCHES,
    RED,
    SKY,
    Point,
    between,
    dots,
    ends,
    handle,
    label_points,
    legend_below,
    save,
    tip,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Gap:
    """A variant's difference to the baseline in points, and the word for it.

    low and high: the interval that is quoted; sign: 1 better, -1 worse, 0 neither. seeds: of each pair of trainings.
    """

    label: str
    mean: float
    low: float | None
    high: float | None
    sign: int
    words: str
    seeds: tuple[float, ...] = ()


def accuracy_against(
    path: Path, points: Sequence[Point], baseline: Point | None, title: str, unit: str
) -> None:
    """Top-1 over what a variant costs, every point where it was measured.

    Args:
        points: x in `unit`; filled are those that no other is shown to beat. Two neighbours among them are joined
            where neither their costs nor their intervals overlap.
        baseline: drawn as a line; its x is not used.
        unit: what x is and where it was taken, in words.
    """

    def draw(figure: Figure) -> None:
        figure.set_size_inches(7.4, 5.0)
        top, foot = _accuracy_axes(figure, points, baseline)
        top.set_title(title)
        note = _cost_scale(foot, [point.x for point in points])
        foot.set_xlabel(textwrap.fill(f"{unit}{note}", 84))
        handles = [handle(RED, "D", "no other is shown to be cheaper and better")]
        if any(not point.front for point in points):
            handles.append(handle(BLUE, "o", "another is"))
        if any(point.doubtful for point in points):
            handles.append(handle(GREY, "$?$", "doubtful latency"))
        legend_below(figure, handles)
        figure.draw_without_rendering()  # the layout decides where a value stands on the page
        if baseline is not None:
            _name(foot, baseline, [(point.x, y) for point in points for y in (point.y, *point.seeds)])
        front = sorted((point for point in points if point.front), key=lambda point: point.x)
        for a, b in itertools.pairwise(front):
            if _apart(a, b):
                top.plot([a.x, b.x], [a.y, b.y], ":", color=RED, linewidth=1.4, zorder=1)
        for point in points:
            _mark(top, point, RED if point.front else BLUE, "D" if point.front else "o")
            if point.doubtful:
                top.plot([point.x], [point.y], marker="$?$", color="white", markersize=4, zorder=4)
        label_points(top, points)

    save(path, draw, math=True)  # the question mark of a doubtful latency


def _apart(cheap: Point, dear: Point) -> bool:
    """Whether neither quartiles nor intervals of two points overlap; a point without an interval tells nothing."""
    if cheap.low is None or cheap.high is None or dear.low is None or dear.high is None:
        return False
    right = cheap.x if cheap.x_high is None else cheap.x_high
    left = dear.x if dear.x_low is None else dear.x_low
    doubtful = cheap.doubtful or dear.doubtful
    return not doubtful and right < left and (cheap.high < dear.low or dear.high < cheap.low)


def forest(path: Path, gaps: Sequence[Gap], baseline: str, margin: float | None = None) -> None:
    """Differences to the baseline with their intervals, one below the other, each under its name and the words for it.

    As narrow as a phone can show whole: a verdict that has to be scrolled to is not read.

    Args:
        margin: points within which two variants count as equivalent; None without one.
    """
    marks = {1: (">", GREEN), -1: ("<", RED), 0: ("o", GREY)}
    longest = max((len(gap.label) + len(gap.words) for gap in gaps), default=0)
    small = min(9.0, 9.0 * 58 / max(longest, 1))  # so many letters of 9 points are as wide as the axes

    def draw(figure: Figure) -> None:
        figure.set_size_inches(4.7, 0.39 * len(gaps) + 1.45)
        axis = figure.subplots()
        if margin is not None:
            axis.axvspan(-margin, margin, color=SKY, alpha=0.25, linewidth=0)
        axis.axvline(0, color="black", linewidth=1)
        for place, gap in enumerate(gaps):
            marker, colour = marks[gap.sign]
            if gap.low is not None and gap.high is not None:
                line: dict[str, Any] = {"linewidth": 1.8, "solid_capstyle": "butt"}
                axis.plot([gap.low, gap.high], [place, place], color=colour, **line)
            dots(axis, gap.seeds, [place] * len(gap.seeds), colour, (0, -6))
            axis.update_datalim([(seed, place) for seed in gap.seeds])  # they may lie beyond the interval
            fill = colour if gap.sign else "white"
            (mark,) = axis.plot([gap.mean], [place], marker, color=colour, markerfacecolor=fill, markersize=7)
            tip(mark, f"{gap.label}: {gap.words}")
            above: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            above |= {"va": "bottom", "fontsize": small, "zorder": 5}
            above["bbox"] = {
                "facecolor": "white",
                "edgecolor": "none",
                "pad": 0.6,
            }  # what it stands on is not crossed
            axis.annotate(gap.label, (0.0, place), xytext=(0, 5), weight="bold", **above)
            axis.annotate(gap.words, (1.0, place), xytext=(0, 5), ha="right", **above)
        axis.set_yticks([])
        axis.set_ylim(len(gaps) - 0.45, -0.75)
        axis.spines["left"].set_visible(False)
        seeds = "; small: each seed" if any(gap.seeds for gap in gaps) else ""
        words = f"top-1 minus that of {baseline} [points], 95 % intervals{seeds}"
        axis.set_xlabel(textwrap.fill(words, 52))
        axis.set_title("Differences to the baseline, paired by seed")
        signs = {gap.sign for gap in gaps}
        names = {1: "better", -1: "worse", 0: "neither is shown"}
        handles = [
            handle(marks[sign][1], marks[sign][0], names[sign]) for sign in (1, -1, 0) if sign in signs
        ]
        if 0 in signs:
            handles[-1].set_markerfacecolor("white")
        legend_below(figure, handles)

    save(path, draw)


def accuracy_by_kernel_size(
    path: Path, single: Sequence[Point], mixed: Sequence[Point], baseline: Point | None
) -> None:
    """Top-1 over the frames that a depthwise temporal kernel covers.

    Args:
        single: one kernel size on all channels, joined by a line.
        mixed: kernel sizes or dilations mixed over channel groups: no number is theirs, so each has a place of its
            own to the right, under which stands its largest span.
    """
    spans = sorted({point.x for point in single})
    start = spans[-1] + 2.0 if spans else 1.0
    ordered = sorted(mixed, key=lambda point: point.x)
    places = [start + 1.2 * i for i in range(len(ordered))]

    def draw(figure: Figure) -> None:
        figure.set_size_inches(7.4, 5.0)
        top, foot = _accuracy_axes(figure, [*single, *mixed], baseline)
        top.set_title("Accuracy by temporal kernel size")
        line = sorted(single, key=lambda point: point.x)
        if len({point.x for point in line}) == len(line) > 1:
            top.plot([p.x for p in line], [p.y for p in line], "-", color=BLUE, linewidth=1.3)
        for point in line:
            _mark(top, point, BLUE, "o")
        for place, point in zip(places, ordered, strict=True):
            _mark(top, point, RED, "D", place)
        if single and mixed:
            for axis in {top, foot}:
                axis.axvline(start - 1, color="black", linewidth=0.8)
        names = [f"{point.label}\nto {point.x:g}" for point in ordered]
        foot.set_xticks([*spans, *places], [*(f"{span:g}" for span in spans), *names])
        foot.set_xlim((spans or places)[0] - 0.5, (places or spans)[-1] + 0.8)
        foot.set_xlabel("frames from the first to the last tap of the largest kernel")
        handles = [handle(BLUE, "o", "one size on all channels", line=True)] if single else []
        handles += [handle(RED, "D", "sizes mixed")] if mixed else []
        legend_below(figure, handles)
        figure.draw_without_rendering()
        if baseline is not None:
            there = [*((point.x, point) for point in single), *zip(places, ordered, strict=True)]
            _name(foot, baseline, [(x, y) for x, point in there for y in (point.y, *point.seeds)])
        label_points(top, single)

    save(path, draw)


def group_accuracy(path: Path, groups: Sequence[str], values: Mapping[str, Sequence[Point]]) -> None:
    """Top-1 on each group of classes, bars side by side for every variant.

    Args:
        values: for every variant a point for each group that was measured, labelled with the group.
    """

    def draw(figure: Figure) -> None:
        from matplotlib.patches import Patch

        figure.set_size_inches(7.4, 4.2)
        axis = figure.subplots()
        width = 0.8 / len(groups)
        colours = [COLOURS[i % len(COLOURS)] for i in range(len(groups))]
        hatches = [HATCHES[i % len(HATCHES)] for i in range(len(groups))]
        edge: dict[str, Any] = {"edgecolor": "white", "linewidth": 0}
        for place, (name, points) in enumerate(values.items()):
            for point in points:
                index = list(groups).index(point.label)
                x = place + (index - (len(groups) - 1) / 2) * width
                bars = axis.bar(x, point.y, width * 0.94, color=colours[index], hatch=hatches[index], **edge)
                words = f"{name}, {point.label}: {point.y:.1f} %{between(point.low, point.high)}"
                tip(bars.patches[0], words)
                if point.low is not None and point.high is not None:
                    axis.plot([x, x], [point.low, point.high], color="black", linewidth=1)
                dots(axis, [x] * len(point.seeds), point.seeds, "black", (4, 0))
        crowded = sum(len(name) + 2 for name in values) > 90
        axis.set_xticks(range(len(values)), list(values), rotation=90 if crowded else 0, fontsize=9)
        axis.tick_params(axis="x", length=0)
        axis.grid(visible=False, axis="x")
        axis.set_ylim(0, 101)
        axis.set_ylabel("top-1 [%]")
        interval = any(point.low is not None for points in values.values() for point in points)
        title = "Accuracy by group of classes: mean over seeds"
        axis.set_title(f"{title}, 95 % intervals" if interval else title)
        patches = zip(groups, colours, hatches, strict=True)
        legend_below(figure, [Patch(facecolor=c, hatch=h, label=group, **edge) for group, c, h in patches])

    save(path, draw)


def _accuracy_axes(figure: Figure, points: Sequence[Point], baseline: Point | None) -> tuple[Axes, Axes]:
    """Axes for the points, and axes that carry the x axis: others, below, where the baseline is far away.

    A baseline far below would press all points together, so the y axis is then broken in two.
    """
    lows = [ends(point)[0] for point in points]
    highs = [ends(point)[1] for point in points]
    span = max(max(highs) - min(lows), 1.0)
    bottom, ceiling = min(lows) - 0.08 * span, max(highs) + 0.08 * span
    broken = baseline is not None and ends(baseline)[1] < min(lows) - span
    if broken and baseline is not None:
        top, foot = figure.subplots(2, 1, sharex=True, height_ratios=(6, 1))
        margin = max(1.5, 1.3 * (ends(baseline)[1] - baseline.y))
        foot.set_ylim(baseline.y - margin, baseline.y + margin)
        foot.set_yticks([round(baseline.y)])
        top.spines["bottom"].set_visible(False)
        top.tick_params(axis="x", length=0, labelbottom=False)
        stroke: dict[str, Any] = {"marker": [(-1, -0.6), (1, 0.6)], "markersize": 10, "color": "black"}
        for axis, y in ((top, 0.0), (foot, 1.0)):  # across the broken axis
            axis.plot([0], [y], transform=axis.transAxes, clip_on=False, **stroke)
    else:
        top = foot = figure.subplots()
        if baseline is not None:
            bottom = min(bottom, ends(baseline)[0] - 0.04 * span)
            ceiling = max(ceiling, ends(baseline)[1] + 0.04 * span)
    top.set_ylim(bottom, ceiling if ceiling < 100 else max(100.5, max(p.y for p in points) + 0.03 * span))
    words = ", 95 % intervals" if any(point.low is not None for point in points) else ""
    words += "; small: each seed" if any(point.seeds for point in points) else ""
    top.set_ylabel(f"top-1 [%]{words}")
    if baseline is not None:
        low, high = ends(baseline)
        foot.axhline(baseline.y, color=GREY, linestyle="--", linewidth=1.2)
        foot.axhspan(low, high, color=GREY, alpha=0.15, linewidth=0)
    return top, foot


def _name(axis: Axes, baseline: Point, marks: Sequence[tuple[float, float]]) -> None:
    """Write the baseline's name to its line, at the place where it hides the fewest points. marks: where these are."""
    taken = axis.transData.transform(marks)
    found: list[tuple[int, Any]] = []
    for up, (x, ha) in itertools.product((True, False), ((1.0, "right"), (0.0, "left"), (0.5, "center"))):
        text = axis.annotate(
            f"{baseline.label} {baseline.y:.1f} % (baseline)",
            (x, baseline.y),
            xycoords=("axes fraction", "data"),
            xytext=({"right": -4, "left": 4}.get(ha, 0), 3 if up else -3),
            textcoords="offset points",
            ha=ha,
            va="bottom" if up else "top",
            fontsize=9,
            parse_math=False,
            color="#444444",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},  # no interval crosses it
            zorder=5,
        )
        box = text.get_window_extent().padded(6.0)  # as large as a mark is
        found.append((sum(bool(box.contains(*place)) for place in taken), text))
        text.remove()
    axis.add_artist(min(found, key=lambda one: one[0])[1])


def _cost_scale(axis: Axes, costs: Sequence[float]) -> str:
    """A linear x axis; logarithmic beyond the bulk where one operator costs far more than the others."""
    positive = sorted(cost for cost in costs if cost > 0)
    bulk = [cost for cost in positive if cost <= 8 * positive[len(positive) // 2]]
    if len(bulk) == len(positive):
        low, high = min([*costs, 0.0]), max(positive, default=1.0)
        if len(positive) == len(costs) and positive[0] > 0.3 * high:  # measured, all of one size
            low = positive[0]
        axis.set_xlim(low - 0.07 * (high - low or high), high + 0.12 * (high - low or high))
        return ""
    edge = bulk[-1] * 1.1  # zero stays in sight: what a variant adds may be nothing
    axis.set_xscale("symlog", linthresh=edge, linscale=2.5)
    step = 10.0 ** np.floor(np.log10(edge))
    step = step if edge / step >= 2.5 else step / 2 if edge / step >= 1.5 else step / 5
    ticks = [step * i for i in range(int(edge / step) + 1)]
    decades = [m * 10.0**e for e in range(-6, 6) for m in (1, 3)]
    ticks += [tick for tick in decades if edge * 1.2 < tick <= positive[-1] * 1.3]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlim(-0.07 * edge, positive[-1] * 1.9)
    return f"; logarithmic beyond {edge:.2g}"


def _mark(axis: Axes, point: Point, colour: str, marker: str, x: float | None = None) -> None:
    """x: where a point stands whose own x is no place on this axis."""
    x = point.x if x is None else x
    line: dict[str, Any] = {"color": colour, "linewidth": 1.2, "zorder": 2}
    if point.low is not None and point.high is not None:
        axis.plot([x, x], [point.low, point.high], alpha=0.6, **line)
    dots(axis, [x] * len(point.seeds), point.seeds, colour, (5, 0))
    if point.x_low is not None and point.x_high is not None:
        axis.plot([point.x_low, point.x_high], [point.y, point.y], **line)
    (mark,) = axis.plot([x], [point.y], marker=marker, color=colour, markersize=7, linestyle="", zorder=3)
    at = f"{point.x:.4g}{' ?' * point.doubtful}"
    tip(mark, f"{point.label}: {point.y:.1f} %{between(point.low, point.high)} at {at}")
