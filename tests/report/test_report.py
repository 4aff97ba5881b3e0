"""The report of hand-made studies: what a reader sees, what survives a failure, what can be recomputed."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from builders.operators import TABLE2
from builders.studies import (
    ADDED,
    TAP,
    cost,
    failed,
    full_study,
    row_of,
    small_study,
    study,
    table_of,
    text_of,
    trial,
)

from harness import plots
from harness.analysis.summary import summarize
from harness.errors import StudyError, TrackingError
from harness.published import added_gmacs, is_reproduced, load_reference
from harness.records import StudyRecord, study_from_json, to_json
from harness.report import figures, write
from harness.report.__main__ import main
from harness.report.write import read_record, write_index, write_study


@pytest.fixture(scope="module")
def full_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(full_study(), tmp_path_factory.mktemp("full"))


@pytest.fixture
def full_page(full_report: Path) -> str:
    return (full_report / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing costs a second a report; most tests read words only."""
    monkeypatch.setattr(figures, "draw", lambda summary, folder: [])


def test_the_page_follows_its_order(full_page: str) -> None:
    order = [
        "**Does mixing",
        "has the highest mean top-1",
        "## Results",
        "## Figures",
        "## How it was trained",
        "## What is missing",
        "## Accuracy per class",
        "## How to recompute",
    ]
    places = [full_page.index(part) for part in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        ({"name": "kernel_sizes"}, "studies/kernel_sizes.yaml"),
        ({"name": "kernel_sizes-paper"}, "STUDY"),  # kernel_sizes.yaml, or one of that name? It was not kept
        ({"name": "my-study", "file": "my-study.yaml"}, "my-study.yaml"),
        ({"name": "a-b-c", "file": "a-b.yaml", "part": "c"}, "a-b.yaml --parts c"),
        ({"name": "a-b-c", "file": "my studies/a.yaml", "preset": "b-c"}, "'my studies/a.yaml' --preset b-c"),
    ],
)
@pytest.mark.usefixtures("no_figures")
def test_the_page_says_which_command_runs_the_study_again(
    asked: dict[str, str], command: str, tmp_path: Path
) -> None:
    folder = write_study(dataclasses.replace(small_study(), **asked), tmp_path)
    assert f"\npython -m harness.run {command}\n" in (folder / "README.md").read_text()
    assert read_record(folder / "results.json") == dataclasses.replace(small_study(), **asked)


def test_every_variant_has_a_row_in_both_tables(full_page: str) -> None:
    for variant in TABLE2:
        assert "| 3 of 3 |" in row_of(full_page, variant)
        assert " G " in row_of(full_page, variant, "### Cost")


def test_the_answer_names_the_best_its_interval_and_the_runner_up(full_page: str) -> None:
    answer = next(line for line in full_page.splitlines() if "has the highest mean" in line)
    assert answer.startswith("`ks1357` has the highest mean top-1: 97.0 ±")
    assert "against the baseline `tsn`, which is more than luck of training explains" in answer
    assert "it leads the next, `ks357`, by +0.2 points [" in answer
    assert "do not tell the two apart" in answer
    assert "of 9 variants: 9 better." in answer


def test_a_complete_study_misses_nothing(full_page: str) -> None:
    assert "Nothing: all 30 trials of the plan finished." in full_page


