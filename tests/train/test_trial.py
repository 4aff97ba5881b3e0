"""A trial: what it leaves in its folder, what its seconds went to, and why it failed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.training import DATA, job, same_weights, settings

from harness.data.dataset import DataSet, open_data
from harness.errors import TrainingError
from harness.model.mstnet import MSTNet
from harness.train.loop import fit
from harness.train.result import saved_result
from harness.train.trial import reason_of, run_trial
from operators import TemporalOp

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> DataSet:
    return open_data(DATA, tiny_data)


def test_a_trial_says_what_its_seconds_went_to(data: DataSet, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"

    def stop_in_epoch_2(entry: dict[str, float]) -> None:
        if entry["epoch"] == 2:
            raise KeyboardInterrupt

    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        fit(settings(epochs=3), 0, data, CPU, checkpoint=checkpoint, on_epoch=stop_in_epoch_2)
    before = torch.load(checkpoint, weights_only=True)["spent"]  # torch finds the end of its part
    _, state, _ = fit(settings(epochs=3), 0, data, CPU, checkpoint=checkpoint)
    names = {"start", "data", "input", "forward", "backward", "optimizer", "evaluate", "report", "save"}
    assert set(state.spent) == names
    assert all(
        0 < before[name] < state.spent[name] for name in names - {"save"}
    )  # the checkpoint does not hold its own
    assert sum(state.spent.values()) <= time.perf_counter() - begin
    assert sum(state.spent.values()) >= sum(entry["time/epoch_s"] for entry in state.history)


def test_a_finished_trial_leaves_its_result_and_no_checkpoint(
    tiny_data: Path, data: DataSet, tmp_path: Path
) -> None:
    record = run_trial(job(tmp_path / "trial", tiny_data, settings()))
    assert record.status == "done"
    assert sorted(p.name for p in (tmp_path / "trial").iterdir()) == ["model.pt", "result.json", "scores.npz"]
    assert saved_result(tmp_path / "trial") == record
    network = MSTNet(settings().model, 4, 16)
    network.load_state_dict(torch.load(tmp_path / "trial" / "model.pt", weights_only=True))
    assert same_weights(network, fit(settings(), 0, data, CPU)[0])
    scores = np.load(tmp_path / "trial" / "scores.npz")["scores"]
    labels = np.array(record.predictions["label"])
    assert scores.shape == (16, 16)
    assert record.predictions["predicted"] == scores.argmax(1).tolist()
    assert record.last["top1"] == 100 * (scores.argmax(1) == labels).mean()
    assert record.history[-1]["val/top1"] == record.last["top1"]
    assert record.best["top1"] == max(entry["val/top1"] for entry in record.history)
    assert set(record.per_class) == set(data.classes)
    assert record.predictions["clip"][0] == data.split("val").clips[0].id


def test_a_loss_that_is_no_number_fails_the_trial_with_advice(
    tiny_data: Path, data: DataSet, tmp_path: Path
) -> None:
    record = run_trial(job(tmp_path / "trial", tiny_data, settings(lr=1e30, clip_gradient=0.0)))
    assert record.status == "failed"
    assert "loss is" in record.reason
    assert "try a lower train.lr" in record.reason
    assert "TrainingError" in (tmp_path / "trial" / "traceback.txt").read_text()
    assert saved_result(tmp_path / "trial") is None


def test_a_trial_that_asks_for_a_gpu_where_none_is_does_not_fall_back(
    tiny_data: Path, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    record = run_trial(job(tmp_path / "trial", tiny_data, settings(), gpus=1))
    assert record.status == "failed"
    assert "sees no GPU" in record.reason


OUT_OF_MEMORY = (
    "out of memory at batch_size 8; try train.micro_batch: 4, which keeps the batch, or train.batch_size: 4"
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), OUT_OF_MEMORY),
        (MemoryError(), OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), OUT_OF_MEMORY),
        (IndexError("list index out of range\nmore"), "IndexError: list index out of range"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (TrainingError("loss is nan"), "loss is nan"),
    ],
)
def test_the_reason_of_a_failure_is_one_line_with_advice(error: Exception, reason: str) -> None:
    assert reason_of(error, settings()) == reason


class Squeezes(TemporalOp):
    """Normalises one value a channel: batch norm on 1x1 features."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.norm = torch.nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = x.mean(dim=(1, 3, 4))[..., None, None]  # (N, C, 1, 1)
        return x + self.norm(pooled)[:, None]


@pytest.mark.parametrize(
    ("recipe", "ranks", "words"),
    [
        ({"batch_size": 1}, 1, "sees 1 clip at once; use a larger train.batch_size, or"),
        ({"batch_size": 2}, 2, "sees 1 clip at once; use a larger train.batch_size, or"),
        ({"batch_size": 8, "micro_batch": 1}, 1, "sees 1 clip at once; use a larger train.micro_batch, or"),
    ],
)
def test_batch_norm_over_one_value_is_one_line_that_names_operator_and_setting(
    recipe: dict[str, Any], ranks: int, words: str
) -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel") as caught:
        Squeezes(6, 4)(torch.ones(1, 4, 6, 5, 3))
    reason = reason_of(caught.value, settings(**recipe), ranks)
    name = settings().model.operator["name"]
    assert reason.startswith(
        f"operator {name}: BatchNorm2d(6) has one value a channel to normalise, since a process"
    )
    assert words in reason
    with pytest.raises(ValueError, match="more than 1 value per channel") as caught:
        torch.nn.BatchNorm2d(3).train()(torch.ones(1, 3, 1, 1))
    assert reason_of(caught.value, settings(**recipe), ranks).startswith(
        "backbone resnet_tiny: BatchNorm2d(3) has"
    )


@pytest.mark.parametrize(
    ("recipe", "ranks", "advice"),
    [
        ({"batch_size": 64}, 8, "try train.micro_batch: 4, which keeps the batch, or train.batch_size: 32"),
        ({"batch_size": 64, "micro_batch": 6}, 1, "try train.micro_batch: 3, which"),
        ({"batch_size": 64, "micro_batch": 1}, 1, "try train.batch_size: 32"),
    ],
)
def test_advice_on_memory_counts_the_clips_that_a_device_has_at_once(
    recipe: dict[str, Any], ranks: int, advice: str
) -> None:
    assert advice in reason_of(MemoryError(), settings(**recipe), ranks)


def test_settings_are_plain_json() -> None:
    from harness.train.settings import plain

    flat = plain(settings())
    assert json.loads(json.dumps(flat)) == flat
    assert flat["model"]["operator"] == {"name": "mixtconv"}
