"""The loop: against a plain loop written here, under interruption, and fair between variants."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.data import DataConfig, DataSet, TrainBatches, normalise, open_data
from harness.errors import TrainingError
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.train.loop import fit
from harness.train.recipe import TrainConfig, learning_rate
from harness.train.result import saved_result
from harness.train.settings import Settings
from harness.train.trial import Job, reason_of, run_trial
from operators import TemporalOp

DATASET = {"name": "generated", "train_clips": 32, "val_clips": 16, "width": 32, "height": 24}
DATA = DataConfig(dataset=DATASET, num_frames=4, short_side=24, crop=20)
CPU = torch.device("cpu")


def settings(operator: dict[str, Any] | None = None, **train: Any) -> Settings:
    train = {"epochs": 2, "batch_size": 8, "lr": 0.05, **train}
    model = ModelConfig(backbone="resnet_tiny", operator=operator or {"name": "mixtconv"})
    return Settings(model=model, data=DATA, train=TrainConfig(**train))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def data(data_dir: Path) -> DataSet:
    torch.set_num_threads(1)
    return open_data(DATA, data_dir)


def job(folder: Path, data_dir: Path, s: Settings, **change: Any) -> Job:
    return Job(trial_id="t", variant="v", seed=0, settings=s, data_dir=data_dir, folder=folder, **change)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_an_epoch_is_that_of_a_plain_loop(data: DataSet) -> None:
    """SGD with momentum, decay and clipping, written out; no dropout, whose masks are tested in test_model."""
    s = settings(epochs=1, momentum=0.9, weight_decay=0.01, clip_gradient=0.5)
    s = dataclasses.replace(s, model=dataclasses.replace(s.model, dropout=0.0))
    trained, _, _ = fit(s, 3, data, CPU)

    model = MSTNet(s.model, 4, 16, 3).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    velocity: dict[str, Tensor] = {}
    for clips, labels, *_ in TrainBatches(data.split("train"), 8, 3).epoch(0):
        model.zero_grad()
        log_p = model(normalise(clips)).log_softmax(1)
        (-log_p[torch.arange(len(labels)), labels].mean()).backward()
        parameters = {name: p for name, p in model.named_parameters() if p.grad is not None}
        norm = math.sqrt(sum(float(p.grad.pow(2).sum()) for p in parameters.values()))  # type: ignore[union-attr]
        for name, p in parameters.items():
            assert p.grad is not None
            step = p.grad * min(1.0, 0.5 / norm) + 0.01 * p.detach()
            velocity[name] = 0.9 * velocity[name] + step if name in velocity else step
            p.data -= 0.05 * velocity[name]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[name], value, rtol=1e-4, atol=1e-5)


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


WAY_OUT = r"checkpoint\.pt: a .*; delete the file, and the trial starts over$"


@pytest.fixture(scope="module")
def checkpoint(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.pt"
    fit(settings(epochs=1), 0, data, CPU, checkpoint=path)
    return path


@pytest.mark.parametrize("how", ["cut", "empty", "text", "bytes changed", "of something else"])
def test_a_damaged_checkpoint_is_one_line_that_says_what_to_do(
    data: DataSet, data_dir: Path, tmp_path: Path, checkpoint: Path, how: str
) -> None:
    shutil.copy(checkpoint, tmp_path / "checkpoint.pt")
    damage(tmp_path / "checkpoint.pt", how)
    record = run_trial(job(tmp_path, data_dir, settings(epochs=2)))
    assert record.status == "failed"
    assert "a damaged checkpoint (" in record.reason
    assert re.search(WAY_OUT, record.reason)
    assert (tmp_path / "checkpoint.pt").exists()  # whether to throw it away is not ours to decide


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"operator": {"name": "identity"}}, r"another network \(unknown layer1\.0\.temporal\.\S+ and \d+ more\)"),
        ({"operator": {"name": "mixtconv", "kernel_sizes": [3, 5, 7]}}, r"another network \(.*layer1\.0\.temporal\."),
        ({"optimizer": "adamw"}, "another optimiser or grouping"),
        ({"groups": "tsm"}, "another optimiser or grouping"),
        ({"freeze_batch_norm": "all"}, "another optimiser or grouping"),
    ],
)  # fmt: skip
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
    s = settings({"name": "test_loop.Dice"}, epochs=3)
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


def test_a_trial_says_what_its_seconds_went_to(data: DataSet, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"

    def stop_in_epoch_2(entry: dict[str, float]) -> None:
        if entry["epoch"] == 2:
            raise KeyboardInterrupt

    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        fit(settings(epochs=3), 0, data, CPU, checkpoint=checkpoint, on_epoch=stop_in_epoch_2)
    before = torch.load(checkpoint, weights_only=True)["spent"]
    _, state, _ = fit(settings(epochs=3), 0, data, CPU, checkpoint=checkpoint)
    names = {"start", "data", "input", "forward", "backward", "optimizer", "evaluate", "report", "save"}
    assert set(state.spent) == names
    assert all(
        0 < before[name] < state.spent[name] for name in names - {"save"}
    )  # the checkpoint does not hold its own
    assert sum(state.spent.values()) <= time.perf_counter() - begin
    assert sum(state.spent.values()) >= sum(entry["time/epoch_s"] for entry in state.history)


def test_the_same_seed_trains_the_same_network_and_another_seed_another(data: DataSet) -> None:
    first, _, _ = fit(settings(), 0, data, CPU)
    second, _, _ = fit(settings(), 0, data, CPU)
    other, _, _ = fit(settings(), 1, data, CPU)
    assert same_weights(first, second)
    assert not same_weights(first, other)


class Gambler(TemporalOp):
    """Passes clips on, and draws from torch's global generator meanwhile."""

    def forward(self, x: Tensor) -> Tensor:
        torch.rand(11)
        return x


