"""Probes of a network: what order, filters and reach say of networks whose answer is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from builders.place import TINY

from harness.data.config import DataConfig
from harness.data.dataset import DataSet, open_data
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.train.probes import DRAWN_CHANNELS, filters, measure, occlusion, order, reach
from harness.train.recipe import TrainConfig
from harness.train.settings import Settings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> DataSet:
    return open_data(DataConfig(**TINY["data"]), tiny_data)


def settings(operator: dict[str, object], **model: object) -> Settings:
    return Settings(
        model=ModelConfig(backbone="resnet_tiny", operator=operator, **model),  # type: ignore[arg-type]
        data=DataConfig(**TINY["data"]),
        train=TrainConfig(batch_size=16),
    )


def network(s: Settings, data: DataSet, seed: int = 0) -> MSTNet:
    return MSTNet(s.model, s.data.num_frames, len(data.classes), seed).eval()


IDENTITY = {"name": "identity"}
KS3 = {"name": "depthwise", "kernel_size": 3}


def test_a_network_without_operators_scores_a_reversed_and_a_shuffled_clip_the_same(data: DataSet) -> None:
    s = settings(IDENTITY)
    found = order(network(s, data), s, data, CPU)
    assert set(found) == {"as_is", "reversed", "shuffled", "frozen"}
    assert found["reversed"] == found["as_is"] == found["shuffled"]


def test_a_network_without_operators_looks_at_the_centre_frame_alone(data: DataSet) -> None:
    s = settings(IDENTITY)
    for stage in reach(network(s, data), s, data, CPU):
        assert stage["offsets"] == [-2, -1, 0, 1]
        assert stage["share"] == [0.0, 0.0, 1.0, 0.0]
        assert stage["radius"] == 0.0


def test_reach_by_hand_of_operators_that_move_every_frame_by_one(data: DataSet) -> None:
    """Taps that all read the frame before, in front of the last block only, whose shortcut keeps the frame: the
    features of the centre frame depend on offsets -1 and 0 and on no others, and before it on 0 alone."""
    s = settings(KS3, stages=(4,))
    model = network(s, data)
    ((_, op),) = model.operators()
    with torch.no_grad():
        op.taps[0].copy_(torch.tensor([1.0, 0.0, 0.0])[:, None].expand_as(op.taps[0]))
    found = reach(model, s, data, CPU)
    assert [stage["stage"] for stage in found] == [1, 2, 3, 4]
    assert all(stage["share"] == [0.0, 0.0, 1.0, 0.0] for stage in found[:3])
    last = found[3]["share"]
    assert last[0] == last[3] == 0.0
    assert 0 < last[1] < 1
    assert found[3]["radius"] == pytest.approx(last[1] ** 0.5, abs=1e-5)


def test_occlusion_by_hand_of_a_network_that_looks_at_one_frame(data: DataSet) -> None:
    """One that scores the brightness of frame 1 alone: without that frame its belief falls, without others not."""

    class FirstFrame(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            score = x[:, 1].mean(dim=(1, 2, 3))
            labels = torch.zeros(len(x), len(data.classes))
            for low, high in data.twins:
                labels[:, low], labels[:, high] = -score, score
            return labels

    s = settings(IDENTITY)
    found = occlusion(FirstFrame(), s, data, CPU)  # type: ignore[arg-type]
    assert found["clips"] > 0
    assert [fall == 0 for fall in found["fall"]] == [True, False, True, True]
    # Grey is 0, where the two classes are as likely as each other: belief falls to 50.
    assert found["fall"][1] == pytest.approx(found["as_is"] - 50, abs=1e-3)


def test_filters_that_did_not_move_have_moved_by_nothing(data: DataSet) -> None:
    s = settings(KS3)
    found = filters(network(s, data, seed=3), s, 3, len(data.classes))
    assert [one["stage"] for one in found] == [1, 2, 3, 4]
    for one in found:
        assert one["offsets"] == [-1, 0, 1]
        assert one["moved"] == 0.0
        assert one["initial"] == one["final"]
        assert len(one["initial"]) == len(one["channels"]) <= DRAWN_CHANNELS
        assert (one["channels"][0], len(one["initial"][0])) == (0, 3)


def test_how_far_filters_moved_by_hand(data: DataSet) -> None:
    """Every tap 0.3 up: sqrt(3 x 0.09) a channel."""
    s = settings(KS3, stages=(2,))
    model = network(s, data)
    ((name, op),) = model.operators()
    with torch.no_grad():
        op.taps[0].add_(0.3)
    (one,) = filters(model, s, 0, len(data.classes))
    assert one["operator"] == name == "layer2.0.temporal"
    assert one["moved"] == pytest.approx(0.27**0.5, abs=1e-5)
    assert one["final"][0] == pytest.approx([tap + 0.3 for tap in one["initial"][0]], abs=1e-3)


@pytest.mark.parametrize("operator", [IDENTITY, {"name": "shift"}, {"name": "ordinary"}], ids=str)
def test_an_operator_without_filters_that_learn_has_none_to_show(
    data: DataSet, operator: dict[str, object]
) -> None:
    s = settings(operator)
    assert filters(network(s, data), s, 0, len(data.classes)) == []


def test_probes_leave_the_network_as_it_was_and_give_the_same_answer_twice(data: DataSet) -> None:
    s = settings(KS3)
    model = network(s, data)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = measure(model, s, 0, data, CPU)
    assert first == measure(model, s, 0, data, CPU)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_probes_change_no_trials_id() -> None:
    from harness.study.study import trial_id

    s = settings(KS3)
    off = dataclasses.replace(s, train=dataclasses.replace(s.train, probes=False))
    assert trial_id(s, 0, "data") == trial_id(off, 0, "data")
