"""Figures from numbers that are already computed: the only door to matplotlib.

Every function writes `<path>.svg` and `<path>.png` (a suffix in `path` is left out) and returns nothing.
The same numbers give the same bytes. Colours are Okabe and Ito's; what a colour says, a marker, a line style
or a place says too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#666666"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
MARKERS = "osD^vPX*"
HATCHES = ("", "///", "...", "xxx", "\\\\\\")
RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "harness.plots",
    "svg.fonttype": "path",
    "savefig.dpi": 130,
}


@dataclass(frozen=True)
class Point:
    """One variant in a figure. y in per cent; low and high: its 95 % interval, None without one."""

    label: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Curve:
    """One variant's accuracy over epochs, in per cent: mean, lowest and highest over n trials."""

    label: str
    n: int
    epochs: Sequence[int]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def accuracy_against_macs(path: Path, points: Sequence[Point], baseline: Point | None, geometry: str) -> None:
    """Top-1 over the MACs that an operator adds. Points of nearly equal cost are drawn side by side.

    Args:
        points: x in added G (1e9 multiply-adds).
        baseline: drawn as a line; its x is not used.
        geometry: what the MACs are counted for, in words.
    """

    def draw(figure: Figure) -> None:
        figure.set_size_inches(8.5, 5.4)
        top, foot = _accuracy_axes(figure, points, baseline)
        top.set_title("Accuracy against the cost of the temporal operator")
        note = _cost_scale(foot, [point.x for point in points])
        foot.set_xlabel(f"added MACs [G], {geometry}{note}")
        figure.canvas.draw()  # the layout decides where a value stands on the page
        placed = _side_by_side(top, points)
        for point in placed:
            _mark(top, point, BLUE, "o")
        _label(top, placed)

    _save(path, draw)


def accuracy_by_kernel_size(
    path: Path, single: Sequence[Point], mixed: Sequence[Point], baseline: Point | None
) -> None:
    """Top-1 over the frames that a depthwise temporal kernel covers.

    Args:
        single: one kernel size on all channels, joined by a line.
        mixed: kernel sizes or dilations mixed over channel groups, each at its largest span.
    """
    slots: dict[float, int] = {}
    placed: list[Point] = []
    for point in mixed:  # beside each other where the largest span is the same
        slots[point.x] = slots.get(point.x, 0) + 1
        placed.append(replace(point, x=point.x + 0.22 * slots[point.x]))

    def draw(figure: Figure) -> None:
        figure.set_size_inches(8.5, 5.4)
        top, foot = _accuracy_axes(figure, [*single, *placed], baseline)
        top.set_title("Accuracy by temporal kernel size")
        line = sorted(single, key=lambda point: point.x)
        if len({point.x for point in line}) == len(line) > 1:
            top.plot([p.x for p in line], [p.y for p in line], "-", color=BLUE, linewidth=1.3)
        for point in line:
            _mark(top, point, BLUE, "o")
        for point in placed:
            _mark(top, point, RED, "D")
        spans = sorted({point.x for point in [*single, *mixed]})
        foot.set_xticks(spans, [f"{span:g}" for span in spans])
        foot.set_xlim(spans[0] - 0.5, spans[-1] + 1.1)
        foot.set_xlabel("frames from the first to the last tap of the largest kernel")
        handles = [_handle(BLUE, "o", "one size on all channels", line=True)] if single else []
        handles += [_handle(RED, "D", "sizes mixed, at the largest")] if mixed else []
        _legend_below(figure, handles)
        figure.canvas.draw()
        _label(top, [*single, *placed])

    _save(path, draw)


