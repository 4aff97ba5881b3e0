"""Parameters, MACs and kept memory: torch's count beside what operators state and the papers' facts know."""

from __future__ import annotations

import os

import pytest
from builders.costs import TINY
from builders.operators import TABLE2
from torch import Tensor, nn

from harness.cost.config import CostConfig
from harness.cost.counting import count_by_torch, counted
from harness.model.config import ModelConfig
from operators import TemporalOp
from operators.stencil import AUTO, PATHS

ONE_TAP = 44_957_696  # MACs of a tap on all channels, head, 8 frames; as many floats enter the operators


class OnlyWithMemory(TemporalOp):
    """An outside operator that looks at values."""

    def forward(self, x: Tensor) -> Tensor:
        return x * float(x.abs().max() < 1e9)

    def macs(self, height: int, width: int) -> int:
        return 7


class Vanishes(TemporalOp):
    """An outside operator that ends whoever runs it."""

    def forward(self, x: Tensor) -> Tensor:
        os._exit(3)


class Wrong(TemporalOp):
    """An operator whose stated MACs are not those of what it does."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.mix = nn.Linear(num_frames, num_frames, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x.transpose(1, 4)).transpose(1, 4).contiguous()

    def macs(self, height: int, width: int) -> int:
        return 1


BLOCKS = 64**2 * 56**2 + 3 * 256**2 * 56**2 + 4 * 512**2 * 28**2 + 6 * 1024**2 * 14**2 + 2 * 2048**2 * 7**2
ORDINARY = 3 * 8 * BLOCKS


@pytest.mark.parametrize(
    ("variant", "added", "path"),
    [
        ("tsn", 0, AUTO),
        ("tsm", 0, AUTO),
        ("ks3", 3 * ONE_TAP, AUTO),
        ("ks5", 5 * ONE_TAP, AUTO),
        ("ks7", 7 * ONE_TAP, AUTO),
        ("ks13", 2 * ONE_TAP, AUTO),
        ("ks135", 134_550_080, AUTO),
        ("ks357", 3 * ONE_TAP, AUTO),
        ("ordinary", ORDINARY, AUTO),
        *(("ks1357", 4 * ONE_TAP, path) for path in PATHS),
        *(("tsm", 0, path) for path in PATHS),
    ],
)
def test_torch_counts_what_operators_state_and_facts_know(variant: str, added: int, path: str) -> None:
    model = ModelConfig(operator=TABLE2[variant], stencil=path)
    record = counted(CostConfig(), model, 8)
    assert record.macs_counted_added == record.macs_added == added
    assert record.macs_counted_total == record.macs_total == 32_697_090_048 + 8 * 2048 * 174 + added
    assert record.warnings == []


def test_torch_counts_what_facts_know_of_other_placements_and_lengths() -> None:
    inner = counted(CostConfig(), ModelConfig(operator=TABLE2["ks1357"], placement="inner"), 8)
    assert inner.macs_counted_added == 4 * 15_253_504
    assert counted(CostConfig(), ModelConfig(operator=TABLE2["ks1357"]), 16).macs_counted_added == 8 * ONE_TAP


AFTER_CONV2 = 8 * (3 * 64 * 56**2 + 4 * 128 * 28**2 + 6 * 256 * 14**2 + 3 * 512 * 7**2)  # floats, by hand


@pytest.mark.parametrize(
    ("placement", "floats"),
    [("after_conv2", AFTER_CONV2), ("block_out", 4 * AFTER_CONV2), ("consensus", 8 * 2048)],
)
def test_three_taps_cost_three_multiply_adds_a_float_wherever_they_stand(placement: str, floats: int) -> None:
    record = counted(CostConfig(), ModelConfig(operator=TABLE2["ks3"], placement=placement), 8)
    assert record.macs_added == record.macs_counted_added == 3 * floats
    assert record.geometry["placement"] == placement


def test_an_operator_keeps_one_copy_of_what_enters_it_for_the_backward_pass() -> None:
    plain, dense = (
        count_by_torch(CostConfig(), ModelConfig(operator=TABLE2[name]), 8).activation_mib
        for name in ("tsn", "ordinary")
    )
    # The block's input is kept anyway, by the ReLU before; the operator's output is kept by the convolution after.
    assert dense - plain == ONE_TAP * 4 / 2**20


def test_an_operator_that_needs_memory_keeps_its_own_count_and_says_so() -> None:
    record = counted(TINY, ModelConfig(operator={"name": "test_counting.OnlyWithMemory"}), 4)
    assert record.macs_added == 4 * 7
    assert record.macs_counted_added is None
    assert [w.partition(":")[0] for w in record.warnings] == ["counts"]
    assert "test_counting.OnlyWithMemory" in record.warnings[0]


def test_an_operator_that_ends_its_process_does_not_end_the_counting() -> None:
    record = counted(TINY, ModelConfig(operator={"name": "test_counting.Vanishes"}), 4)
    assert record.macs_counted_added is None
    assert "without memory (its process exited with 3)" in record.warnings[0]


def test_stated_macs_that_torch_does_not_count_are_doubted() -> None:
    record = counted(TINY, ModelConfig(operator={"name": "test_counting.Wrong"}), 4)
    assert "states 4 added MACs, torch counts" in record.warnings[0]


def test_costs_may_be_those_of_other_stages_than_the_trained_ones() -> None:
    placed = ModelConfig(operator=TABLE2["ks7"], stages=(3,))
    as_trained, as_used = CostConfig(latency=False), CostConfig(latency=False, stages=(1, 2, 3, 4))
    assert counted(as_trained, placed, 8).macs_added == 7 * 8 * 14**2 * (5 * 1024) + 7 * 8 * 28**2 * 512
    record = counted(as_used, placed, 8)
    assert record.macs_added == 7 * ONE_TAP
    assert record.geometry["stages"] == [1, 2, 3, 4]
    assert "stages" not in counted(as_trained, placed, 8).geometry
