"""The page of a study that sweeps a setting: its thresholds, and what it leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders.ladders import swept
from builders.studies import table_of, text_of

from harness.analysis.summary import summarize
from harness.records import StudyRecord
from harness.report.sections.answer import answer
from harness.report.terminal import final_table
from harness.report.write import write_study

CLIPS = (200, 400, 800)
EARLY, MIDDLE, NEVER = [50.0, 100.0, 100.0], [50.0, 50.0, 100.0], [50.0, 50.0, 60.0]


def record() -> StudyRecord:
    """Thresholds 282.8 of a; 282.8, 565.7, 565.7 of b (ratio 1.59 [0.59, 4.29], see analysis); c never gets there."""
    return swept({"a": [EARLY] * 3, "b": [EARLY, MIDDLE, MIDDLE], "c": [MIDDLE, MIDDLE, NEVER]}, CLIPS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report, with its figures. Not to be written to."""
    return write_study(record(), tmp_path_factory.mktemp("sweep"))


@pytest.fixture
def page(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_table_of_thresholds_is_the_one_computed_by_hand(page: str) -> None:
    """b: the cube root of 282.84 x 565.69 x 565.69 is 449.0."""
    assert table_of(page, "### Thresholds")[2:] == [
        ["`a`", "283 (n=3)", "283", "283", "1", "-", "baseline"],
        ["`b`", "449 (n=3)", "283", "566", "1.59 [0.59, 4.29] (n=3)", "0.184", "too few seeds to tell"],
        ["`c`", "- (n=3)", "566", "above 800", "-", "-", "beyond the values tried"],
    ]


def test_accuracy_stands_at_every_value_by_row(page: str) -> None:
    rows = table_of(page, "### Accuracy by `train_clips`")
    assert rows[0] == ["row", "200 [%]", "400 [%]", "800 [%]"]
    assert rows[2] == ["`a`", "50.0 (n=3)", "100.0 (n=3)", "100.0 (n=3)"]


def test_the_first_figure_is_the_sweep_and_costs_have_none(page: str, folder: Path) -> None:
    drawn = [line for line in page.splitlines() if line.startswith("![")]
    assert drawn[0] == "![Accuracy by train_clips](figures/accuracy_setting.png)"
    names = {path.stem for path in (folder / "figures").iterdir()}
    assert not names & {"accuracy_macs", "accuracy_parameters", "accuracy_kernel_size"}  # rows differ in more


def test_the_answer_speaks_of_thresholds(page: str) -> None:
    assert answer(summarize(record())) == (
        "Half-way (75 %) is reached at a `train_clips` of 283 (283 to 283 over 3 seeds) by `a`, the lowest, and of "
        "449 (283 to 566 over 3 seeds) by `b`, the highest. Some seed of `c` lies beyond the values that were tried. "
        "Against `a`, of 1 threshold: 1 too few seeds to tell."
    )
    assert "has the highest mean top-1" not in page


def test_a_value_that_is_supported_and_open_in_the_table_is_explained(
    tmp_path: Path, no_figures: None
) -> None:
    """Ahead by 10, 20 and 35 points: t is 2.98, so p is 0.048 to the stated side and 0.097 to both."""
    curves = {"a": [[50, 60]] * 3, "b": [[50, 70], [50, 80], [50, 95]]}
    text = text_of(swept(curves, (200, 400), hypotheses=["b@400 > a@400"]), tmp_path)
    assert "| 0.048 | supported (1) |" in text
    assert "Of `b@400` the table of all rows still says that seeds are too few" in text


def test_rows_are_compared_at_the_same_value_and_say_so(page: str) -> None:
    accuracy = page.split("### Accuracy\n")[1]
    assert "vs a at the same train_clips [points]" in accuracy
    assert (
        "| `b@400` | 3 of 3 | 66.7 [0.0, 100.0] | -33.3 [-100.0, 38.4] | too few seeds to tell |" in accuracy
    )
    assert accuracy.count("| baseline | baseline |") == 3


def test_where_no_row_gets_half_way_the_answer_says_so() -> None:
    said = answer(summarize(swept({"a": [NEVER] * 3, "b": [NEVER] * 3}, CLIPS)))
    assert said == "No row gets half-way (75 %) within the values of `train_clips` that were tried."


def test_without_a_known_chance_there_is_a_curve_and_no_threshold(tmp_path: Path, no_figures: None) -> None:
    text = text_of(swept({"a": [EARLY] * 3, "b": [MIDDLE] * 3}, CLIPS, chance=None), tmp_path)
    assert "What chance is on these clips is not known, so there are no thresholds." in text
    assert "### Thresholds" not in text


def test_json_and_latex_hold_the_thresholds(folder: Path) -> None:
    data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert data["sweep"]["rows"][2]["thresholds"][2] == {
        "seed": 2, "value": None, "beyond": "above the largest value",
    }  # fmt: skip
    assert data["sweep"]["rows"][1]["ratio"]["words"] == "too few seeds to tell"
    tables = (folder / "tables.tex").read_text(encoding="utf-8")
    assert r"\label{tab:kernel_sizes-thresholds}" in tables


def test_the_terminal_compares_at_the_same_value() -> None:
    table, _ = final_table(record())
    titles = [str(column.header) for column in table.columns]
    assert titles[2] == "vs a at the same train_clips [points]"
    assert list(table.columns[2].cells)[:4] == [
        "baseline",
        "baseline",
        "baseline",
        "+0.0 (n=3) too few seeds to tell",
    ]