def test_figures_of_the_full_study_are_all_there(full_report: Path) -> None:
    folder = full_report / "figures"
    names = {
        "differences", "accuracy_macs", "accuracy_parameters", "accuracy_latency", "accuracy_kernel_size",
        "learning_curves", "accuracy_groups", "class_gains", "cost",
    }  # fmt: skip
    assert {file.name for file in folder.iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("svg", "png")
    }


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
    Differences 50, 51, 52: sd 1, 2.48. group/static 97, 98, 99: 2.48; top-5 always 99: no interval."""
    text = text_of(small_study(), tmp_path)
    assert table_of(text, "### Accuracy") == [
        ["variant", "seeds", "top-1 [%]", "vs tsn [points]", "verdict", "paper: top-1 [%]"],
        [":--", "--:", "--:", "--:", ":--", "--:"],
        ["`tsn`", "3 of 3", "22.0 ± 5.0", "baseline", "baseline", "19.7"],
        ["`ks3`", "3 of 3", "**73.0 ± 7.5**", "+51.0 [48.5, 53.5]", "better", "45.9"],
    ]
    assert table_of(text, "### Top-5, and top-1 by group of classes") == [
        ["variant", "top-5 [%]", "short: top-1 [%]", "static: top-1 [%]"],
        [":--", "--:", "--:", "--:"],
        ["`tsn`", "99.0", "17.0 ± 5.0", "98.0 ± 2.5"],
        ["`ks3`", "99.0", "68.0 ± 7.5", "98.0 ± 2.5"],
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


def test_failed_and_missing_trials_stay_in_the_report(tmp_path: Path, no_figures: None) -> None:
    trials = [
        *small_study().trials[:4],
        failed("ks3", 1),
        failed("ks5", 0),
        failed("ks5", 1),
        failed("ks5", 2, "a | b\nc"),
    ]
    text = text_of(study(trials, ["tsn", "ks3", "ks5", "ks7"]), tmp_path)
    assert "| 0 of 3 | failed | - | too few seeds to tell |" in row_of(text, "ks5")
    assert "| 0 of 3 | not run |" in row_of(text, "ks7")
    assert "| 1 of 3 | 70.0 |" in row_of(text, "ks3")
    assert "- `ks3` seed 1: failed: out of memory at batch_size 64" in text
    assert "- `ks3` seed 2: not run" in text
    assert "- `ks5` seed 2: failed: a | b c" in text
    assert "4 of 12 trials have a result, so this may change." in text


def test_clips_that_were_left_out_are_counted_and_named(tmp_path: Path, no_figures: None) -> None:
    everywhere = {"train": [f"t{i:02d}" for i in range(12)], "val": ["a`b", "v2"]}
    trials = [dataclasses.replace(one, skipped=everywhere) for one in small_study().trials]
    text = text_of(study(trials, ["tsn", "ks3"]), tmp_path / "alike")
    assert "Accuracies leave out validation clips that cannot be read" in text.split("## Results")[0]
    missing = text.split("## What is missing")[1].split("\n## ")[0]
    assert "2 validation clips could not be read and took no part (all finished trials): " in missing
    assert (
        "12 training clips could not be read and took no part (all finished trials): `t00`, `t01`" in missing
    )
    assert "`t09` and 2 more" in missing
    assert "`t10`" not in missing
    assert "not all trials were tested on the same clips" not in missing

    trials[1] = dataclasses.replace(trials[1], skipped={"val": ["v2"]})
    text = text_of(study(trials, ["tsn", "ks3"]), tmp_path / "unlike")
    assert "1 validation clip could not be read and took no part (`tsn` seed 1): `v2`" in text
    assert "not all trials were tested on the same clips" in text
    assert "Accuracies leave out" not in text_of(small_study(), tmp_path / "none")


def test_a_study_without_a_finished_trial_says_so(tmp_path: Path) -> None:
    text = text_of(study([failed("tsn", 0)], ["tsn", "ks3"]), tmp_path)
    assert "No trial has finished with an accuracy yet: nothing can be said." in text
    assert [line for line in text.splitlines() if line.startswith("![")] == [
        "![Cost of every variant](figures/cost.png)"
    ]
    assert "0 of 6 trials have a result" in text


def test_a_baseline_without_results_forbids_differences(tmp_path: Path, no_figures: None) -> None:
    text = text_of(study([trial("ks3", s, 70.0 + s) for s in (0, 1, 2)], ["tsn", "ks3"]), tmp_path)
    assert "the baseline `tsn` has no trial with an accuracy" in text


def test_a_baseline_that_was_not_asked_for_is_named(tmp_path: Path, no_figures: None) -> None:
    text = text_of(study([trial("ks3", s, 70.0 + s) for s in (0, 1, 2)], ["ks3"]), tmp_path)
    assert "the baseline `tsn` has no trial with an accuracy" in text


def test_the_baseline_may_be_the_best(tmp_path: Path, no_figures: None) -> None:
    trials = [trial("tsn", s, 80.0 + s) for s in (0, 1, 2)] + [
        trial("ks3", s, 70.0 + 1.1 * s) for s in (0, 1, 2)
    ]
    text = text_of(study(trials, ["tsn", "ks3"]), tmp_path)
    assert "No variant scores above the baseline: `tsn` itself has the highest mean top-1: 81.0" in text
    assert "it leads the next, `ks3`, by +9.9 points [9.7, 10.1] (n=3)" in text
    assert "| worse |" in row_of(text, "ks3")


def test_a_metric_that_is_not_a_number_is_named_and_in_no_mean(tmp_path: Path, no_figures: None) -> None:
    record = small_study()
    broken = dataclasses.replace(record.trials[0], last={"top1": math.nan, "top5": math.nan})
    folder = write_study(dataclasses.replace(record, trials=[broken, *record.trials[1:]]), tmp_path)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "| 3 of 3 | 23.0 (n=2) |" in row_of(text, "tsn")
    assert "| +51.5 (n=2) | too few seeds to tell |" in row_of(text, "ks3")
    assert "- `tsn` seed 0: finished, but its top-1 is not a number" in text
    assert "nan" not in text
    json.loads((folder / "results.json").read_text(), parse_constant=pytest.fail)


def test_a_network_that_diverged_leaves_no_nan_on_the_page(tmp_path: Path) -> None:
    """Its probes hold NaN, and null once they went through JSON."""
    taps = {"operator": "layer1.0.temporal", "stage": 1, "offsets": [-1, 0, 1], "channels": [0],
            "initial": [[0.0, 1.0, 0.0]], "final": [[0.1, 0.9, 0.0]], "moved": 0.14}  # fmt: skip
    gone = {**taps, "final": [[math.nan] * 3], "moved": math.nan}
    record = small_study()
    trials = [
        dataclasses.replace(one, probes={"filters": [gone if one.seed == 0 else taps]})
        for one in record.trials
    ]
    first = write_study(dataclasses.replace(record, trials=trials), tmp_path / "a")
    text = (first / "README.md").read_text(encoding="utf-8")
    assert "nan" not in text
    assert "figures/filters.png" in text
    (found,) = summarize(read_record(first / "results.json")).breakdowns["ks3"].filters
    assert (found.moved.n, found.moved.mean) == (2, 0.14)


def test_classes_and_confusions_have_intervals(tmp_path: Path, no_figures: None) -> None:
    """ks3 on left to right: 70, 73, 76, so 73.0 ± 7.5 as in the table of accuracies."""
    text = text_of(small_study(), tmp_path)
    assert "| left to right | short | 22.0 ± 5.0 | 73.0 ± 7.5 |" in text
    assert "| `ks3` | right to left | left to right |  | 100.0 | 100.0 |" in text  # always: no interval


def test_json_and_csv_hold_whatever_the_page_says(tmp_path: Path, no_figures: None) -> None:
    alike = [trial("ks3", s, 22.0 + (2 * s - 2) + 0.1 * (s - 1)) for s in (0, 1, 2)]
    record = study(
        [*small_study().trials[:3], *alike], ["tsn", "ks3"], margin=1.0, hypotheses=["ks3 ~ tsn"],
        pairs=["ks3 vs tsn"],
    )  # fmt: skip
    folder = write_study(record, tmp_path)
    data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert [one["text"] for one in data["hypotheses"]] == ["ks3 ~ tsn"]
    assert [one["verdict"] for one in data["pairs"]] == ["no difference larger"]
    assert {one["by"] for one in data["cheapest"]} == {"MACs", "latency"}
    assert set(data["breakdowns"]) == {"tsn", "ks3"}
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        (_, row) = csv.DictReader(file)
    assert row["verdict"] == "no difference larger than 1 point"
    assert (row["covers"], row["exploratory"]) == ("new trainings", "False")
    assert float(row["p_margin_holm"]) < 0.05


def test_a_study_that_stated_nothing_is_called_exploratory(full_page: str) -> None:
    assert "The study stated no hypothesis beforehand: every comparison is exploratory." in full_page


def test_an_operator_without_macs_and_no_latency_are_said(tmp_path: Path) -> None:
    record = small_study()
    costs = {
        v: dataclasses.replace(c, macs_added=None, macs_total=None, latency_ms=[])
        for v, c in record.costs.items()
    }
    text = text_of(dataclasses.replace(record, costs=costs), tmp_path)
    assert "| +39,360 | not stated | not stated | not measured |" in row_of(text, "ks3", "### Cost")
    assert "- latency not measured: `tsn`, `ks3`" in text
    assert "accuracy_macs" not in text


def test_what_was_measured_beyond_a_forward_pass_is_shown(tmp_path: Path, no_figures: None) -> None:
    """Ten steps of 100 to 190 ms: p50 145, p95 185.5, 1000 / 145 = 6.90 clips a second."""
    heaviest = [{"kernel": "aten::convolution_backward", "calls": 53.0, "ms": 61.25, "share": 0.4226}]
    measured = cost(
        "ks3", samples_ms={"step": [100.0 + 10 * i for i in range(10)]}, activation_mib=827.4,
        peak_memory_mib={"step": 1234.4}, temporal_share={"forward": 0.051, "step": 0.0625}, heaviest=heaviest,
    )  # fmt: skip
    record = dataclasses.replace(small_study(), costs={"tsn": cost("tsn"), "ks3": measured})
    text = text_of(record, tmp_path)
    (row,) = [line for line in text.splitlines() if line.startswith("| `ks3`") and "185.5" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["`ks3`", "42.0, 43.8", "145.0, 185.5", "23.81", "6.90", "827", "1,234", "5.1 %", "6.2 %"]
    assert "### Where a training step goes" in text
    assert "| `aten::convolution_backward` | 53 | 61.250 | 42.3 % |" in text
    plain = text_of(dataclasses.replace(small_study(), name="plain"), tmp_path)
    assert "Where a training step goes" not in plain


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


def test_class_names_cannot_break_a_table(full_page: str) -> None:
    assert "| red \\| blue | static | 97.0 |" in full_page


def test_values_that_differ_between_trials_are_given_as_a_range(full_page: str) -> None:
    assert "| peak_memory_mib | 400 to 402 |" in full_page
    assert "| commit | abc1234 |" in full_page


def test_the_same_record_twice_gives_the_same_bytes(full_report: Path, tmp_path: Path) -> None:
    first, second = full_report, write_study(full_study(), tmp_path)
    files = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
    assert len(files) == 24
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes(), file


def test_a_report_can_be_written_again_from_its_json(tmp_path: Path, no_figures: None) -> None:
    record = small_study()
    broken = dataclasses.replace(
        record.trials[0], last={"top1": math.nan}, history=[{"epoch": 1.0, "val/top1": math.nan}]
    )
    first = write_study(dataclasses.replace(record, trials=[broken, *record.trials[1:]]), tmp_path / "a")
    second = write_study(read_record(first / "results.json"), tmp_path / "b")
    for name in ("README.md", "index.html", "tables.tex", "results.json", "results.csv", "trials.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_csv_of_trials_gives_the_means_of_the_table(tmp_path: Path, no_figures: None) -> None:
    folder = write_study(full_study(), tmp_path)
    with (folder / "trials.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    with (folder / "results.csv").open(newline="") as file:
        results = {row["variant"]: row for row in csv.DictReader(file)}
    assert len(trials) == 30
    by_variant = {v: [float(t["top1"]) for t in trials if t["variant"] == v] for v in TABLE2}
    for variant, values in by_variant.items():
        assert float(results[variant]["top1_mean"]) == pytest.approx(sum(values) / 3)
        gap = [a - b for a, b in zip(values, by_variant["tsn"], strict=True)]
        if variant != "tsn":
            assert float(results[variant]["difference_mean"]) == pytest.approx(sum(gap) / 3)
    assert results["ks3"]["macs_added"] == "134873088"
    assert results["ks3"]["paper_gmacs"] == "33.13"


def test_an_old_report_stays_whole_when_drawing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_study(small_study(), tmp_path)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    def fail(*args: Any) -> None:
        raise RuntimeError("no fonts")

    monkeypatch.setattr(plots, "learning_curves", fail)
    with pytest.raises(RuntimeError, match="no fonts"):
        write_study(dataclasses.replace(small_study(), question="Another?"), tmp_path)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["kernel_sizes"]


def test_a_new_report_leaves_nothing_of_the_old_one(tmp_path: Path, no_figures: None) -> None:
    folder = write_study(small_study(), tmp_path)
    (folder / "figures" / "gone.png").write_bytes(b"")
    write_study(small_study(), tmp_path)
    assert not (folder / "figures" / "gone.png").exists()


def test_a_report_killed_while_being_replaced_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_study(small_study(), tmp_path)
    folder.rename(tmp_path / ".kernel_sizes.old")

    def fail(*args: Any) -> None:
        raise RuntimeError("no fonts")

    monkeypatch.setattr(write, "_write_files", fail)
    with pytest.raises(RuntimeError):
        write_study(dataclasses.replace(small_study(), question="Another one?"), tmp_path)
    assert (folder / "README.md").exists()


def test_a_folder_that_is_no_report_is_not_replaced(tmp_path: Path, no_figures: None) -> None:
    (tmp_path / "kernel_sizes").mkdir()
    (tmp_path / "kernel_sizes" / "thesis.tex").write_text("years of work")
    with pytest.raises(StudyError, match="is not a report"):
        write_study(small_study(), tmp_path)
    assert (tmp_path / "kernel_sizes" / "thesis.tex").read_text() == "years of work"


def test_an_output_path_that_is_a_file_is_one_line(tmp_path: Path, no_figures: None) -> None:
    (tmp_path / "reports").write_text("")
    with pytest.raises(StudyError, match=r"^--out .*cannot be written"):
        write_study(small_study(), tmp_path / "reports")


def test_the_index_lists_every_report_under_the_folder(tmp_path: Path, no_figures: None) -> None:
    write_study(small_study(), tmp_path)
    write_study(dataclasses.replace(small_study(), name="placement", question="Head or inner?"), tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "results.json").write_text("{")
    write_index(tmp_path)
    lines = (tmp_path / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line.split(" | ")[0] for line in lines if line.startswith("| [")] == [
        "| [broken](broken/README.md)",
        "| [kernel_sizes](kernel_sizes/README.md)",
        "| [placement](placement/README.md)",
    ]
    assert any("Head or inner?" in line and "`ks3` has the highest" in line for line in lines)


def test_the_index_does_not_overwrite_someone_elses_readme(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# My project")
    with pytest.raises(StudyError, match="was not written by"):
        write_index(tmp_path)
    assert (tmp_path / "README.md").read_text() == "# My project"


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path, no_figures: None) -> None:
    results = write_study(small_study(), tmp_path) / "results.json"
    data = json.loads(results.read_text())
    data["record"]["schema"] = 99
    results.write_text(json.dumps(data))
    with pytest.raises(StudyError, match="schema 99, newer"):
        read_record(results)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"record": {"schema": "x"}}',
        '{"record": {"schema": 2}}',
        '{"record": {"schema": 2, "a": 1}}',
    ],
)
def test_a_file_that_is_no_reports_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(StudyError, match=r"is not the results.json of a report"):
        read_record(path)


@pytest.mark.parametrize("content", ["", "[1]", '"text"', "{"])
def test_a_half_written_report_is_replaced_whole(tmp_path: Path, no_figures: None, content: str) -> None:
    folder = write_study(small_study(), tmp_path)
    whole = (folder / "results.json").read_bytes()
    (folder / "results.json").write_text(content)
    (folder / "index.html").unlink()
    write_study(small_study(), tmp_path)
    assert (folder / "results.json").read_bytes() == whole
    assert (folder / "index.html").exists()


def test_an_unknown_reference_offers_the_nearest() -> None:
    with pytest.raises(StudyError, match=r"no table 'mixtconv.tabel2' .*did you mean 'mixtconv.table2'"):
        load_reference("mixtconv.tabel2")


def test_table_2_is_quoted_as_printed() -> None:
    rows = load_reference("mixtconv.table2")["rows"]
    assert [rows[v]["top1"] for v in TABLE2] == [
        19.7,
        41.0,
        45.6,
        45.9,
        46.3,
        45.8,
        45.8,
        46.4,
        46.7,
        46.4,
    ]
    assert [rows[v]["gmacs"] for v in TABLE2] == [
        33,
        43,
        33,
        33.13,
        33.23,
        33.32,
        33.09,
        33.13,
        33.18,
        33.13,
    ]


@pytest.mark.parametrize(
    "name", ["table1.jester", "table3", "table4.something_v1", "table4.something_v2", "table5"]
)
def test_every_table_of_the_paper_has_rows(name: str) -> None:
    table = load_reference(f"mixtconv.{name}")
    assert table["paper"].startswith("MixTConv")
    assert all("top1" in row for row in table["rows"].values())


def test_only_ordinary_and_inner_are_not_reproduced() -> None:
    """FACTS section 1, exact added MACs; ordinary at its nearest candidate, `inner`."""
    table2, table3 = load_reference("mixtconv.table2"), load_reference("mixtconv.table3")
    computed = {**ADDED, "ordinary": 7_707_000_000}
    assert [v for v in TABLE2 if not is_reproduced(table2, v, computed[v])] == ["ordinary"]
    assert is_reproduced(table3, "head", 4 * TAP) is True
    assert is_reproduced(table3, "inner", 4 * 15_253_504) is False
    assert is_reproduced(table2, "ks3", None) is None
    assert is_reproduced(table2, "my_own", 5) is None


def test_the_unit_of_the_last_digit_is_the_printed_one() -> None:
    table = load_reference("mixtconv.table2")
    assert added_gmacs(table, "ordinary") == (10, 1.0)
    added, unit = added_gmacs(table, "ks5") or (0, 0)
    assert (round(added, 9), unit) == (0.23, 0.01)


def test_a_record_survives_json() -> None:
    assert study_from_json(json.loads(json.dumps(to_json(full_study())))) == full_study()


class FakeStore:
    """Stands in for the tracking store's reader and recorder: what the command needs of them."""

    def __init__(self) -> None:
        self.records = {"kernel_sizes": small_study()}
        self.attached: list[tuple[str, Path]] = []

    def studies(self) -> list[str]:
        return list(self.records)

    def load_study(self, name: str) -> StudyRecord:
        if name not in self.records:
            raise TrackingError(f"no study {name!r}; did you mean 'kernel_sizes'?")
        return self.records[name]

    def attach_report(self, name: str, folder: Path) -> None:
        self.attached.append((name, folder))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, no_figures: None) -> FakeStore:
    made = FakeStore()
    tracking = types.ModuleType("harness.tracking.store")
    tracking.Store = types.SimpleNamespace(open=lambda uri, create: made)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "harness.tracking.store", tracking)
    monkeypatch.setattr("harness.tracking.recorder.Recorder", lambda store: store)
    return made


