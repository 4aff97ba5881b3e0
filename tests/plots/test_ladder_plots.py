"""Figures of accuracy by level and by a swept setting: nothing is moved, and rows look unlike."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import plots
from harness.plots import Line, Panel

LAGS = [1.0, 2.0, 3.0]
KS3 = Line(
    "ks3", LAGS, [100, 95, 50], [None, 90, None], [None, 100, None], [[100, 92, 50], [100, 98, math.nan]]
)
TSN = Line("tsn", LAGS, [50, 50, 50], [None] * 3, [None] * 3, [[50, 50, 50]])
PANELS = [Panel("predicted horizon: 0", [TSN], 0), Panel("predicted horizon: 2", [KS3], 2)]
CLIPS = [200.0, 400.0, 800.0]
SWEPT = [
    Line(
        "ks3", CLIPS, [50, 90, 100], [45, 80, 99], [55, 100, 101], [[50, 90, 100]] * 3, [283.0, 300.0, 330.0]
    ),
    Line("ks7", CLIPS, [50, 55, 90], [None] * 3, [None] * 3, [[50, 55, 90]]),
]

DRAWINGS: dict[str, Callable[[Path], None]] = {
    "levels": lambda path: plots.accuracy_by_level(path, PANELS, "lag", 50.0, 75.0),
    "setting": lambda path: plots.accuracy_by_setting(path, SWEPT, "train_clips", 50.0, 75.0),
}


def line_of(axis: Any, label_y: list[float]) -> Any:
    """The line that is drawn through these accuracies."""
    (found,) = [
        one for one in axis.lines if list(one.get_ydata()) == label_y and one.get_linestyle() != "None"
    ]
    return found


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_it_is_an_svg_and_a_png_with_the_same_bytes_twice(name: str, tmp_path: Path) -> None:
    for time in ("first", "second"):
        (tmp_path / time).mkdir()
        DRAWINGS[name](tmp_path / time / name)
    for kind in ("svg", "png"):
        first, second = ((tmp_path / time / f"{name}.{kind}").read_bytes() for time in ("first", "second"))
        assert first == second


def test_a_panel_shades_what_its_rows_are_to_solve(tmp_path: Path, figures: list[Any]) -> None:
    DRAWINGS["levels"](tmp_path / "x")
    none, two = figures[-1].axes
    assert [axis.get_title("left") for axis in (none, two)] == [
        "predicted horizon: 0",
        "predicted horizon: 2",
    ]
    assert len(none.patches) == 0  # no lag is within 0 frames
    (shade,) = two.patches
    assert shade.get_extents().transformed(two.transData.inverted()).x1 == pytest.approx(2.5)


def test_accuracies_and_seeds_are_drawn_where_they_are(tmp_path: Path, figures: list[Any]) -> None:
    DRAWINGS["levels"](tmp_path / "x")
    axis = figures[-1].axes[1]
    assert list(line_of(axis, [100, 95, 50]).get_xdata()) == LAGS  # alone in its panel: not moved
    seeds = [
        list(one.get_ydata())
        for one in axis.lines
        if one.get_linestyle() == "None" and len(one.get_ydata()) > 1
    ]
    assert [100, 92, 50] in seeds
    assert len(seeds) == 2
    assert [90, 100] in [list(one.get_ydata()) for one in axis.lines]  # the interval at lag 2
    words = [{text.get_text() for text in panel.texts} for panel in figures[-1].axes]
    assert words == [{"half-way", "chance"}, set()]  # once: what they name is dashed in every panel


def test_rows_of_one_height_are_drawn_one_in_the_other_and_none_is_moved(
    tmp_path: Path, figures: list[Any]
) -> None:
    many = [Line(f"v{i}", LAGS, [100 - i] * 3, [None] * 3, [None] * 3, []) for i in range(12)]
    plots.accuracy_by_level(tmp_path / "x", [Panel("", many)], "lag", 50.0, 75.0)
    axis = figures[-1].axes[0]
    drawn = [line_of(axis, [100 - i] * 3) for i in range(12)]
    assert all(list(line.get_xdata()) == LAGS for line in drawn)
    widths = [line.get_linewidth() for line in drawn]
    assert widths == sorted(set(widths), reverse=True)
    marks = [one for one in axis.lines if one.get_gid()]
    assert {one.get_xdata()[0] for one in marks} == set(LAGS)
    looks = {(one.get_color(), one.get_marker()) for one in marks}
    assert len(looks) == 12


def test_24_rows_all_look_different(tmp_path: Path, figures: list[Any]) -> None:
    many = [Line(f"v{i}", LAGS, [100 - i] * 3, [None] * 3, [None] * 3, []) for i in range(24)]
    plots.accuracy_by_level(tmp_path / "x", [Panel("", many)], "lag", None, None)
    marks = [one for one in figures[-1].axes[0].lines if one.get_gid()]
    assert len(marks) == 24 * 3
    assert len({(one.get_color(), one.get_marker()) for one in marks}) == 24


def test_thresholds_stand_below_at_their_own_value(tmp_path: Path, figures: list[Any]) -> None:
    DRAWINGS["setting"](tmp_path / "x")
    top, other, foot = figures[-1].axes
    assert [axis.get_title("left") for axis in (top, other)] == ["ks3", "ks7"]
    assert [text.get_text() for text in foot.get_yticklabels()] == ["ks3"]  # ks7 has none
    marks = [math.exp(one.get_xdata()[0]) for one in foot.lines if one.get_gid()]
    assert marks == pytest.approx([283, 300, 330])
    assert [text.get_text() for text in foot.get_xticklabels()] == ["200", "400", "800"]
    assert figures[-1].get_supxlabel() == "train_clips, logarithmic"
    assert top.get_ylabel() == "top-1 [%]"


def test_a_setting_with_a_0_has_a_linear_axis(tmp_path: Path, figures: list[Any]) -> None:
    noise = [Line("ks3", [0.0, 20.0, 40.0], [100, 90, 50], [None] * 3, [None] * 3, [])]
    plots.accuracy_by_setting(tmp_path / "x", noise, "noise", 50.0, 75.0)
    (axis,) = figures[-1].axes
    assert figures[-1].get_supxlabel() == "noise"
    marks = [tuple(one.get_xydata()[0]) for one in axis.lines if one.get_gid()]
    assert marks == [(0, 100), (20, 90), (40, 50)]


def test_what_lies_below_chance_is_still_seen(tmp_path: Path, figures: list[Any]) -> None:
    low = [Line("tsn", LAGS, [30, 50, 50], [None] * 3, [None] * 3, [[22, 50, 50]])]
    plots.accuracy_by_level(tmp_path / "x", [Panel("", low)], "lag", 50.0, 75.0)
    assert figures[-1].axes[0].get_ylim()[0] < 22
    wide = [Line("trn", LAGS, [80, 70, 60], [62, 15, None], [98, 100, None], [[80, 70, 60]])]
    plots.accuracy_by_level(tmp_path / "x", [Panel("", wide)], "lag", 50.0, 75.0)
    assert figures[-1].axes[0].get_ylim()[0] < 15  # an interval is not cut where the axis begins
