"""What every figure shares: colours, sizes, saving, labels that keep off each other.

Colours are Okabe and Ito's; what a colour says, a marker, a line style, a hatch or a place says too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#666666"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
MARKERS = "osD^vPX*"
DIRECTIONS = ((1, 0), (-1, 0), (0.8, 0.7), (0.8, -0.7), (-0.8, 0.7), (-0.8, -0.7), (0, 1), (0, -1))
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
    "svg.fonttype": "none",  # text stays text: to be searched, read aloud and copied
    "savefig.dpi": 130,
}


@dataclass(frozen=True)
class Point:
    """One variant in a figure. y in per cent; low and high: its 95 % interval, None without one.

    x_low, x_high: the quartiles of a measured x. front: whether no other is shown to be both cheaper and better.
    doubtful: whether x was measured under conditions that make it doubtful. seeds: y of each training.
    """

    label: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    x_low: float | None = None
    x_high: float | None = None
    front: bool = True
    doubtful: bool = False
    seeds: tuple[float, ...] = ()


def save(path: Path, draw: Callable[[Figure], None], *, math: bool = False) -> None:
    """Draw on a fresh figure that belongs to no window and no global state, and write it as SVG and as PNG; as PNG
    alone where `path` says so.

    Args:
        math: what stands between dollars is a formula, as matplotlib's own scales and markers write it. Without it
            a class may be called `$5 or $10`.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **RC, "text.parse_math": math}):
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        layout = figure.get_layout_engine()
        assert layout is not None
        layout.execute(figure)
        figure.set_layout_engine(None)  # else each file would lay the figure out again, for the same result
        png = path if path.suffix == ".png" else path.parent / f"{path.name}.png"
        figure.savefig(png, metadata={"Software": None})
        if png != path:
            svg = path.parent / f"{path.name}.svg"
            figure.savefig(svg, metadata={"Date": None, "Creator": None})
            svg.write_text(_finished(svg.read_text(encoding="utf-8")), encoding="utf-8")


TIP = "tip: "


def tip(artist: Artist, words: str) -> None:
    """What a browser shows where the pointer rests on it."""
    artist.set_gid(f"{TIP}{words}")  # the only thing of an artist's own that matplotlib writes into an SVG


def _finished(svg: str) -> str:
    """With the tips as titles, and fonts of like width where there is no DejaVu Sans."""
    svg = re.sub(rf'<g id="{TIP}([^"]*)">', r"<g><title>\1</title>", svg)
    return svg.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")


def label_points(axis: Axes, points: Sequence[Point]) -> None:
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
    extents = [box.extents for box in taken]
    for point in sorted(points, key=lambda point: (point.x, point.y)):
        best: tuple[float, Any, Any] | None = None
        for distance in (8, 16, 26, 38, 52):
            arrow = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkB": 4}
            for dx, dy in DIRECTIONS:
                text = axis.annotate(
                    point.label,
                    (point.x, point.y),
                    xytext=(distance * dx, distance * dy),
                    textcoords="offset points",
                    ha="left" if dx > 0 else "right" if dx < 0 else "center",
                    va="bottom" if dy > 0 else "top" if dy < 0 else "center",
                    fontsize=9,
                    parse_math=False,
                    arrowprops=arrow if distance > 16 else None,
                )
                box = text.get_window_extent().padded(1.0)
                clash = _overlap(np.array(box.extents), np.array(extents))
                inside = axis.bbox.contains(box.x0, box.y0) and axis.bbox.contains(box.x1, box.y1)
                badness = clash + (0 if inside else 1e6) + 1e-3 * distance
                text.remove()
                if best is None or badness < best[0]:
                    best = (badness, text, box)
            if best is not None and best[0] < 1:
                break
        assert best is not None
        axis.add_artist(best[1])
        extents.append(best[2].extents)


def _overlap(box: np.ndarray, others: np.ndarray) -> float:
    """Area that a box (x0, y0, x1, y1) shares with others (boxes, 4), in all."""
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    return float((width.clip(0) * height.clip(0)).sum())


def handle(colour: str, marker: str, label: str, *, line: bool = False, style: str = "") -> Any:
    from matplotlib.lines import Line2D

    style = style or ("-" if line else "")
    return Line2D([], [], color=colour, marker=marker, linestyle=style, markersize=6, label=label)


def legend_below(figure: Figure, handles: Sequence[Any]) -> None:
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(len(handles), 4), frameon=False, fontsize=9
        )


def between(low: float | None, high: float | None) -> str:
    """` [25.1, 26.3]`, or nothing."""
    return "" if low is None or high is None else f" [{low:.1f}, {high:.1f}]"


def dots(
    axis: Axes, xs: Sequence[float], ys: Sequence[float], colour: str, aside: tuple[float, float]
) -> None:
    """Each training as a small point, beside its interval: a mean hides one that fell.

    aside: where, right and up of it, in points of the page.
    """
    from matplotlib.transforms import ScaledTranslation

    moved = axis.transData + ScaledTranslation(aside[0] / 72, aside[1] / 72, axis.figure.dpi_scale_trans)
    look: dict[str, Any] = {"marker": ".", "markersize": 4, "linestyle": "", "alpha": 0.7, "zorder": 2}
    axis.plot(xs, ys, color=colour, transform=moved, **look)


def ends(point: Point) -> tuple[float, float]:
    """The lowest and the highest that a point reaches with its interval and its seeds."""
    reached = [y for y in (point.low, point.y, point.high, *point.seeds) if y is not None]
    return min(reached), max(reached)