def learning_curves(path: Path, curves: Sequence[Curve], baseline: str) -> None:
    """Validation top-1 per epoch, a panel for each variant, the baseline in every panel."""
    base = next((curve for curve in curves if curve.label == baseline), None)
    shown = [curve for curve in curves if curve is not base] or list(curves)

    def draw(figure: Figure) -> None:
        columns = min(len(shown), 5 if len(shown) > 8 else 4)
        rows = -(-len(shown) // columns)
        figure.set_size_inches(max(7.0, 2.2 * columns + 0.6), 2.0 * rows + 1.1)
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
        handles = [_handle(BLUE, "o", "variant", line=True)]
        if base is not None and base is not shown[0]:
            handles.append(_handle(GREY, "", f"{base.label} (n={base.n}), the baseline", style="--"))
        _legend_below(figure, handles)

    _save(path, draw)


def group_accuracy(path: Path, groups: Sequence[str], bars: Mapping[str, Sequence[Point]]) -> None:
    """Top-1 on each group of classes, bars side by side for every variant.

    Args:
        bars: for every variant a point for each group that was measured, labelled with the group.
    """

    def draw(figure: Figure) -> None:
        from matplotlib.patches import Patch

        figure.set_size_inches(max(6.0, 1.0 * len(bars) + 1.5), 4.6)
        axis = figure.subplots()
        width = 0.8 / len(groups)
        for place, points in enumerate(bars.values()):
            for point in points:
                index = list(groups).index(point.label)
                x = place + (index - (len(groups) - 1) / 2) * width
                axis.bar(
                    x,
                    point.y,
                    width * 0.94,
                    color=COLOURS[index % len(COLOURS)],
                    hatch=HATCHES[index % len(HATCHES)],
                    edgecolor="white",
                    linewidth=0,
                )
                if point.low is not None and point.high is not None:
                    axis.plot(
                        [x, x], [max(0.0, point.low), min(100.0, point.high)], color="black", linewidth=1
                    )
        axis.set_xticks(range(len(bars)), list(bars))
        axis.tick_params(axis="x", length=0)
        axis.grid(visible=False, axis="x")
        axis.set_ylim(0, 101)
        axis.set_ylabel("top-1 [%]")
        interval = any(point.low is not None for points in bars.values() for point in points)
        axis.set_title(
            "Accuracy by group of classes: mean over seeds" + (", 95 % intervals" if interval else "")
        )

        handles = [
            Patch(
                facecolor=COLOURS[i % len(COLOURS)],
                hatch=HATCHES[i % len(HATCHES)],
                edgecolor="white",
                linewidth=0,
                label=group,
            )
            for i, group in enumerate(groups)
        ]
        _legend_below(figure, handles)

    _save(path, draw)


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

    _save(path, draw)


def curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Loss and top-1 of one trial, training and validation. history: as in `TrialRecord`."""

    def draw(figure: Figure) -> None:
        figure.set_size_inches(8.5, 3.8)
        epochs = [epoch["epoch"] for epoch in history]
        for axis, metric, title in zip(
            figure.subplots(1, 2), ("loss", "top1"), ("loss [nats]", "top-1 [%]"), strict=True
        ):
            for part, colour, style, marker in (("train", ORANGE, "--", "s"), ("val", BLUE, "-", "o")):
                values = [epoch.get(f"{part}/{metric}", np.nan) for epoch in history]
                label = "training" if part == "train" else "validation"
                axis.plot(epochs, values, style, color=colour, marker=marker, markersize=4, label=label)
            axis.set_title(f"{title.split(' ')[0]} per epoch")
            axis.set_xlabel("epoch")
            axis.set_ylabel(title)
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend(frameon=False)

    _save(path, draw)


def _save(path: Path, draw: Callable[[Figure], None]) -> None:
    """Draw on a fresh figure that belongs to no window and no global state, and write it twice."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **RC}):
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        stem = path.name.removesuffix(".png").removesuffix(".svg")
        figure.savefig(path.parent / f"{stem}.svg", metadata={"Date": None, "Creator": None})
        figure.savefig(path.parent / f"{stem}.png", metadata={"Software": None})


def _accuracy_axes(figure: Figure, points: Sequence[Point], baseline: Point | None) -> tuple[Axes, Axes]:
    """Axes for the points, and axes that carry the x axis: others, below, where the baseline is far away.

    A baseline far below would press all points together, so the y axis is then broken in two.
    """
    lows = [_ends(point)[0] for point in points]
    highs = [_ends(point)[1] for point in points]
    span = max(max(highs) - min(lows), 1.0)
    bottom, ceiling = min(lows) - 0.08 * span, max(highs) + 0.08 * span
    broken = baseline is not None and _ends(baseline)[1] < min(lows) - span
    if broken and baseline is not None:
        top, foot = figure.subplots(2, 1, sharex=True, height_ratios=(6, 1))
        margin = max(1.5, 1.3 * (_ends(baseline)[1] - baseline.y))
        foot.set_ylim(baseline.y - margin, baseline.y + margin)
        foot.set_yticks([round(baseline.y)])
        top.spines["bottom"].set_visible(False)
        top.tick_params(axis="x", length=0, labelbottom=False)
        for axis, y in ((top, 0.0), (foot, 1.0)):  # strokes across the broken axis
            axis.plot(
                [0],
                [y],
                marker=[(-1, -0.6), (1, 0.6)],
                markersize=10,
                color="black",
                transform=axis.transAxes,
                clip_on=False,
            )
    else:
        top = foot = figure.subplots()
        if baseline is not None:
            bottom = min(bottom, _ends(baseline)[0] - 0.04 * span)
            ceiling = max(ceiling, _ends(baseline)[1] + 0.04 * span)
    top.set_ylim(bottom, ceiling if ceiling < 100 else max(100.5, max(p.y for p in points) + 0.02 * span))
    top.set_ylabel("top-1 [%]" + (", 95 % intervals" if any(p.low is not None for p in points) else ""))
    if baseline is not None:
        low, high = _ends(baseline)
        foot.axhline(baseline.y, color=GREY, linestyle="--", linewidth=1.2)
        foot.axhspan(low, high, color=GREY, alpha=0.15, linewidth=0)
        foot.annotate(
            f"{baseline.label} {baseline.y:.1f} % (baseline)",
            (1.0, baseline.y),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=9,
            color="#444444",
        )
    return top, foot


def _cost_scale(axis: Axes, costs: Sequence[float]) -> str:
    """A linear x axis; logarithmic beyond the bulk where one operator costs far more than the others."""
    positive = sorted(cost for cost in costs if cost > 0)
    bulk = [cost for cost in positive if cost <= 8 * positive[len(positive) // 2]]
    if len(bulk) == len(positive):
        width = max([*positive, 0.01])
        axis.set_xlim(-0.07 * width, 1.12 * width)
        return ""
    edge = bulk[-1] * 1.1
    axis.set_xscale("symlog", linthresh=edge, linscale=2.5)
    step = 10.0 ** np.floor(np.log10(edge))
    step = step if edge / step >= 2.5 else step / 2 if edge / step >= 1.5 else step / 5
    ticks = [step * i for i in range(int(edge / step) + 1)]
    ticks += [
        m * 10.0**e for e in range(-6, 6) for m in (1, 3) if edge * 1.2 < m * 10.0**e <= positive[-1] * 1.3
    ]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlim(-0.07 * edge, positive[-1] * 1.9)
    return f"; logarithmic beyond {edge:.2g}"


def _mark(axis: Axes, point: Point, colour: str, marker: str) -> None:
    axis.plot([point.x], [point.y], marker=marker, color=colour, markersize=7, linestyle="", zorder=3)
    if point.low is not None and point.high is not None:
        axis.plot(
            [point.x, point.x], [point.low, point.high], color=colour, linewidth=1.2, alpha=0.6, zorder=2
        )


def _side_by_side(axis: Axes, points: Sequence[Point]) -> list[Point]:
    """Points that would hide each other's intervals, moved apart by a few pixels along x."""
    apart = 7 * axis.figure.dpi / 72
    ordered = sorted(points, key=lambda point: (point.x, point.label))
    pixels = [float(axis.transData.transform((point.x, point.y))[0]) for point in ordered]
    placed: list[Point] = []
    while len(placed) < len(ordered):
        start = len(placed)
        end = start + 1
        while end < len(ordered) and pixels[end] - pixels[end - 1] < apart:
            end += 1
        middle = sum(pixels[start:end]) / (end - start)
        for index in range(start, end):
            pixel = middle + (index - (start + end - 1) / 2) * apart if end - start > 1 else pixels[index]
            x = float(axis.transData.inverted().transform((pixel, 0))[0])
            placed.append(replace(ordered[index], x=x))
    return placed


def _label(axis: Axes, points: Sequence[Point]) -> None:
    """Write each label at the nearest free place beside its point; a thin line leads to one further off."""
    from matplotlib.transforms import Bbox

    scale = axis.figure.dpi / 72
    taken = [text.get_window_extent() for text in axis.texts]
    for line in axis.lines:
        if line.get_linestyle() not in ("None", "") and line.get_transform() == axis.transData:
            ends = axis.transData.transform(line.get_xydata())
            for a, b in itertools.pairwise(ends):
                for x, y in np.linspace(a, b, 60):
                    taken.append(Bbox.from_extents(x - 1, y - 1, x + 1, y + 1))
    for point in points:
        x, y = axis.transData.transform((point.x, point.y))
        taken.append(Bbox.from_extents(x - 5 * scale, y - 5 * scale, x + 5 * scale, y + 5 * scale))
    for point in sorted(points, key=lambda point: (point.x, point.y)):
        best: tuple[float, Any, Any] | None = None
        for distance in (8, 16, 26, 38, 52):
            for dx, dy in (
                (1, 0),
                (-1, 0),
                (0.8, 0.7),
                (0.8, -0.7),
                (-0.8, 0.7),
                (-0.8, -0.7),
                (0, 1),
                (0, -1),
            ):
                text = axis.annotate(
                    point.label,
                    (point.x, point.y),
                    xytext=(distance * dx, distance * dy),
                    textcoords="offset points",
                    ha="left" if dx > 0 else "right" if dx < 0 else "center",
                    va="bottom" if dy > 0 else "top" if dy < 0 else "center",
                    fontsize=9,
                    arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkB": 4}
                    if distance > 16
                    else None,
                )
                box = text.get_window_extent().padded(1.0)
                clash = sum(_overlap(box, other) for other in taken)
                inside = axis.bbox.contains(box.x0, box.y0) and axis.bbox.contains(box.x1, box.y1)
                badness = clash + (0 if inside else 1e6) + 1e-3 * distance
                text.remove()
                if best is None or badness < best[0]:
                    best = (badness, text, box)
            if best is not None and best[0] < 1:
                break
        assert best is not None
        axis.add_artist(best[1])
        taken.append(best[2])


def _overlap(a: Any, b: Any) -> float:
    """Area that two boxes share."""
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return float(width * height) if width > 0 and height > 0 else 0.0


def _band(axis: Axes, curve: Curve, colour: str, style: str, marker: str) -> None:
    axis.fill_between(curve.epochs, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    few = marker if len(curve.epochs) <= 15 else ""
    axis.plot(curve.epochs, curve.mean, style, color=colour, marker=few, markersize=3.5, linewidth=1.4)


def _handle(colour: str, marker: str, label: str, *, line: bool = False, style: str = "") -> Any:
    from matplotlib.lines import Line2D

    style = style or ("-" if line else "")
    return Line2D([], [], color=colour, marker=marker, linestyle=style, markersize=6, label=label)


def _legend_below(figure: Figure, handles: Sequence[Any]) -> None:
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9
        )


def _ends(point: Point) -> tuple[float, float]:
    return (
        point.y if point.low is None else min(point.low, point.y),
        point.y if point.high is None else max(point.high, point.y),
    )
