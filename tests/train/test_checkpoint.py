"""A trial goes on from its last checkpoint as if never stopped, and refuses one that it cannot go on from."""

from __future__ import annotations

import os
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.training import DATA, job, same_weights, settings
from torch import Tensor

from harness.data.dataset import DataSet, open_data
from harness.errors import TrainingError
from harness.train.checkpoint import set_damaged_aside
from harness.train.loop import fit
from harness.train.trial import run_trial
from operators import TemporalOp

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> DataSet:
    return open_data(DATA, tiny_data)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_resumed_trial_ends_with_the_same_weights_bit_for_bit(
    data: DataSet, tmp_path: Path, optimizer: str
) -> None:
    s = settings(epochs=3, optimizer=optimizer, schedule="one_cycle", lr=0.01)
    whole, history, tested = fit(s, 0, data, CPU)

    def stop_in_epoch_3(entry: dict[str, float]) -> None:
        if entry["epoch"] == 3:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(s, 0, data, CPU, checkpoint=checkpoint, on_epoch=stop_in_epoch_3)
    torch.rand(7)  # whatever the process did in between
    seen: list[float] = []
    resumed, again, resumed_tested = fit(
        s, 0, data, CPU, checkpoint=checkpoint, on_epoch=lambda entry: seen.append(entry["epoch"])
    )
    assert same_weights(whole, resumed)
    assert np.array_equal(tested.scores, resumed_tested.scores)
    assert seen == [1, 2, 3]
    for a, b in zip(history.history, again.history, strict=True):
        timing = {"time/epoch_s", "train/clips_per_s"}
        assert {k: v for k, v in a.items() if k not in timing} == {
            k: v for k, v in b.items() if k not in timing
        }


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("no checkpoint")
    elif how == "bytes changed":
        path.write_bytes(content[:40] + bytes(200) + content[240:])
    elif how == "of something else":
        torch.save({"weights": torch.zeros(3)}, path)
    elif how == "edited":  # as torch reads it, with nothing of the past and no state of the optimiser
        saved = torch.load(path, weights_only=True)
        torch.save(saved | {"history": [], "optimizer": {"state": {}, "param_groups": []}}, path)


WAY_OUT = r"checkpoint\.pt: a .*; with --force the trial starts over$"


@pytest.fixture(scope="module")
def checkpoint(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.pt"
    fit(settings(epochs=1), 0, data, CPU, checkpoint=path)
    return path


@pytest.mark.parametrize("how", ["cut", "empty", "text", "bytes changed", "of something else", "edited"])
def test_a_damaged_or_edited_checkpoint_is_set_aside_and_the_trial_starts_over(
    data: DataSet, tiny_data: Path, tmp_path: Path, checkpoint: Path, how: str
) -> None:
    folder = tmp_path / "trials" / "0123"
    folder.mkdir(parents=True)
    shutil.copy(checkpoint, folder / "checkpoint.pt")
    damage(folder / "checkpoint.pt", how)
    harmed = (folder / "checkpoint.pt").read_bytes()
    record = run_trial(job(folder, tiny_data, settings(epochs=1)))
    assert record.status == "done"
    aside = tmp_path / "trials" / "0123-checkpoint.pt.damaged"
    assert record.environment["note"] == (
        f"its checkpoint was not as it was saved: it is {aside.name} now, and the trial started over"
    )
    assert aside.read_bytes() == harmed
    assert np.array_equal(
        np.load(folder / "scores.npz")["scores"], fit(settings(epochs=1), 0, data, CPU)[2].scores
    )


def test_whatever_stands_where_a_checkpoint_does_is_set_aside_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "checkpoint.pt").mkdir()
    os.mkfifo(tmp_path / "b" / "checkpoint.pt")
    for name in ("a", "b"):
        words = f"its checkpoint was not as it was saved: it is {name}-checkpoint.pt.damaged now"
        assert set_damaged_aside(tmp_path / name / "checkpoint.pt").startswith(words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"operator": {"name": "identity"}},
            r"another network \(unknown layer1\.0\.temporal\.\S+ and \d+ more\)",
        ),
        (
            {"operator": {"name": "mixtconv", "kernel_sizes": [3, 5, 7]}},
            r"another network \(.*layer1\.0\.temporal\.",
        ),
        ({"optimizer": "adamw"}, "another optimiser or grouping"),
        ({"groups": "tsm"}, "another optimiser or grouping"),
        ({"freeze_batch_norm": "all"}, "another optimiser or grouping"),
    ],
)
def test_a_checkpoint_of_another_architecture_is_one_line_that_says_what_to_do(
    data: DataSet, checkpoint: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(TrainingError, match=words) as caught:
        fit(settings(epochs=2, **changes), 0, data, CPU, checkpoint=checkpoint)
    assert re.search(WAY_OUT, str(caught.value))
    assert "\n" not in str(caught.value)


class Dice(TemporalOp):
    """Draws from three generators in training, and lets the draws decide what it passes on."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (1 + 0.1 * (torch.rand(1).item() + np.random.rand() + random.random()))


def test_an_operator_that_draws_goes_on_drawing_what_it_would_have(data: DataSet, tmp_path: Path) -> None:
    """No random state is saved: each epoch starts from seeds of its own."""
    s = settings({"name": "test_checkpoint.Dice"}, epochs=3)
    whole, _, _ = fit(s, 0, data, CPU)

    def stop_in_epoch_3(entry: dict[str, float]) -> None:
        if entry["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(s, 0, data, CPU, checkpoint=tmp_path / "c.pt", on_epoch=stop_in_epoch_3)
    torch.rand(7), np.random.rand(7), random.random()  # whatever the process did in between
    resumed, _, _ = fit(s, 0, data, CPU, checkpoint=tmp_path / "c.pt")
    assert same_weights(whole, resumed)
    other, _, _ = fit(settings(epochs=3), 0, data, CPU)
    assert not torch.equal(whole.fc.weight, other.fc.weight)
