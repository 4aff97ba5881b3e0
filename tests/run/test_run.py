"""A study, run by the command a user types: what it prints, writes and returns, also where trials fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from builders.own import OWN, operators
from builders.place import TINY, Workplace

pytestmark = pytest.mark.usefixtures("no_trial_figures")


def no_terminal_codes(text: str) -> bool:
    return "\x1b" not in text and "\r" not in text


def test_a_study_asked_twice_runs_once(ready: Workplace) -> None:
    study = ready.study()
    first = ready.run(study)
    assert (first.code, first.err) == (0, "")
    assert "plan     2 variants x 1 seed = 2 trials; 0 done before, 2 to run" in first.out
    assert "[2/2] ks13 seed=0" in first.out
    assert no_terminal_codes(first.out)
    second = ready.run(study)
    assert (second.code, second.err) == (0, "")
    assert "2 done before, 0 to run" in second.out
    assert "seed=0" not in second.out
    assert first.out.splitlines()[-6:] == second.out.splitlines()[-6:]
    assert len(ready.runs()) == 2


def test_a_tracked_trial_leaves_nothing_in_the_data_folder(ready: Workplace) -> None:
    """A store that is deleted is started anew: no result comes back from a cache behind the user's back."""
    study = ready.study()
    ready.run(study)
    for trial in ready.load().trials:
        assert not (ready.data / "trials" / trial.trial_id).exists()


def test_a_longer_list_of_variants_runs_only_the_new_one(ready: Workplace) -> None:
    ready.run(ready.study())
    more = {**TINY["variants"], "tsm": {"model.operator": {"name": "shift"}}}
    again = ready.run(ready.study(variants=more))
    assert "3 trials; 2 done before, 1 to run" in again.out
    assert "[1/1] tsm seed=0" in again.out


def test_force_runs_again_and_leaves_one_result_a_trial(ready: Workplace) -> None:
    study = ready.study()
    ready.run(study)
    before = {run.info.run_id for run in ready.runs()}
    outcome = ready.run(study, "--force", "--variants", "tsn")
    assert (
        "0 done before, 1 to run again (--force), 1 left out by --variants or --seeds (1 of them done)"
        in outcome.out
    )
    after = ready.runs()
    assert [run.info.run_name for run in after] == ["ks13-s0", "tsn-s0"]
    assert len(before & {run.info.run_id for run in after}) == 1


def test_chosen_variants_run_and_the_others_stay_in_the_table(ready: Workplace) -> None:
    outcome = ready.run(ready.study(), "--variants", "ks13")
    assert outcome.code == 0
    assert re.search(r"^tsn +none of 1 done ", outcome.out, re.MULTILINE)
    assert "nothing to compare" in outcome.out
    assert {t.variant: t.status for t in ready.load().trials} == {"tsn": "missing", "ks13": "done"}


def test_new_seeds_join_the_studys(ready: Workplace) -> None:
    study = ready.study(seeds=[0, 1])
    outcome = ready.run(study, "--seeds", "1,7", "--variants", "tsn")
    assert "2 variants x 3 seeds = 6 trials; 0 done before, 2 to run, 4 left out" in outcome.out
    done = [(t.variant, t.seed) for t in ready.load().trials if t.status == "done"]
    assert done == [("tsn", 1), ("tsn", 7)]


def test_a_set_value_makes_other_trials(ready: Workplace) -> None:
    study = ready.study()
    ready.run(study)
    assert "0 done before, 2 to run" in ready.run(study, "--set", "train.lr=0.5").out
    assert "2 done before, 0 to run" in ready.run(study, "--set", "train.workers=1").out


def test_a_sweep_runs_every_variant_at_each_value(ready: Workplace) -> None:
    sweep = [
        {"data.dataset.train_clips": 16, "train.epochs": 2},
        {"data.dataset.train_clips": 32, "train.epochs": 1},
    ]
    study = ready.study(sweep=sweep)
    outcome = ready.run(study, "--variants", "ks13")
    assert outcome.code == 0, outcome.err
    assert (
        "plan     2 variants x 2 train_clips x 1 seed = 4 trials; 0 done before, 2 to run, 2 left"
        in outcome.out
    )
    assert "each     1 cpu, 0 gpu, 1 to 2 epochs of resnet_tiny\n" in outcome.out
    record = ready.load()
    assert {t.variant: len(t.history) for t in record.trials} == {
        "tsn@16": 0,
        "tsn@32": 0,
        "ks13@16": 2,
        "ks13@32": 1,
    }
    assert record.sweep["rows"]["ks13"] == {"16": "ks13@16", "32": "ks13@32"}
    again = ready.run(study, "--variants", "tsn@16,ks13")
    assert "4 trials; 2 done before, 1 to run, 1 left out by --variants or --seeds\n" in again.out


def test_a_part_without_the_chosen_variant_is_left_out(place: Workplace) -> None:
    study = place.study(parts={"both": {}, "one": {"variants": ["tsn"]}})
    outcome = place.run(study, "--variants", "ks13", "--dry-run")
    assert "study    tiny-both: " in outcome.out
    assert "tiny-one" not in outcome.out
    assert place.run(study, "--variants", "ks3", "--dry-run").err == (
        "error: --variants: no variant 'ks3'; did you mean 'ks13'?\n"
    )


