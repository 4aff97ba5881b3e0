"""The tables of a page: accuracies, costs, and what the paper prints beside them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from builders.operators import TABLE2
from builders.studies import (
    cost,
    full_study,
    row_of,
    small_study,
    study,
    table_of,
    text_of,
    trial,
)

from harness.report.document.blocks import Document, Paragraph, Table
from harness.report.document.latex import latex
from harness.report.document.markdown import markdown
from harness.report.write import write_study


def test_every_variant_has_a_row_in_both_tables(full_page: str) -> None:
    for variant in TABLE2:
        assert "| 3 of 3 |" in row_of(full_page, variant)
        assert " G " in row_of(full_page, variant, "### Cost")


def test_paper_costs_that_arithmetic_does_not_give_are_marked(full_page: str) -> None:
    assert "| 43 G (a) |" in row_of(full_page, "ordinary", "### Cost")
    assert (
        "(a) `ordinary`: the paper's 43 G is +10 G over its plain network; not reproduced: computed +74.30 G"
        in full_page
    )
    assert full_page.count("not reproduced") == 1


def test_the_paper_column_says_that_it_is_another_data_set(full_page: str) -> None:
    assert "paper: top-1 [%]" in full_page
    assert "on the data set `generated`" in full_page
    assert "on Something-Something v1" in full_page
    assert "cannot be compared in absolute value" in full_page


def test_the_same_data_set_as_the_paper_gets_other_words(tmp_path: Path, no_figures: None) -> None:
    record = small_study()
    settings = {
        variant: {**one, "data": {"dataset": {"name": "something_v1"}}}
        for variant, one in record.settings.items()
    }
    text = text_of(dataclasses.replace(record, settings=settings), tmp_path)
    assert "the same data set, but compare the protocols first" in text
    # 19.7 lies in 22.0 ± 5.0; 45.9 not in 73.0 ± 7.5.
    assert "Not reproduced: of `ks3` the printed accuracy is outside the interval measured here" in text
    rows = {row[0]: row for row in table_of(text, "### Published elsewhere")}
    assert rows["TSM, 8 frames, mirrored clips with swapped labels"][2] == "47.1"
    assert rows["ordinary"][2:5] == ["41.0", "-", "43 G"]  # a row of Table 2 that the study does not have
    assert not {"tsn", "`tsn`"} & set(rows)


def test_a_row_of_another_placement_is_not_held_against_the_papers(tmp_path: Path, no_figures: None) -> None:
    record = small_study()
    settings = {
        variant: {**one, "data": {"dataset": "something_v1"}} for variant, one in record.settings.items()
    }
    costs = {
        variant: dataclasses.replace(cost, geometry=cost.geometry | {"placement": "inner"})
        for variant, cost in record.costs.items()
    }
    text = text_of(dataclasses.replace(record, settings=settings, costs=costs), tmp_path)
    assert "ot reproduced" not in text
    assert "Of `ks3` nothing is quoted: the paper has the operator at another place in the block." in text
    elsewhere = {row[0].strip("`"): row for row in table_of(text, "### Published elsewhere")}
    assert elsewhere["ks3"][2] == "45.9"


def test_a_training_that_fell_is_named_under_the_table(tmp_path: Path, no_figures: None) -> None:
    record = small_study()
    assert "fell" not in text_of(record, tmp_path / "whole")
    trials = [
        dataclasses.replace(one, last=one.last | {"top1": {0: 70.2, 1: 70.0, 2: 58.0}[one.seed]})
        if one.variant == "ks3"
        else dataclasses.replace(one, last=one.last | {"top1": 20.0 + 0.2 * one.seed})
        for one in record.trials
    ]
    text = text_of(dataclasses.replace(record, trials=trials), tmp_path / "fallen")
    # Around 70.0 and 20.2 lie 0.2, 12.0 and 0.2, 0.2: the median is 0.2, times 1.4826.
    words = "otherwise spread by 0.3: `ks3` seed 2 by 12.0 (so that the row spreads by 7.0)."
    assert f"{words}**" in text  # a warning


def test_competitors_and_claims_of_table_4_are_quoted_and_marked(tmp_path: Path, no_figures: None) -> None:
    record = small_study()
    settings = {
        variant: {**one, "data": {"dataset": "something_v1"}} for variant, one in record.settings.items()
    }
    record = dataclasses.replace(record, settings=settings, reference="mixtconv.table4.something_v1")
    text = text_of(record, tmp_path)
    rows = {row[0]: row for row in table_of(text, "### Published elsewhere")}
    assert rows["I3D, 3D ResNet-50"][1:6] == ["32", "41.6", "72.2", "153 G x 2 clips", "2 clips"]
    assert "Nothing of this table was measured here" in text
    assert "Sec. 4.3: 0.005 % more computation than TSM; not reproduced: computed 0.55 %" in text


def test_what_others_published_on_another_data_set_is_left_out(full_page: str) -> None:
    assert "### Published elsewhere" not in full_page


def test_table_of_a_small_study_equals_one_computed_by_hand(tmp_path: Path, no_figures: None) -> None:
    """t(0.975, 2) = 4.3027. tsn: sd 2, half width 4.3027 * 2 / sqrt 3 = 4.97. ks3: sd 3, 7.45.
    Differences 50, 51, 52: sd 1, 2.48. group/static 97, 98, 99: 2.48. Three classes: no top-5."""
    text = text_of(small_study(), tmp_path)
    assert table_of(text, "### Accuracy") == [
        ["variant", "seeds", "top-1 [%]", "vs tsn [points]", "verdict", "paper: top-1 [%]"],
        [":--", "--:", "--:", "--:", ":--", "--:"],
        ["`tsn`", "3 of 3", "22.0 ± 5.0", "baseline", "baseline", "19.7"],
        ["`ks3`", "3 of 3", "**73.0 ± 7.5**", "+51.0 [48.5, 53.5]", "better", "45.9"],
    ]
    assert table_of(text, "### Top-1 by group of classes") == [
        ["variant", "short: top-1 [%]", "static: top-1 [%]"],
        [":--", "--:", "--:"],
        ["`tsn`", "17.0 ± 5.0", "98.0 [95.5, 100.0]"],
        ["`ks3`", "68.0 ± 7.5", "98.0 [95.5, 100.0]"],
    ]
    costs = text.split("### Cost\n\n")[1].split("\n\n")[0].splitlines()
    assert costs[2:] == [
        "| `tsn` | +0 | +0 | 32.70 G | 42.0 [41.0, 43.0] (n=5) | 33 G |",
        "| `ks3` | +39,360 | +0.13 G | 32.83 G | 42.0 [41.0, 43.0] (n=5) | 33.13 G |",
    ]
    assert "Holm's correction over the 1 row tested" in text
    assert "on device cpu, threads 2" in text


def test_one_seed_gives_no_interval_and_no_verdict(tmp_path: Path, no_figures: None) -> None:
    record = study([trial("tsn", 0, 20.0), trial("ks3", 0, 70.0)], ["tsn", "ks3"], seeds=[0])
    text = text_of(record, tmp_path)
    assert "| 1 of 1 | 70.0 | +50.0 | too few seeds to tell |" in row_of(text, "ks3")
    assert "fewer than 3 paired seeds nobody can say how much of it is luck" in text
    assert "±" not in row_of(text, "tsn")


def test_classes_and_confusions_have_intervals(tmp_path: Path, no_figures: None) -> None:
    """ks3 on left to right: 70, 73, 76, so 73.0 ± 7.5 as in the table of accuracies."""
    text = text_of(small_study(), tmp_path)
    assert "| left to right | short | 22.0 ± 5.0 | 73.0 ± 7.5 |" in text
    assert "| `ks3` | right to left | left to right | 100.0 | 100.0 |" in text  # always: no interval
    assert "Twins" not in text  # of which this study knows none


def test_an_operator_without_macs_and_no_latency_are_said(tmp_path: Path) -> None:
    record = small_study()
    costs = {
        v: dataclasses.replace(c, macs_added=None, macs_total=None, latency_ms=[])
        for v, c in record.costs.items()
    }
    text = text_of(dataclasses.replace(record, costs=costs), tmp_path)
    assert "| +39,360 | not stated | not stated | not measured |" in row_of(text, "ks3", "### Cost")
    assert "- latency not measured: all 2 variants" in text
    assert "accuracy_macs" not in text


def test_what_was_measured_beyond_a_forward_pass_is_shown(tmp_path: Path, no_figures: None) -> None:
    """Ten steps of 100 to 190 ms: p50 145, p95 185.5, 1000 / 145 = 6.90 clips a second."""
    heaviest = [{"kernel": "aten::convolution_backward", "calls": 53.0, "ms": 61.25, "share": 0.4226}]
    measured = cost(
        "ks3",
        samples_ms={"step": [100.0 + 10 * i for i in range(10)]},
        activation_mib=827.4,
        peak_memory_mib={"step": 1234.4},
        temporal_share={"forward": 0.051, "step": 0.0625},
        heaviest=heaviest,
    )
    record = dataclasses.replace(small_study(), costs={"tsn": cost("tsn"), "ks3": measured})
    text = text_of(record, tmp_path)
    (row,) = [line for line in text.splitlines() if line.startswith("| `ks3`") and "185.5" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["`ks3`", "42.0, 43.8", "145.0, 185.5", "23.81", "6.90", "827", "1,234", "5.1 %", "6.2 %"]
    assert "### Where a training step goes" in text
    assert "| `aten::convolution_backward` | 53 | 61.250 | 42.3 % |" in text
    plain = text_of(dataclasses.replace(small_study(), name="plain"), tmp_path)
    assert "Where a training step goes" not in plain


def test_a_doubtful_time_carries_its_mark_wherever_it_stands(tmp_path: Path) -> None:
    """Also what is computed from it; what is said of a step is no doubt about a forward pass."""
    spread = "spread: quartiles far apart, as part of the median: step 12 %; measure on a quiet machine"
    steps = {"step": [100.0 + 10 * i for i in range(10)]}
    busy = cost("tsn", samples_ms=steps, warnings=["load: other processes used 1.9 of 2 cores meanwhile"])
    costs = {"tsn": busy, "ks3": cost("ks3", samples_ms=steps, warnings=[spread])}
    folder = write_study(dataclasses.replace(small_study(), costs=costs), tmp_path)
    text = (folder / "README.md").read_text(encoding="utf-8")
    cells = {
        line.split("`")[1]: [cell.strip() for cell in line.strip("|").split("|")][1:5]
        for line in text.splitlines()
        if "145.0, 185.5" in line
    }
    assert cells["tsn"] == ["42.0, 43.8 ?", "145.0, 185.5 ?", "23.81 ?", "6.90 ?"]
    assert cells["ks3"] == ["42.0, 43.8", "145.0, 185.5 ?", "23.81", "6.90 ?"]
    drawn = (folder / "figures" / "accuracy_latency.svg").read_text(encoding="utf-8")
    assert ">tsn, 42 ms ?: 22.0 % (baseline)</text>" in drawn


def test_a_study_without_costs_says_not_measured(tmp_path: Path, no_figures: None) -> None:
    text = text_of(dataclasses.replace(small_study(), costs={}), tmp_path)
    assert "### Cost\n\nNot measured." in text


def test_costs_at_another_geometry_are_not_held_against_the_paper(tmp_path: Path, no_figures: None) -> None:
    record = full_study()
    costs = {
        v: dataclasses.replace(c, geometry={**c.geometry, "num_frames": 16}) for v, c in record.costs.items()
    }
    text = text_of(dataclasses.replace(record, costs=costs), tmp_path)
    assert "not reproduced" not in text
    assert "16 frames" in text


def test_costs_say_where_something_else_was_trained(tmp_path: Path, no_figures: None) -> None:
    """A reader took 38 G of a network at 224 pixels for that of the quarter as wide at 16 which had been trained."""
    plain = small_study()
    assert "Trained here instead" not in text_of(plain, tmp_path / "plain")
    models = {
        "tsn": {"backbone": "resnet50", "width": 1.0},
        "ks3": {"backbone": "resnet_tiny", "width": 0.25},
    }
    settings = {
        variant: {**one, "model": one["model"] | models[variant], "data": one["data"] | {"crop": 16}}
        for variant, one in plain.settings.items()
    }
    text = text_of(dataclasses.replace(plain, settings=settings), tmp_path / "told")
    assert "Trained here instead: `resnet50`, `resnet_tiny`, some with a width of 0.25, 16x16 pixels." in text


def test_a_paper_without_a_number_for_any_row_has_no_column(tmp_path: Path, no_figures: None) -> None:
    """Rows are matched by name, and this study's are the study's own."""
    record = study([trial(v, s, 70.0 + s) for v in ("tsn", "mine") for s in (0, 1, 2)], ["tsn", "mine"])
    assert "paper: top-1 [%]" in text_of(record, tmp_path / "named")
    rename = {"tsn": "base"}
    own = study(
        [dataclasses.replace(one, variant=rename.get(one.variant, one.variant)) for one in record.trials],
        ["base", "mine"],
        baseline="base",
    )
    text = text_of(own, tmp_path / "own")
    assert "paper: " not in text
    assert "The paper's column" not in text


def test_class_names_cannot_break_a_table(full_page: str) -> None:
    assert "| red \\| blue (static) |" in full_page


def test_a_study_that_stated_nothing_is_called_exploratory(full_page: str) -> None:
    assert "The study stated no hypothesis beforehand: every comparison is exploratory." in full_page


def test_six_classes_have_a_column_of_top_5(tmp_path: Path, no_figures: None) -> None:
    """Of five the label is always among the five highest scores. Always 99: no interval."""
    record = dataclasses.replace(small_study(), classes=list("abcdef"), groups=[""] * 6)
    rows = table_of(text_of(record, tmp_path), "### Top-5, and top-1 by group of classes")
    assert rows[0] == ["variant", "top-5 [%]", "short: top-1 [%]", "static: top-1 [%]"]
    assert rows[2][:2] == ["`tsn`", "99.0"]


@pytest.mark.parametrize(
    "text", ["[l](javascript:alert(1))", "![i](http://a/b.png)", "[l][r]", "[r]: http://a"]
)
def test_a_name_cannot_be_a_link_or_a_picture_in_markdown(text: str) -> None:
    page = markdown(Document("study", [Paragraph(text)]))
    assert "](" not in page.replace(r"\](", "")
    assert "][" not in page.replace(r"\][", "")
    assert "]:" not in page.replace(r"\]:", "")


def test_brackets_of_an_interval_stay_as_they_are_in_markdown() -> None:
    assert "+1.0 [0.5, 1.5]: so" in markdown(Document("study", [Paragraph("+1.0 [0.5, 1.5]: so")]))


def test_the_name_of_a_study_cannot_leave_its_place_in_latex() -> None:
    table = Table(header=["a"], rows=[["b"]], label="accuracy", caption="c")
    text = latex("x}\\input{/etc/passwd}\n\\write18{ls}", [table])
    assert [line for line in text.splitlines() if "input" in line and not line.startswith("%")] == [
        r"\label{tab:x-input-etc-passwd-write18-ls--accuracy}"
    ]