def test_what_an_operator_draws_changes_nothing_for_the_others(data: DataSet) -> None:
    """Fair pairing: the same clips, crops, backbone start and dropout masks."""
    plain, _, plain_tested = fit(settings({"name": "identity"}), 0, data, CPU)
    gambled, _, tested = fit(settings({"name": "test_loop.Gambler"}), 0, data, CPU)
    assert same_weights(plain, gambled)
    assert np.array_equal(plain_tested.scores, tested.scores)


class FiveAxes(TemporalOp):
    """Holds a parameter of a shape that has no channels_last."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.scale = torch.nn.Parameter(torch.ones(1, 1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def test_an_operator_may_hold_parameters_of_any_shape(data: DataSet) -> None:
    _, state, _ = fit(settings({"name": "test_loop.FiveAxes"}, epochs=1), 0, data, CPU)
    assert len(state.history) == 1


def test_memory_format_changes_only_the_rounding(data: DataSet) -> None:
    _, last, _ = fit(settings(epochs=1, channels_last=True), 0, data, CPU)
    _, first, _ = fit(settings(epochs=1, channels_last=False), 0, data, CPU)
    assert last.history[0]["train/loss"] == pytest.approx(first.history[0]["train/loss"], rel=1e-3)


def test_bf16_trains_close_to_fp32(data: DataSet) -> None:
    _, half, _ = fit(settings(epochs=1, precision="bf16", lr=0.01), 0, data, CPU)
    _, full, _ = fit(settings(epochs=1, lr=0.01), 0, data, CPU)
    assert half.history[0]["train/loss"] == pytest.approx(full.history[0]["train/loss"], rel=0.05)
    assert half.history[0]["train/loss"] != full.history[0]["train/loss"]


def test_fp16_without_a_gpu_is_refused(data: DataSet) -> None:
    with pytest.raises(TrainingError, match="fp16 needs a GPU"):
        fit(settings(precision="fp16"), 0, data, CPU)


def test_step_schedule_is_the_papers() -> None:
    config = TrainConfig()
    rates = [learning_rate(config, epoch, 0, 100) for epoch in (0, 29, 30, 39, 40, 44, 45, 49)]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001, 0.00001, 0.00001])


def test_one_cycle_rises_to_its_peak_and_falls_to_nearly_nothing() -> None:
    config = TrainConfig(epochs=4, lr=1.0, schedule="one_cycle", warmup=0.25)
    rates = [learning_rate(config, epoch, step, 50) for epoch in range(4) for step in range(50)]
    peak = int(np.argmax(rates))
    assert peak in (49, 50)  # a quarter of 200 steps
    assert rates[peak] == pytest.approx(1.0, abs=0.02)
    assert rates[0] < 0.06
    assert rates[-1] < 1e-3
    assert rates[:49] == sorted(rates[:49])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    # half-way down the cosine: lr / 2
    assert learning_rate(config, 2, 25, 50) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"epochs": 0}, "epochs: 0 is below 1"),
        ({"lr": 0.0}, "lr: 0.0 is not above 0"),
        ({"optimizer": "adam"}, "optimizer: 'adam' is none of sgd, adamw"),
        ({"precision": "half"}, "precision: 'half' is none of fp32, bf16, fp16"),
        ({"warmup": 1.0}, r"warmup: 1.0 is not in \(0, 1\)"),
        ({"weight_decay": -1.0}, "weight_decay: -1.0 is below 0"),
    ],
)
def test_wrong_training_setting_says_the_rule(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrainConfig(**wrong)


def test_a_finished_trial_leaves_its_result_and_no_checkpoint(
    data_dir: Path, data: DataSet, tmp_path: Path
) -> None:
    record = run_trial(job(tmp_path / "trial", data_dir, settings()))
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
    data_dir: Path, data: DataSet, tmp_path: Path
) -> None:
    record = run_trial(job(tmp_path / "trial", data_dir, settings(lr=1e30, clip_gradient=0.0)))
    assert record.status == "failed"
    assert "loss is" in record.reason
    assert "try a lower train.lr" in record.reason
    assert "TrainingError" in (tmp_path / "trial" / "traceback.txt").read_text()
    assert saved_result(tmp_path / "trial") is None


def test_a_trial_that_asks_for_a_gpu_where_none_is_does_not_fall_back(data_dir: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    record = run_trial(job(tmp_path / "trial", data_dir, settings(), gpus=1))
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
)  # fmt: skip
def test_the_reason_of_a_failure_is_one_line_with_advice(error: Exception, reason: str) -> None:
    assert reason_of(error, settings()) == reason


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