def test_a_trial_that_another_study_of_the_store_has_done_is_not_trained_again(ready: Workplace) -> None:
    assert ready.run(ready.study()).code == 0
    more = {**TINY["variants"], "shift": {"model.operator": {"name": "shift"}}}
    variants = {"none": more.pop("tsn"), **more}  # the same trial by another name
    other = ready.study("other", baseline="none", variants=variants)
    outcome = ready.run(other)
    assert outcome.code == 0, outcome.err
    assert "3 trials; 2 done before, 1 to run\n" in outcome.out
    assert "reused   2 of `tiny`: the same trials, done there\n" in outcome.out
    assert [run.info.run_name for run in ready.runs("other")] == ["shift-s0"]
    mine, theirs = ready.load("other"), ready.load()
    assert [(t.variant, t.status) for t in mine.trials] == [
        ("none", "done"),
        ("ks13", "done"),
        ("shift", "done"),
    ]
    assert mine.trials[0].last == theirs.trials[0].last
    assert [t.environment.get("trials taken over from") for t in mine.trials] == ["tiny", "tiny", None]


def test_a_preset_is_a_study_of_its_own(ready: Workplace) -> None:
    study = ready.study("my-tiny", presets={"long": {"train.epochs": 2}})
    assert ready.run(study, "--preset", "long").code == 0
    record = ready.load("my-tiny-long")
    assert [len(t.history) for t in record.trials] == [2, 2]
    assert (record.file, record.preset, record.part) == ("my-tiny.yaml", "long", "")


def test_the_parts_of_a_study_run_one_after_the_other_as_studies_of_their_own(ready: Workplace) -> None:
    parts = {"low": {"train.lr": 0.001}, "high": {"train.lr": 0.01}}
    study = ready.study(parts=parts)
    outcome = ready.run(study, "--parts", "high", "--variants", "tsn")
    assert outcome.code == 0, outcome.err
    assert "study    tiny-high: " in outcome.out
    assert "tiny-low" not in outcome.out
    outcome = ready.run(study, "--variants", "tsn")
    assert outcome.code == 0, outcome.err
    assert (
        "2 variants x 1 seed = 2 trials; 0 done before, 1 to run"
        in outcome.out.split("study    tiny-high")[0]
    )
    assert (
        "2 variants x 1 seed = 2 trials; 1 done before, 0 to run"
        in outcome.out.split("study    tiny-high")[1]
    )
    low, high = ready.load("tiny-low"), ready.load("tiny-high")
    assert [record.settings["tsn"]["train"]["lr"] for record in (low, high)] == [0.001, 0.01]


def test_an_operator_in_the_working_directory_is_found(ready: Workplace) -> None:
    (ready.folder / "own_here.py").write_text(OWN)
    (ready.folder / "elsewhere").mkdir()
    variants = TINY["variants"] | {"own": {"model.operator": {"name": "own_here.Fine"}}}
    study = ready.study(variants=variants).rename(ready.folder / "elsewhere" / "tiny.yaml")
    assert ready.run(study).code == 0


def test_failed_trials_are_kept_with_their_reasons_and_the_others_go_on(ready: Workplace) -> None:
    variants = operators(ready, broken="Broken", hungry="Hungry", fine="Fine")
    variants["hot"] = {"model.operator": {"name": "shift"}, "train.lr": 1e30, "train.epochs": 2}
    outcome = ready.run(ready.study(variants=variants), "--unchecked")
    assert (outcome.code, outcome.err) == (1, "")
    trials = {t.variant: t for t in ready.load().trials}
    assert {name: t.status for name, t in trials.items()} == {
        "tsn": "done",
        "broken": "failed",
        "hungry": "failed",
        "fine": "done",
        "hot": "failed",
    }
    assert trials["broken"].reason == "ValueError: no idea"
    assert trials["hungry"].reason.startswith("out of memory at batch_size 16; try train.micro_batch: 8")
    assert re.match(r"diverged: loss is \w+ at epoch \d, step \d; try a lower train.lr", trials["hot"].reason)
    for name in ("broken", "hungry", "hot"):
        assert f"failed   {name} seed=0: {trials[name].reason}" in outcome.out
    broken = next(run for run in ready.runs() if run.info.run_name == "broken-s0")
    artifact = ready.client().download_artifacts(broken.info.run_id, "traceback.txt", str(ready.folder))
    assert "raise ValueError" in Path(artifact).read_text()


def test_a_failed_trial_is_run_again_when_asked_again(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = ready.study(variants=operators(ready, broken="Broken"))
    ready.run(study, "--unchecked")
    again = ready.run(study, "--unchecked")
    assert "1 done before, 1 to run" in again.out
    assert again.code == 1
    monkeypatch.setenv("MENDED", "1")
    mended = ready.run(study)
    assert mended.code == 0
    assert [(run.info.run_name, run.info.status) for run in ready.runs()] == [
        ("broken-s0", "FINISHED"),
        ("tsn-s0", "FINISHED"),
    ]
    assert "failed   broken" not in mended.out
