"""The recipe: every parameter in one group, frozen batch norm, batches in parts, the best epoch, compiled networks."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.place import TINY
from torch import Tensor, nn

from harness.data.batches import TrainBatches
from harness.data.config import DataConfig
from harness.data.dataset import DataSet, open_data
from harness.data.transforms import normalise
from harness.errors import TrainingError
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.model.network import SeededDropout
from harness.study.protocol import batch
from harness.train.loop import fit, passes
from harness.train.recipe import (
    TrainConfig,
    freeze_batch_norm,
    learning_rate,
    make_optimizer,
    parameter_groups,
)
from harness.train.settings import Settings
from operators import TemporalOp

CPU = torch.device("cpu")


class OwnNorm(TemporalOp):
    """Holds a parameter, a bias and a batch norm of its own."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = (x * self.scale + self.bias).flatten(0, 1)
        return self.norm(y).unflatten(0, x.shape[:2])


OWN = {"name": "test_recipe.OwnNorm"}


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> DataSet:
    return open_data(DataConfig(**TINY["data"]), tiny_data)


def settings(operator: dict[str, Any] | None = None, dropout: float = 0.5, **train: Any) -> Settings:
    model = ModelConfig(backbone="resnet_tiny", dropout=dropout, operator=operator or {"name": "mixtconv"})
    recipe = TrainConfig(**{"epochs": 2, "batch_size": 8, "lr": 0.05, **train})
    return Settings(model=model, data=DataConfig(**TINY["data"]), train=recipe)


def network(operator: dict[str, Any]) -> MSTNet:
    return MSTNet(ModelConfig(backbone="resnet_tiny", operator=operator), 4, 16)


def registered() -> list[str]:
    return sorted(TemporalOp.registry)


@pytest.mark.parametrize("groups", ["plain", "tsm"])
@pytest.mark.parametrize("frozen", ["off", "partial", "all"])
@pytest.mark.parametrize("name", [*registered(), OWN["name"]])
def test_every_parameter_that_learns_is_in_exactly_one_group(name: str, frozen: str, groups: str) -> None:
    model = network({"name": name})
    freeze_batch_norm(model, frozen)
    config = TrainConfig(groups=groups, freeze_batch_norm=frozen)
    for held in (parameter_groups(config, model), make_optimizer(config, model).param_groups):
        members = [id(p) for group in held for p in group["params"]]
        assert len(members) == len(set(members))
        assert set(members) == {id(p) for p in model.parameters() if p.requires_grad}


def test_the_tsm_groups_are_those_of_the_lineage() -> None:
    """FACTS of the public code: factors of lr and of decay for each kind of parameter, here by name."""
    model = network(OWN)
    names = {id(p): name for name, p in model.named_parameters()}
    held = parameter_groups(TrainConfig(groups="tsm", weight_decay=0.5), model)
    factors = {names[id(p)]: (g["lr_factor"], g["weight_decay"]) for g in held for p in g["params"]}
    expected = {
        "conv1.weight": (1, 0.5),
        "bn1.weight": (1, 0),
        "bn1.bias": (1, 0),
        "layer1.0.temporal.scale": (1, 0.5),
        "layer1.0.temporal.bias": (2, 0),
        "layer1.0.temporal.norm.weight": (1, 0),
        "layer1.0.temporal.norm.bias": (1, 0),
        "layer2.0.conv2.weight": (1, 0.5),
        "layer2.0.downsample.0.weight": (1, 0.5),
        "layer2.0.downsample.1.bias": (1, 0),
        "fc.weight": (5, 0.5),
        "fc.bias": (10, 0),
    }
    assert {name: factors[name] for name in expected} == expected


