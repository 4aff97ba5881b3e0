"""A run and its report where not every epoch is validated."""

from __future__ import annotations

import json
from pathlib import Path

from builders.place import TINY, Workplace
from builders.training import job, settings

from harness.report.write import write_study
from harness.run.printer import Printer


def test_the_bar_of_an_epoch_that_was_not_validated_shows_no_accuracy(
    tiny_data: Path, tmp_path: Path
) -> None:
    one = job(tmp_path, tiny_data, settings(epochs=2, validate_every=0))
    printer = Printer([one])
    printer.started(one)
    texts = []
    for entry in ({"epoch": 1.0, "train/top1": 9.0}, {"epoch": 2.0, "val/top1": 62.5}):
        printer.epoch(one, entry, new=True)
        texts.append([task.fields["text"] for task in printer._bars.tasks][-1])
    assert texts == ["epoch 1/2", "epoch 2/2  top1 62.5 %"]


def test_a_study_that_validates_once_is_run_and_reported(ready: Workplace, tmp_path: Path) -> None:
    study = ready.study(train=TINY["train"] | {"epochs": 2, "validate_every": 0, "label_smoothing": 0.1})
    assert ready.run(study).code == 0
    record = ready.load()
    assert [["val/top1" in entry for entry in trial.history] for trial in record.trials] == [
        [False, True]
    ] * 2
    report = write_study(record, tmp_path)
    page = (report / "README.md").read_text()
    assert "after the last epoch only, center_1clip" in page
    assert "labels smoothed by 0.1" in page
    bands = json.loads((report / "results.json").read_text())["bands"]
    assert [band["epochs"] for band in bands] == [[2], [2]]
