"""The memory of a training step from shapes, against autograd's own accounting on tensors that exist."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.cost.memory import saved_bytes, step_memory
from harness.data.config import DataConfig
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.train.recipe import TrainConfig

OPERATORS: dict[str, dict[str, Any]] = {
    "tsn": {"name": "identity"},
    "tsm": {"name": "shift"},
    "ordinary": {"name": "ordinary", "kernel_size": 3},
    "ks1357": {"name": "mixtconv", "kernel_sizes": [1, 3, 5, 7]},
}


def kept(network: nn.Module, clips: Tensor, labels: Tensor) -> int:
    """Bytes that autograd holds after a real forward pass: each address once, parameters and buffers aside."""
    own = {t.untyped_storage().data_ptr() for t in [*network.parameters(), *network.buffers()]}
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        alive.append(tensor)
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = nn.functional.cross_entropy(network(clips).float(), labels)
    loss.backward()  # the graph, and with it what it keeps, lives until here
    return sum(sizes.values())


@pytest.mark.parametrize(
    ("backbone", "operator"), [*(("resnet_tiny", name) for name in OPERATORS), ("resnet50", "ks1357")]
)
def test_activations_are_what_autograd_keeps_of_a_real_step(backbone: str, operator: str) -> None:
    model = ModelConfig(backbone=backbone, operator=OPERATORS[operator])
    data = DataConfig(num_frames=3, short_side=48, crop=40)
    step = step_memory(model, data, TrainConfig(), 7, clips=2)
    network = MSTNet(model, 3, 7).train()
    assert step.activations == kept(network, torch.rand(2, 3, 3, 40, 40), torch.tensor([1, 5]))


def test_bf16_keeps_what_a_real_step_under_autocast_keeps() -> None:
    model = ModelConfig(backbone="resnet_tiny", operator=OPERATORS["ks1357"])
    data = DataConfig(num_frames=3, short_side=48, crop=40)
    step = step_memory(model, data, TrainConfig(precision="bf16"), 7, clips=2)
    network, clips = MSTNet(model, 3, 7).train(), torch.rand(2, 3, 3, 40, 40)

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return network(x)

    # The real batch norm keeps its mean and variance in fp32: 2 bytes more for each of 720 channels, twice.
    assert step.activations + 2 * 2 * 720 == kept(Mixed(), clips, torch.tensor([1, 5]))
    assert step.activations < step_memory(model, data, TrainConfig(), 7, clips=2).activations


def test_what_is_kept_is_counted_once_and_by_hand() -> None:
    # A convolution keeps its input (2x3x5x4), batch norm its input (2x6x5x4) and two statistics of 6; a ReLU in
    # place keeps its output (2x6x5x4), which the second convolution keeps too: that memory counts once.
    layers = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Conv2d(6, 1, 1))
    kept = saved_bytes(lambda: layers(torch.rand(2, 3, 5, 4)), [*layers.parameters(), *layers.buffers()])
    assert kept == 4 * (2 * 3 * 20 + 2 * 6 * 20 + 2 * 6 + 2 * 6 * 20)


def test_weights_gradients_and_optimiser_are_four_bytes_a_parameter() -> None:
    # 23,864,558 parameters with 174 classes (FACTS); 53 batch norms keep 26,560 means and variances, and a count.
    data = DataConfig(num_frames=1, short_side=32, crop=32)
    sgd = step_memory(ModelConfig(), data, TrainConfig(), 174, clips=3)
    assert sgd.gradients == sgd.optimiser == 4 * 23_864_558
    assert sgd.weights == 4 * 23_864_558 + 4 * 2 * 26_560 + 8 * 53
    assert step_memory(ModelConfig(), data, TrainConfig(), 174, 3, ranks=2).gradients == 2 * 4 * 23_864_558
    assert sgd.frames == 3 * 3 * 32 * 32
    assert sgd.total == sgd.weights + sgd.gradients + sgd.optimiser + sgd.activations + sgd.frames
    assert (
        step_memory(ModelConfig(), data, TrainConfig(optimizer="adamw"), 174, 3).optimiser == 8 * 23_864_558
    )
    assert step_memory(ModelConfig(), data, TrainConfig(momentum=0.0), 174, 3).optimiser == 0


def test_activations_grow_with_the_clips() -> None:
    data = DataConfig(num_frames=2, short_side=32, crop=32)
    model = ModelConfig(backbone="resnet_tiny")
    one, two, three = (step_memory(model, data, TrainConfig(), 7, n).activations for n in (1, 2, 3))
    assert three - two == two - one > 0