def test_the_command_writes_attaches_and_lists(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path)]) == 0
    assert store.attached == [("kernel_sizes", tmp_path / "kernel_sizes")]
    assert (tmp_path / "README.md").exists()
    assert str(tmp_path / "kernel_sizes" / "index.html") in capsys.readouterr().out


def test_an_unknown_study_is_one_line_and_exit_code_2(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path), "--study", "kernel_size"]) == 2
    assert capsys.readouterr().err == "error: no study 'kernel_size'; did you mean 'kernel_sizes'?\n"


def test_an_empty_store_is_one_line_and_exit_code_2(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.records.clear()
    assert main(["--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the tracking store holds no study; run one first")
    assert error.count("\n") == 1


def test_one_broken_study_does_not_keep_the_others_from_being_reported(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.records = {
        "bad": dataclasses.replace(small_study(), name="bad", reference="nothing.like.it"),
        "kernel_sizes": small_study(),
    }
    assert main(["--out", str(tmp_path)]) == 2
    assert (tmp_path / "kernel_sizes" / "README.md").exists()
    assert not (tmp_path / "bad").exists()
    assert capsys.readouterr().err.startswith("error: reference: no table 'nothing.like.it'")


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = (
        "import sys, harness.report.__main__ as r\n"
        "try: r.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'mlflow', 'ray', 'scipy', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--tracking-uri" in done.stdout


def test_a_report_that_is_current_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr(figures, "draw", lambda summary, folder: drawn.append(folder) or [])
    folder = write_study(small_study(), tmp_path)
    write_study(small_study(), tmp_path)
    assert len(drawn) == 1
    (folder / "results.csv").write_text("changed by hand")
    write_study(small_study(), tmp_path)
    assert len(drawn) == 2
    assert "changed by hand" not in (folder / "results.csv").read_text()
    monkeypatch.setattr(write, "CODE", write.CODE[:-1])  # other code
    write_study(small_study(), tmp_path)
    assert len(drawn) == 3
