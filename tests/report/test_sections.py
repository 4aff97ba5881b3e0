"""A page's sections: the answer, what failed or is missing, how it was trained, how to run it again."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from builders.studies import (
    failed,
    row_of,
    small_study,
    study,
    table_of,
    text_of,
    trial,
)

from harness.analysis.summary import summarize
from harness.records import UNCHECKED, to_json
from harness.report.write import read_record, write_study


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


def test_the_answer_names_the_best_its_interval_and_the_runner_up(full_page: str) -> None:
    answer = next(line for line in full_page.splitlines() if "has the highest mean" in line)
    assert answer.startswith("`ks1357` has the highest mean top-1: 97.0 ±")
    assert "against the baseline `tsn`, which is more than luck of training explains" in answer
    assert "It leads the next, `ks357`, by +0.2 points [" in answer
    assert "do not tell the two apart" in answer
    assert "of 9 variants: 9 better." in answer


def test_a_complete_study_misses_nothing(full_page: str) -> None:
    assert "Nothing: all 30 trials of the plan finished." in full_page


def test_classes_stand_in_rows_unless_there_are_more_variants(full_page: str, tmp_path: Path) -> None:
    header, _, first, *_ = table_of(full_page.split("## Accuracy per class")[1].split("\n\n", 1)[1], "")
    assert header == ["variant", "left to right (short)", "right to left (short)", "red \\| blue (static)"]
    assert first[0] == "`tsn`"
    few = text_of(small_study(), tmp_path).split("## Accuracy per class")[1]
    assert "| class | group | `tsn` | `ks3` |" in few
    assert "| left to right | short | 22.0 ± 5.0 | 73.0 ± 7.5 |" in few  # t of 2 degrees: 4.303 * 2 / sqrt(3)


def test_one_epoch_is_no_curve(tmp_path: Path) -> None:
    last = [trial("tsn", seed, 22.0, history=[{"epoch": 3.0, "val/top1": 22.0}]) for seed in (0, 1, 2)]
    folder = write_study(study(last, ["tsn"]), tmp_path)
    assert not (folder / "figures" / "learning_curves.svg").exists()


def test_figures_of_the_full_study_are_all_there(full_report: Path) -> None:
    folder = full_report / "figures"
    names = {f"accuracy_{by}" for by in ("macs", "parameters", "latency", "kernel_size", "groups")}
    names |= {"differences", "learning_curves", "class_gains", "confusion", "cost"}
    assert {file.name for file in folder.iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("svg", "png")
    }


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
    assert "It leads the next, `ks3`, by +9.9 points [9.7, 10.1] (n=3)" in text
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
    taps = {"operator": "layer1.0.temporal", "stage": 1, "offsets": [-1, 0, 1], "channels": [0]}
    taps |= {"initial": [[0.0, 1.0, 0.0]], "final": [[0.1, 0.9, 0.0]], "moved": 0.14}
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


def test_values_that_differ_between_trials_are_given_as_a_range(full_page: str) -> None:
    assert "| peak memory of a trial [MiB] | 400 to 402 |" in full_page
    assert "| commit | abc1234 |" in full_page


def test_operators_are_named_with_where_they_were_published(full_page: str) -> None:
    """Oldest first; none is said of a network without one."""
    part = full_page.split("<summary>papers of the operators</summary>")[1].split("</details>")[0]
    assert "| TSM | ICCV 2019 | `tsm` |" in part
    assert "| MixTConv | ICPR 2020 | `ks13`, `ks135`, `ks1357`, `ks357` |" in part
    assert part.index("TSM") < part.index("MixTConv")
    assert "tsn" not in part


def test_the_time_that_trials_took_is_told_where_it_is_known(
    tmp_path: Path, full_page: str, no_figures: None
) -> None:
    """40 s, 10 min and 2 h are 7,840 s, or 2.2 h; a trial that failed has none."""
    trials = [trial("tsn", seed, 50.0, seconds=took) for seed, took in enumerate((40.0, 600.0, 7200.0))]
    text = text_of(study([*trials, failed("ks3", 0)], ["tsn", "ks3"]), tmp_path)
    assert "| time of a trial | 40 s to 2.0 h, 3 trials together 2.2 h; epochs alone, beside" in text
    assert "time of a trial" not in full_page


@pytest.mark.usefixtures("no_figures")
def test_batch_statistics_and_unchecked_operators_are_named_and_nothing_is_said_without_them(
    tmp_path: Path,
) -> None:
    plain = small_study()
    name = plain.variants[-1]
    costs = plain.costs | {name: dataclasses.replace(plain.costs[name], batch_statistics=True)}
    trials = [
        dataclasses.replace(one, environment=one.environment | {"contract": UNCHECKED})
        if one.variant == name
        else one
        for one in plain.trials
    ]
    told = dataclasses.replace(plain, name="told", costs=costs, trials=trials)
    before, after = ((write_study(one, tmp_path) / "README.md").read_text() for one in (plain, told))
    mixing = f"Uses batch statistics, in which the clips of a batch meet in training: `{name}`."
    untried = f"was not tried (--unchecked), so it may mix clips: `{name}`"
    assert (mixing in before, untried in before) == (False, False)
    assert (mixing in after, untried in after) == (True, True)
    assert "batch_statistics" not in json.dumps(to_json(plain))
    assert read_record(tmp_path / "told" / "results.json") == told
