"""How far apart two frames may be for a network to relate them: as stated, and as its gradients show."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from builders.operators import TABLE2

from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from operators import TemporalOp


def network(operator: dict[str, Any], frames: int, *stages: int, placement: str = "head") -> MSTNet:
    config = ModelConfig(
        backbone="resnet_tiny", operator=operator, stages=stages, placement=placement, dropout=0.0
    )
    return MSTNet(config, frames, 4, seed=1)


def seen_together(model: MSTNet, frames: int) -> int:
    """The largest distance of two input frames on which the features of one frame depend, by gradients."""
    model.eval()
    features: list[torch.Tensor] = []
    model.layer4.register_forward_hook(lambda module, inputs, output: features.append(output))
    clip = torch.randn(1, frames, 3, 24, 20, generator=torch.Generator().manual_seed(0), requires_grad=True)
    model(clip)
    farthest = 0
    for frame in range(frames):
        (gradient,) = torch.autograd.grad(features[0][frame].square().sum(), clip, retain_graph=True)
        used = gradient[0].abs().sum(dim=(1, 2, 3)).nonzero().flatten().tolist()
        farthest = max(farthest, used[-1] - used[0])
    return farthest


def test_an_operator_alone_relates_frames_twice_its_reach_apart() -> None:
    """A frame between two others sees both, if each is within reach: that of the largest kernel on either side."""
    found = {variant: network(operator, 10, 3).horizon() for variant, operator in TABLE2.items()}
    one, two, three = dict.fromkeys(("tsm", "ordinary", "ks3", "ks13"), 2), {"ks5": 4, "ks135": 4}, {"ks7": 6}
    assert found == {"tsn": 0, **one, **two, **three, "ks1357": 6, "ks357": 6}


@pytest.mark.parametrize("variant", ["tsn", "tsm", "ks3", "ks5", "ks1357", "ks357"])
@pytest.mark.parametrize("stages", [(3,), (2, 3)])
def test_the_horizon_is_what_gradients_show(variant: str, stages: tuple[int, ...]) -> None:
    operator = TABLE2[variant]
    if operator["name"] in ("depthwise", "mixtconv"):  # the shift that they start from looks one frame far
        operator = operator | {"init": "random"}
    model = network(operator, 15, *stages)
    assert model.horizon() == seen_together(model, 15)


@pytest.mark.parametrize("placement", ["inner", "after_conv2", "block_out"])
def test_the_horizon_is_what_gradients_show_wherever_operators_stand(placement: str) -> None:
    operator = {"name": "mixtconv", "kernel_sizes": [1, 3, 5], "init": "random"}
    model = network(operator, 15, 2, 3, placement=placement)
    assert model.horizon() == seen_together(model, 15) == 8


def test_one_operator_at_the_consensus_counts_once() -> None:
    assert network(TABLE2["ks5"], 15, 1, 2, 3, 4, placement="consensus").horizon() == 4


def test_reach_adds_up_over_stages_until_the_clip_ends() -> None:
    """Four operators of reach 1 in a row: 8 frames apart, but a clip of 8 frames has none further than 7."""
    assert network(TABLE2["ks3"], 16, 1, 2, 3, 4).horizon() == 8
    assert network(TABLE2["ks3"], 8, 1, 2, 3, 4).horizon() == 7


def test_a_network_without_operators_relates_no_two_frames() -> None:
    assert network(TABLE2["ks7"], 8).horizon() == 0


def test_causal_operators_relate_frames_as_far_apart_as_they_reach_back() -> None:
    class Before(TemporalOp, name="before"):
        reach = 2
        causal = True

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.cat([torch.zeros_like(x[:, :2]), x[:, :-2]], dim=1)

    model = network({"name": "before"}, 12, 2, 3)
    assert model.horizon() == seen_together(model, 12) == 4


def test_an_operator_that_does_not_state_its_reach_leaves_the_horizon_unknown() -> None:
    class Mean(TemporalOp, name="mean"):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=1, keepdim=True).expand_as(x).contiguous()

    assert network({"name": "mean"}, 8, 3).horizon() is None
