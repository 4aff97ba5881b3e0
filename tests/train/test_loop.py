"""The loop: against a plain loop written here, and fair between variants."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.training import DATA, same_weights, settings
from torch import Tensor

from harness.data.batches import TrainBatches
from harness.data.dataset import DataSet, open_data
from harness.data.transforms import normalise
from harness.errors import TrainingError
from harness.model.mstnet import MSTNet
from harness.train.loop import fit
from operators import TemporalOp

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> DataSet:
    return open_data(DATA, tiny_data)


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
