"""The Python door: the examples of docs/python.md run as they stand, and give the study's own numbers."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.place import ROOT, TINY, Workplace
from builders.studies import small_study

from harness.errors import StudyError, TrackingError
from harness.report.predictions import record_of
from harness.report.write import read_record, write_study
from harness.results import load

FINISHED = ROOT / "reports" / "reference" / "initialization"


def examples() -> list[str]:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_three_examples_of_the_docs_run(ready: Workplace, no_trial_figures: None) -> None:
    mix = {"model.operator": {"name": "mixtconv", "kernel_sizes": [1, 3, 5, 7]}}
    variants = {"tsn": TINY["variants"]["tsn"], "ks1357": mix}
    assert ready.run(ready.study("smoke", variants=variants)).code == 0
    known: dict[str, Any] = {}
    assert len(examples()) == 3
    for example in examples():
        exec(compile(example, "docs/python.md", "exec"), known)
    trials = {trial.variant: trial for trial in ready.load("smoke").trials}
    assert list(known["table"].index) == ["tsn", "ks1357"]
    for variant, trial in trials.items():
        assert known["table"].loc[variant, "top1_mean"] == trial.last["top1"]
        mine = known["predictions"].query("variant == @variant")
        assert 100 * mine["right"].mean() == pytest.approx(trial.last["top1"])
        assert list(mine["clip"]) == trial.predictions["clip"]
    assert known["scores"].shape == (2, 16)
    assert np.array_equal(known["scores"][0], known["scores"][1])
    assert Path("smoke.csv").is_file()
    with pytest.raises(TrackingError, match="no finished trial of seed 3"):
        known["study"].network("ks1357", seed=3)


def test_predictions_written_as_csv_give_the_record_back(tmp_path: Path) -> None:
    study = read_record(FINISHED / "results.json")
    file = tmp_path / "all.csv"
    load(str(FINISHED)).predictions().to_csv(file, index=False)
    back = record_of([file], name="x", baseline=study.baseline)
    assert back.variants == study.variants
    assert {(t.variant, t.seed): t.last["top1"] for t in back.trials} == {
        (t.variant, t.seed): t.last["top1"] for t in study.trials
    }


def test_the_table_has_the_numbers_of_the_committed_csv() -> None:
    table = load(str(FINISHED / "results.json")).table()
    with (FINISHED / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == list(table.index)
    for row in rows:
        mine = table.loc[row["variant"]]
        assert mine["verdict"] == row["verdict"]
        for name in ("top1_mean", "top1_n", "params_added", "macs_total"):
            assert float(mine[name]) == float(row[name]), name


def test_what_is_not_there_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.report.figures.draw", lambda summary, folder: [])
    with pytest.raises(StudyError, match="gone/results: there is no such file or folder"):
        load("gone/results")
    folder = write_study(small_study(), tmp_path)
    with pytest.raises(TrackingError, match="a report's folder holds no networks; load it from its store"):
        load(str(folder)).network("ks3")