def test_a_step_in_the_tsm_groups_is_that_of_a_plain_loop(data: DataSet) -> None:
    """One step of SGD without momentum: each parameter moves by lr x factor x (gradient + decay)."""
    s = settings(
        OWN,
        dropout=0.0,
        epochs=1,
        batch_size=32,
        momentum=0.0,
        weight_decay=0.1,
        clip_gradient=0.0,
        groups="tsm",
    )
    trained, _, _ = fit(s, 0, data, CPU)
    model = MSTNet(s.model, 4, 16, 0).train()
    ((frames, labels, *_),) = TrainBatches(data.split("train"), 32, 0).epoch(0)
    nn.functional.cross_entropy(model(normalise(frames)), labels).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None
        norm = ".bn" in name or name.startswith("bn") or "downsample.1" in name or "norm" in name
        factor = {"fc.weight": 5.0, "fc.bias": 10.0}.get(name, 2.0 if name.endswith("temporal.bias") else 1.0)
        decay = 0.0 if norm or name.endswith("bias") else 0.1
        moved = p.detach() - 0.05 * factor * (p.grad + decay * p.detach())
        torch.testing.assert_close(trained.get_parameter(name).detach(), moved, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("how", "first_learns"), [("partial", True), ("all", False)])
def test_frozen_batch_norm_keeps_statistics_scale_and_shift(
    data: DataSet, how: str, first_learns: bool
) -> None:
    """From a random start they are mean 0, variance 1, scale 1, shift 0. An operator's own goes on learning."""
    model, _, _ = fit(settings(OWN, epochs=1, freeze_batch_norm=how), 0, data, CPU)
    norms = {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert len(norms) == 1 + 4 * 2 + 3 + 4
    for name, norm in norms.items():
        start = [torch.zeros_like(norm.bias), torch.ones_like(norm.bias)]
        held = [[norm.running_mean, norm.running_var], [norm.bias, norm.weight]]
        learns = first_learns if name == "bn1" else "temporal" in name
        for pair in held:
            assert all(torch.equal(a, b) for a, b in zip(pair, start, strict=True)) != learns, name


@pytest.mark.parametrize("micro_batch", [3, 8])
def test_a_batch_in_parts_gives_the_same_loss_curve(data: DataSet, micro_batch: int) -> None:
    """Batch norm frozen; 8 = 3 + 3 + 2 clips, with the dropout masks and the gradient norm of the whole batch."""
    recipe = {"freeze_batch_norm": "all", "clip_gradient": 0.5}
    _, whole, _ = fit(settings(**recipe), 0, data, CPU)
    _, parts, _ = fit(settings(**recipe, micro_batch=micro_batch), 0, data, CPU)
    for one, other in zip(whole.history, parts.history, strict=True):
        for name in ("train/loss", "train/top1", "val/loss", "val/top1"):
            assert other[name] == pytest.approx(one[name], abs=1e-4)


def test_parts_of_a_batch_get_the_dropout_masks_of_the_whole() -> None:
    dropout = SeededDropout(0.5, num_frames=3).train()
    dropout.seed = 7
    whole = dropout(torch.ones(5 * 3, 11))
    parts = []
    for before, clips in ((0, 2), (2, 1), (3, 2)):
        dropout.clips_before = before
        parts.append(dropout(torch.ones(clips * 3, 11)))
    assert torch.equal(torch.cat(parts), whole)


def test_parts_of_all_processes_are_the_batch_in_its_order(data: DataSet) -> None:
    whole = [b[2].tolist() for b in TrainBatches(data.split("train"), 9, 5).epoch(1)]
    parts = [
        [b[2].tolist() for b in TrainBatches(data.split("train"), 9, 5, rank=rank, world=4).epoch(1)]
        for rank in range(4)
    ]
    assert [list(itertools.chain(*step)) for step in zip(*parts, strict=True)] == whole
    assert [[len(part) for part in step] for step in zip(*parts, strict=True)] == [[2, 2, 2, 3]] * 3


def test_batch_norm_over_processes_has_as_many_passes_in_each_of_them() -> None:
    """64 clips on 3 processes are 21, 21 and 22: with 7 at once 3, 3 and 4 passes, and the fourth would never end."""
    apart, together = ([passes(own, 7, most) for own in (21, 21, 22)] for most in (0, 22))
    assert [len(parts) for parts in apart] == [3, 3, 4]
    assert [len(parts) for parts in together] == [4, 4, 4]
    for own, parts in zip((21, 21, 22) * 2, apart + together, strict=True):
        assert list(itertools.chain(*(range(own)[part] for part in parts))) == list(range(own))
        assert all(1 <= part.stop - part.start <= 7 for part in parts)
    assert passes(5, 0) == [slice(0, 5)]
    assert passes(5, 0, together=8) == [slice(0, 5)]


def test_the_best_epochs_network_is_the_result_where_asked(data: DataSet, tmp_path: Path) -> None:
    """It is the network of a training that ends there; a resumed training has it too."""
    recipe = {"batch_size": 16, "lr": 0.2, "epochs": 6}
    _, last, _ = fit(settings(**recipe), 3, data, CPU)
    top1 = [entry["val/top1"] for entry in last.history]
    best = top1.index(max(top1)) + 1
    assert 0 < best < 6, f"the best of {top1} must not be the last one for this test to show anything"
    ends_there, _, expected = fit(settings(**{**recipe, "epochs": best}), 3, data, CPU)

    def stop(entry: dict[str, float]) -> None:
        if entry["epoch"] == 6:
            raise KeyboardInterrupt

    s = settings(**recipe, select="best")
    with pytest.raises(KeyboardInterrupt):
        fit(s, 3, data, CPU, checkpoint=tmp_path / "checkpoint.pt", on_epoch=stop)
    model, state, tested = fit(s, 3, data, CPU, checkpoint=tmp_path / "checkpoint.pt")
    assert state.best_entry["epoch"] == best
    assert (tested.scores == expected.scores).all()
    for name, value in ends_there.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


@pytest.mark.parametrize(
    ("recipe", "ranks", "words"),
    [
        (
            {"sync_batch_norm": True},
            2,
            "sync_batch_norm: needs GPUs; use freeze_batch_norm, or leave it false",
        ),
        ({"precision": "fp16"}, 1, "precision: fp16 needs a GPU; use bf16 or fp32"),
        ({"batch_size": 3}, 4, "batch_size: 3 clips are too few for 4 processes"),
    ],
)
def test_what_a_device_cannot_train_is_refused(recipe: dict[str, Any], ranks: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrainConfig(**recipe).check(on_gpu=False, ranks=ranks)


def test_batch_norm_over_processes_is_refused_on_a_cpu(data: DataSet) -> None:
    with pytest.raises(TrainingError, match=r"train\.sync_batch_norm: needs GPUs"):
        fit(settings(sync_batch_norm=True), 0, data, CPU)


SHARED = "64 clips, shared out among 8 processes; batch norm is over the clips"


@pytest.mark.parametrize(
    ("recipe", "ranks", "words"),
    [
        ({}, 1, "64 clips; batch norm is over the clips of the batch"),
        ({}, 8, f"{SHARED} of the batch of each process by itself"),
        ({"micro_batch": 16}, 1, "64 clips, at most 16 at once; batch norm is over the clips at once"),
        (
            {"freeze_batch_norm": "all", "micro_batch": 16},
            1,
            "64 clips, at most 16 at once; batch norm frozen",
        ),
        ({"sync_batch_norm": True}, 8, f"{SHARED} that all processes have at once"),
    ],
)
def test_the_protocol_says_over_which_clips_batch_norm_is(
    recipe: dict[str, Any], ranks: int, words: str
) -> None:
    assert batch(TrainConfig(**recipe), ranks) == words


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning"
)  # these are torch's own, on its own doings
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_a_compiled_network_trains_nearly_the_same(data: DataSet) -> None:
    """Dropout's seed differs each step, which must not compile anything anew."""
    recipe = {"epochs": 2, "batch_size": 8, "lr": 0.01}
    _, plain, _ = fit(settings(**recipe), 0, data, CPU)
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    try:
        model, compiled, _ = fit(settings(**recipe, compile=True), 0, data, CPU)
        graphs = counters["stats"]["unique_graphs"]
    finally:
        torch._dynamo.reset()
    assert graphs == 4  # before and after dropout, in training and in evaluation
    assert set(model.state_dict()) == set(network({"name": "mixtconv"}).state_dict())
    for one, other in zip(plain.history, compiled.history, strict=True):
        assert other["train/loss"] == pytest.approx(one["train/loss"], rel=1e-2)
        assert other["val/loss"] == pytest.approx(one["val/loss"], rel=1e-2)


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
