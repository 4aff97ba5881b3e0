"""Validating less often than every epoch, and labels that are smoothed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.training import DATA, same_weights, settings

from harness.data.batches import TrainBatches
from harness.data.dataset import DataSet, open_data
from harness.data.transforms import normalise
from harness.model.mstnet import MSTNet
from harness.train.loop import fit
from harness.train.recipe import TrainConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> DataSet:
    return open_data(DATA, tiny_data)


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (0, [5]), (9, [5])])
def test_the_last_epoch_is_always_validated(every: int, epochs: list[int]) -> None:
    config = TrainConfig(epochs=5, validate_every=every)
    assert [epoch for epoch in range(1, 6) if config.validates(epoch)] == epochs


def test_validating_less_often_trains_the_same_network(data: DataSet) -> None:
    always, state, tested = fit(settings(epochs=3), 0, data, CPU)
    seldom, history, tested_again = fit(settings(epochs=3, validate_every=2), 0, data, CPU)
    assert same_weights(always, seldom)
    assert np.array_equal(tested.scores, tested_again.scores)
    for epoch, (one, other) in enumerate(zip(state.history, history.history, strict=True), start=1):
        kept = {key for key in one if epoch > 1 or not key.startswith(("val/", "group/"))}
        assert set(other) == kept
        for key in kept - {"time/epoch_s", "train/clips_per_s"}:
            assert one[key] == other[key]


def test_the_best_epoch_is_the_best_of_the_validated_ones(data: DataSet) -> None:
    recipe = {"batch_size": 16, "lr": 0.2, "epochs": 6}
    _, every, _ = fit(settings(**recipe), 3, data, CPU)
    top1 = {int(entry["epoch"]): entry["val/top1"] for entry in every.history}
    best = max((2, 4, 6), key=lambda epoch: top1[epoch])
    assert best < 6, f"the best of {top1} must not be the last one for this test to show anything"
    model, state, _ = fit(settings(**recipe, select="best", validate_every=2), 3, data, CPU)
    assert state.best_entry["epoch"] == best
    ends_there, _, _ = fit(settings(**{**recipe, "epochs": best}), 3, data, CPU)
    assert same_weights(model, ends_there)


def test_smoothed_labels_give_every_class_its_part_of_the_loss(data: DataSet) -> None:
    """(1 - e) x the loss of the clip's class + e x the mean loss of all classes (Szegedy et al. 2016, Sec. 7)."""
    s = settings(epochs=1, batch_size=32, label_smoothing=0.3)
    s = dataclasses.replace(s, model=dataclasses.replace(s.model, dropout=0.0))
    _, state, _ = fit(s, 5, data, CPU)
    model = MSTNet(s.model, 4, 16, 5).train()
    ((clips, labels, *_),) = TrainBatches(data.split("train"), 32, 5).epoch(0)
    losses = -model(normalise(clips)).log_softmax(1).detach().double()
    own = losses[torch.arange(len(labels)), labels]
    assert state.history[0]["train/loss"] == pytest.approx(
        float((0.7 * own + 0.3 * losses.mean(1)).mean()), 1e-4
    )


@pytest.mark.parametrize(
    "recipe", [{"label_smoothing": 1.0}, {"label_smoothing": -0.1}, {"validate_every": -1}]
)
def test_impossible_values_are_refused(recipe: dict[str, float]) -> None:
    (name,) = recipe
    with pytest.raises(ValueError, match=f"^{name}: "):
        TrainConfig(**recipe)  # type: ignore[arg-type]
