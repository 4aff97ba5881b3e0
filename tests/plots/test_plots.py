"""Figures: both files, the same bytes twice, the words on them, and labels that can be read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import plots
from harness.plots import Curve, Gap, Point, Taps, style
from harness.report.document.html import NARROW

NAMES = ["ordinary", "tsm", "ks3", "ks5", "ks7", "ks13", "ks135", "ks1357", "ks357"]
COSTS = [7.707, 0, 0.13487, 0.22479, 0.3147, 0.08992, 0.13455, 0.17983, 0.13487]
TOPS = [92.1, 92.4, 94.1, 95.6, 95.1, 93.6, 95.3, 97.6, 96.9]
POINTS = [Point(n, x, y, y - 1, y + 1) for n, x, y in zip(NAMES, COSTS, TOPS, strict=True)]
BASELINE = Point("tsn", 0, 36.2, 35.0, 37.4)
CURVES = [
    Curve(n, 3, [1, 2, 3], [y - 20, y - 5, y], [y - 22, y - 6, y - 1], [y - 18, y - 4, y + 1])
    for n, y in zip(NAMES, TOPS, strict=True)
]

DRAWINGS: dict[str, Callable[[Path], None]] = {
    "accuracy_against": lambda p: plots.accuracy_against(p, POINTS, BASELINE, "Cost", "added MACs [G]"),
    "forest": lambda p: plots.forest(
        p, [Gap("ks3", 2.0, 1.0, 3.0, 1, "better"), Gap("ks5", -1.0, None, None, 0, "too few")], "tsn", 0.5
    ),
    "class_gains": lambda p: plots.class_gains(
        p, [Point("a", 0, 9.0, 8.0, 10.0), Point("b", 0, -3.0)], "ks3", "tsn"
    ),
    "cost_bars": lambda p: plots.cost_bars(p, [("MACs", POINTS), ("latency", POINTS[:3])], "ResNet-50"),
    "filters": lambda p: plots.filters(
        p, [Taps("layer1.0", [-1, 0, 1], [[0.0, 1.0, 0.0]], [[0.2, 0.7, 0.1]])], "ks3"
    ),
    "paired_points": lambda p: plots.paired_points(p, [(POINTS[0], POINTS[1])], ("cpu", "gpu")),
    "accuracy_by_kernel_size": lambda p: plots.accuracy_by_kernel_size(p, POINTS[2:5], POINTS[5:], BASELINE),
    "learning_curves": lambda p: plots.learning_curves(p, CURVES, "tsm"),
    "group_accuracy": lambda p: plots.group_accuracy(
        p, ["short", "long"], {"tsn": [Point("short", 0, 20.0, 15.0, 25.0)], "ks3": [Point("long", 0, 70.0)]}
    ),
    "confusion_matrix": lambda p: plots.confusion_matrix(
        p, [[3, 1, 0], [0, 0, 0], [0, 0, 5]], ["a", "b", "c"]
    ),
}


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_each_figure_is_an_svg_and_a_png_with_the_same_bytes_twice(name: str, tmp_path: Path) -> None:
    for time in ("first", "second"):
        (tmp_path / time).mkdir()
        DRAWINGS[name](tmp_path / time / name)
    for kind, start in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        data = (tmp_path / "first" / f"{name}.{kind}").read_bytes()
        assert data.startswith(start)
        assert data == (tmp_path / "second" / f"{name}.{kind}").read_bytes()
        assert b"dc:date" not in data


def test_a_suffix_in_the_path_is_not_doubled(tmp_path: Path) -> None:
    plots.confusion_matrix(tmp_path / "lone.png", [[1]], ["a"])
    plots.confusion_matrix(tmp_path / "both", [[1]], ["a"])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["both.png", "both.svg", "lone.png"]


@pytest.mark.parametrize("baseline", [BASELINE, Point("tsn", 0, 91.0), None])
@pytest.mark.parametrize("points", [POINTS, POINTS[1:], POINTS[2:3]])
def test_labels_stand_beside_points_and_not_on_each_other(
    points: list[Point], baseline: Point | None, tmp_path: Path, figures: list[Any]
) -> None:
    plots.accuracy_against(tmp_path / "x", points, baseline, "Cost", "added MACs [G], ResNet-50")
    figure = figures[-1]
    texts = [text for text in figure.axes[0].texts if text.get_text() in NAMES]
    assert sorted(text.get_text() for text in texts) == sorted(point.label for point in points)
    boxes = [text.get_window_extent() for text in texts]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_points_are_drawn_where_they_were_measured(tmp_path: Path, figures: list[Any]) -> None:
    near = [Point(f"v{i}", 450.0 + i, 90.0 + i, 89.0, 95.0, 449.0 + i, 452.0 + i) for i in range(6)]
    plots.accuracy_against(tmp_path / "x", near, None, "Cost", "latency [ms]")
    marks = [one for one in figures[-1].axes[0].lines if one.get_gid()]
    assert [tuple(one.get_xydata()[0]) for one in marks] == [(450.0 + i, 90.0 + i) for i in range(6)]


def test_only_points_of_which_nothing_overlaps_are_joined(tmp_path: Path, figures: list[Any]) -> None:
    """a and b overlap in latency, b and c in nothing, c and d in accuracy; e has no interval, f is doubtful."""
    points = [
        Point("a", 100, 50.0, 49.0, 51.0, 95, 105),
        Point("b", 104, 60.0, 59.0, 61.0, 102, 106),
        Point("c", 120, 70.0, 69.0, 71.0, 118, 122),
        Point("d", 140, 70.5, 69.5, 71.5, 139, 141),
        Point("e", 160, 80.0, None, None, 159, 161),
        Point("f", 180, 90.0, 89.0, 91.0, 179, 181, doubtful=True),
    ]
    plots.accuracy_against(tmp_path / "x", points, None, "Cost", "latency [ms]")
    joins = [list(one.get_xdata()) for one in figures[-1].axes[0].lines if one.get_linestyle() == ":"]
    assert joins == [[104, 120]]
    told = re.findall("<title>(.*?)</title>", (tmp_path / "x.svg").read_text())
    assert told[-2:] == ["e: 80.0 % at 160", "f: 90.0 % [89.0, 91.0] at 180 ?"]


def test_mixtures_stand_beside_the_kernel_sizes_and_not_on_them(tmp_path: Path, figures: list[Any]) -> None:
    single = [Point("ks3", 3, 90.0), Point("ks7", 7, 95.0)]
    plots.accuracy_by_kernel_size(tmp_path / "x", single, [Point("ks1357", 7, 96.0)], None)
    axis = figures[-1].axes[0]
    (mix,) = [one for one in axis.lines if one.get_marker() == "D"]
    place = mix.get_xdata()[0]
    assert place > 7.5
    labels = {text.get_position()[0]: text.get_text() for text in axis.get_xticklabels()}
    assert labels[place] == "ks1357\nto 7"
    assert (labels[3], labels[7]) == ("3", "7")


def test_a_value_is_shown_where_the_pointer_rests(tmp_path: Path) -> None:
    plots.forest(tmp_path / "x", [Gap("a<b", 2.0, 1.0, 3.0, 1, "+2.0 better")], "tsn")
    svg = (tmp_path / "x.svg").read_text()
    assert "<title>a&lt;b: +2.0 better</title>" in svg
    assert ">+2.0 better</text>" in svg  # text is text: to be searched and read aloud


@pytest.mark.parametrize("label", ["ks3", "a_name_as_long_as_some_people_give@1536"])
def test_the_words_of_a_forest_plot_stand_above_its_intervals_and_within_it(
    label: str, tmp_path: Path, figures: list[Any]
) -> None:
    words = "no difference larger than 2 points, +28.2 [-13.1, 69.4]"
    gaps = [
        Gap(label, 28.2, -13.1, 69.4, 0, words, (20.0,)),
        Gap(f"{label}b", 0.0, -1.0, 1.0, 0, words, (0.0,)),
    ]
    plots.forest(tmp_path / "x", gaps, "tsn", 2.0)
    axis = figures[-1].axes[0]
    boxes = {text.get_text(): text.get_window_extent() for text in axis.texts[:2]}
    assert boxes[label].x1 < boxes[words].x0  # a name and its verdict on one line, not on each other
    for box in boxes.values():
        assert figures[-1].bbox.x0 <= box.x0 < box.x1 <= figures[-1].bbox.x1
        assert box.y0 > axis.transData.transform((0, 0))[1]
    assert figures[-1].get_size_inches()[0] * 72 <= NARROW  # a phone shows it whole


@pytest.mark.parametrize("x", [0.0, 1.0, 2.0])
def test_the_name_of_the_baseline_hides_no_point(x: float, tmp_path: Path, figures: list[Any]) -> None:
    """Wherever a row lies just above the baseline's line."""
    rows = [Point("a", 0.0, 90.0), Point("b", 2.0, 95.0), Point("near", x, 61.0)]
    plots.accuracy_against(tmp_path / "x", rows, Point("tsn", 0, 60.0), "Cost", "added MACs [G]")
    axis = figures[-1].axes[0]
    (name,) = [text for text in axis.texts if text.get_text() == "tsn 60.0 % (baseline)"]
    assert not name.get_window_extent().padded(3.0).contains(*axis.transData.transform((x, 61.0)))


