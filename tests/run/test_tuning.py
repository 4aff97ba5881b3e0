"""A study that tunes, from the plan to the page: what is tried once is found again, then the seeds run."""

from __future__ import annotations

from typing import Any

import pytest
from builders.place import TINY, Workplace

from harness.report.document.blocks import Cell, Table
from harness.report.sections.tuning import section

pytestmark = pytest.mark.usefixtures("no_trial_figures")

RATES = {"train.lr": [0.001, 0.01]}
TRIED = ["ks13@0.001", "ks13@0.01", "tsn@0.001", "tsn@0.01"]


def lines(out: str, word: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in out.splitlines() if line.startswith(f"{word} ")]


def test_rows_are_tried_then_trained_at_what_suits_them_and_nothing_runs_twice(ready: Workplace) -> None:
    study = ready.study(tune=RATES, seeds=[0, 1])
    before = ready.run(study, "--dry-run")
    (plan,) = lines(before.out, "tune")
    assert plan == (
        "tiny: 2 rows x train.lr 0.001, 0.01 = 4 trials with seed 1000000, scored on 20 % of the training clips; "
        "0 done before, 4 to run"
    )
    assert lines(before.out, "plan") == ["2 variants x 2 seeds = 4 trials; 0 done before, 4 to run"]

    outcome = ready.run(study, "--seeds", "0", "--variants", "ks13")  # what is tried is tried for all rows
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(run.data.tags["variant"] for run in ready.runs()) == sorted([*TRIED, "ks13"])
    record = ready.load()
    chosen = record.tuning["chosen"]
    for row, there in record.tuning["tried"].items():
        assert there[chosen[row]]["top1"] == max(one["top1"] for one in there.values())
        assert record.settings[row]["train"]["lr"] == float(chosen[row])
        assert record.settings[row]["data"]["holdout"] == 0.0
    assert lines(outcome.out, "chosen") == [f"train.lr: tsn {chosen['tsn']}, ks13 {chosen['ks13']}"]

    tried = [run for run in ready.runs() if run.data.tags["variant"] in TRIED]
    assert {run.data.params["data.holdout"] for run in tried} == {"0.2"}
    assert {run.data.tags["seed"] for run in tried} == {"1000000"}

    outcome = ready.run(study)
    assert "4 done before, 0 to run" in lines(outcome.out, "tune")[0]
    assert lines(outcome.out, "plan") == ["2 variants x 2 seeds = 4 trials; 1 done before, 3 to run"]
    assert len(ready.runs()) == 8
    assert len(ready.load().trials) == 4
    after = ready.run(study, "--dry-run")
    assert lines(after.out, "chosen") == lines(outcome.out, "chosen")
    assert lines(after.out, "plan") == ["2 variants x 2 seeds = 4 trials; 4 done before, 0 to run"]

    (table,) = [block for block in section(ready.load()) if isinstance(block, Table)]
    assert table.header == ["row", "0.001 [%]", "0.01 [%]", "chosen"]
    assert [row[-1] for row in table.rows] == [chosen["tsn"], chosen["ks13"]]
    bold = [[isinstance(cell, Cell) for cell in row[1:-1]] for row in table.rows]
    assert bold == [[value == chosen[row] for value in ("0.001", "0.01")] for row in ("tsn", "ks13")]


@pytest.mark.slow
def test_what_was_tried_before_a_stop_is_not_tried_again(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.run import watch

    def interrupted(self: Any, job: Any, record: Any, ended: Any = watch.Watch.ended) -> None:
        ended(self, job, record)
        if len(self.ended_ids) == 2:
            raise KeyboardInterrupt

    study = ready.study(tune=RATES)
    with monkeypatch.context() as patch:
        patch.setattr(watch.Watch, "ended", interrupted)
        outcome = ready.run(study)
    assert outcome.code == 130
    assert "plan " not in outcome.out  # no seed runs at a value that nobody chose
    record = ready.load()
    assert record.tuning == {}
    assert {trial.status for trial in record.trials} == {"missing"}
    outcome = ready.run(study)
    assert (outcome.code, outcome.err) == (0, "")
    assert "2 done before, 2 to run" in lines(outcome.out, "tune")[0]
    assert sorted(run.data.tags["variant"] for run in ready.runs()) == sorted([*TRIED, "tsn", "ks13"])


@pytest.mark.slow
def test_a_value_that_cannot_be_trained_is_not_chosen(ready: Workplace) -> None:
    train = {**TINY["train"], "optimizer": "sgd", "clip_gradient": 0.0, "epochs": 2}
    outcome = ready.run(ready.study(tune={"train.lr": [0.01, 1e30]}, train=train))
    assert outcome.code == 0
    assert lines(outcome.out, "chosen") == ["train.lr: tsn 0.01, ks13 0.01"]
    assert [line.split(":")[0] for line in lines(outcome.out, "failed")] == [
        f"{row} with train.lr 1e+30" for row in ("tsn", "ks13")
    ]


def test_the_seed_with_which_values_are_tried_is_nobody_elses(ready: Workplace) -> None:
    outcome = ready.run(ready.study(tune=RATES), "--seeds", "1000000")
    assert (outcome.code, outcome.err) == (
        2,
        "error: --seeds 1000000: with that seed values are tried; use another\n",
    )
