"""A network on a stream gives, after T frames, what it gives for them as a clip."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.model.stream import Stream


def network(operator: dict[str, Any], frames: int = 5, **settings: Any) -> MSTNet:
    made = MSTNet(
        ModelConfig(backbone="resnet_tiny", operator=operator, **settings), frames, 3, seed=1
    ).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


@pytest.mark.parametrize("placement", ["head", "inner", "consensus"])
@pytest.mark.parametrize("name", ["identity", "causal_shift", "causal_depthwise", "min_gru"])
def test_the_mean_over_a_stream_is_the_score_of_the_clip(name: str, placement: str) -> None:
    model = network({"name": name}, placement=placement)
    clips = torch.randn(2, 5, 3, 16, 24)
    with torch.no_grad():
        whole = model(clips)
    stream = Stream(model)
    first = torch.stack([stream(frame) for frame in clips.unbind(dim=1)], dim=1)
    assert torch.allclose(first.mean(dim=1), whole, rtol=1e-5, atol=1e-5 * float(whole.abs().max()))
    assert model.num_frames == 5
    stream.begin()
    again = torch.stack([stream(frame) for frame in clips.unbind(dim=1)], dim=1)
    assert torch.equal(first, again)
    if name != "identity":  # a stream that goes on remembers
        assert not torch.equal(stream(clips[:, 0]), first[:, 0])


def test_a_later_frame_does_not_change_what_was_said_of_earlier_ones() -> None:
    stream = Stream(network({"name": "causal_depthwise", "init": "random"}))
    frames = torch.randn(4, 1, 3, 16, 16)
    said = [stream(frame) for frame in frames]
    stream.begin()
    other = [stream(frame) for frame in [*frames[:3], torch.zeros(1, 3, 16, 16)]]
    assert all(torch.equal(a, b) for a, b in zip(said[:3], other[:3], strict=True))
    assert not torch.equal(said[3], other[3])


def test_memory_is_what_the_operators_keep() -> None:
    """Of four blocks with 16, 16, 32 and 64 channels, at 8, 8, 4 and 2 pixels a side, the first layer halves."""
    stream = Stream(network({"name": "causal_depthwise"}))
    assert stream.state_bytes() == 0
    for _ in range(4):
        stream(torch.randn(1, 3, 16, 16))
    numbers = 16 * 8 * 8 + 16 * 8 * 8 + 32 * 4 * 4 + 64 * 2 * 2
    assert stream.state_bytes() == 2 * 4 * numbers


def test_what_cannot_be_streamed_is_refused_by_its_place() -> None:
    with pytest.raises(ValueError, match=r"^layer1\.0\.temporal: shift looks at later frames too"):
        Stream(network({"name": "shift"}))
    stream = Stream(network({"name": "causal_shift"}))
    stream(torch.randn(1, 3, 16, 16))
    with pytest.raises(ValueError, match="frames of a stream have one size"):
        stream(torch.randn(1, 3, 16, 24))