def test_a_far_baseline_breaks_the_axis_and_a_near_one_does_not(tmp_path: Path, figures: list[Any]) -> None:
    plots.accuracy_against(tmp_path / "x", POINTS, BASELINE, "Cost", "added MACs [G], ResNet-50")
    assert len(figures[-1].axes) == 2
    assert figures[-1].axes[0].get_ylim()[0] > 80
    assert "tsn 36.2 % (baseline)" in [text.get_text() for text in figures[-1].axes[1].texts]
    plots.accuracy_against(tmp_path / "x", POINTS, Point("tsn", 0, 91.0), "Cost", "added MACs [G], ResNet-50")
    assert len(figures[-1].axes) == 1


def test_axes_name_their_units_and_the_geometry(tmp_path: Path, figures: list[Any]) -> None:
    plots.accuracy_against(tmp_path / "x", POINTS[1:], None, "Cost", "added MACs [G], ResNet-50, 8 frames")
    axis = figures[-1].axes[0]
    assert axis.get_xlabel() == "added MACs [G], ResNet-50, 8 frames"
    assert axis.get_ylabel() == "top-1 [%], 95 % intervals"
    assert axis.get_xscale() == "linear"


def test_one_costly_operator_does_not_press_the_others_together(tmp_path: Path, figures: list[Any]) -> None:
    plots.accuracy_against(tmp_path / "x", POINTS, None, "Cost", "added MACs [G], ResNet-50")
    axis = figures[-1].axes[0]
    assert "logarithmic beyond" in axis.get_xlabel()
    left, right = (
        axis.transAxes.inverted().transform(axis.transData.transform((x, 95)))[0] for x in (0, 0.3147)
    )
    assert right - left > 0.4


def test_learning_curves_have_a_panel_a_variant_and_the_baseline_in_each(
    tmp_path: Path, figures: list[Any]
) -> None:
    plots.learning_curves(tmp_path / "x", CURVES, "tsm")
    panels = [axis for axis in figures[-1].axes if axis.axison]
    assert [axis.get_title("left") for axis in panels] == [f"{n} (n=3)" for n in NAMES if n != "tsm"]
    assert [sum(len(line.get_xdata()) > 1 for line in axis.lines) for axis in panels] == [2] * len(panels)
    long = plots.Curve("ks3", 3, list(range(1, 31)), [50.0 + e for e in range(30)], [49.0] * 30, [90.0] * 30)
    plots.learning_curves(tmp_path / "y", [long], "tsm")
    told = re.findall("<title>(.*?)</title>", (tmp_path / "y.svg").read_text())
    assert len(told) == 15  # of 30 epochs every second, the last among them
    assert told[-1] == "ks3, epoch 30: 79.0 %, seeds 49.0 to 90.0"


def test_learning_curves_of_the_baseline_alone_show_it(tmp_path: Path, figures: list[Any]) -> None:
    plots.learning_curves(tmp_path / "x", CURVES[1:2], "tsm")
    assert [axis.get_title("left") for axis in figures[-1].axes] == ["tsm (n=3)"]


def test_a_single_kernel_size_among_mixed_ones_is_drawn(tmp_path: Path) -> None:
    plots.accuracy_by_kernel_size(tmp_path / "x", [], POINTS[5:7], None)
    plots.accuracy_by_kernel_size(tmp_path / "x", POINTS[2:3], POINTS[5:7], BASELINE)


def test_a_class_with_dollars_is_no_formula(tmp_path: Path, figures: list[Any]) -> None:
    names = ["$\\evil$", "$$", "$5 to $10"]
    plots.confusion_matrix(tmp_path / "x", [[1, 0, 0], [0, 1, 0], [0, 0, 1]], names)
    for name in names:
        assert f">{name}</text>" in (tmp_path / "x.svg").read_text()
    plots.accuracy_against(tmp_path / "y", [Point("$$", 1, 90.0, doubtful=True)], None, "Cost", "MACs")
    assert ">$$</text>" in (tmp_path / "y.svg").read_text()


def test_174_classes_are_drawn_without_labels(tmp_path: Path) -> None:
    plots.confusion_matrix(tmp_path / "x", np.eye(174), [f"class {i}" for i in range(174)])
    assert (tmp_path / "x.png").stat().st_size < 1_000_000


def test_global_matplotlib_settings_are_left_alone(tmp_path: Path) -> None:
    import matplotlib

    before = matplotlib.rcParams.copy()
    plots.confusion_matrix(tmp_path / "x", [[1]], ["a"])
    assert matplotlib.rcParams == before


def test_a_seed_beyond_its_interval_is_in_sight(tmp_path: Path, figures: list[Any]) -> None:
    plots.forest(tmp_path / "x", [Gap("ks3", -14.5, None, None, 0, "too few", (-3.9, -25.0))], "tsn")
    low, high = figures[-1].axes[0].get_xlim()
    assert low < -25
    assert high > 0


def test_each_seed_is_a_point_beside_its_interval(tmp_path: Path) -> None:
    gaps = [
        Gap("ks3", 2.0, 1.0, 3.0, 1, "better", (1.9, 2.1, -7.5)),
        Gap("ks5", -1.0, None, None, 0, "too few"),
    ]
    plots.forest(tmp_path / "forest", gaps, "tsn")
    plots.forest(tmp_path / "bare", gaps[1:], "tsn")
    points = [Point("ks3", 1.0, 70.0, 69.0, 71.0, seeds=(69.5, 70.5, 60.0)), Point("ks5", 2.0, 71.0)]
    plots.accuracy_against(tmp_path / "accuracy", points, None, "Cost", "added MACs [G]")
    for name in ("forest", "accuracy"):
        assert "small: each seed" in (tmp_path / f"{name}.svg").read_text()
    assert "small: each seed" not in (tmp_path / "bare.svg").read_text()
    assert style.ends(points[0]) == (60.0, 71.0)  # one that fell is in sight
