"""Operators on a stream, frame by frame: what a clip of all frames so far gives for its last frame."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from builders.plain import clips
from torch import Tensor

from operators import TemporalOp, make_operator
from operators.contract import ContractError, check, examine

FILTERS: list[tuple[str, dict[str, Any]]] = [
    ("identity", {}),
    ("causal_shift", {}),
    ("causal_shift", {"shift_div": 3}),
    ("causal_depthwise", {"init": "random"}),
    ("causal_depthwise", {"kernel_size": 5, "init": "random"}),
    ("causal_depthwise", {"kernel_size": 1}),
    ("canon", {}),
    ("token_shift", {}),
]


def streamed(op: TemporalOp, x: Tensor) -> Tensor:
    """Frame after frame, each with what was kept of those before."""
    out, state = [], ()
    for frame in x.unbind(dim=1):
        y, state = op.step(frame, state)
        out.append(y)
    return torch.stack(out, dim=1)


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize(("name", "settings"), FILTERS, ids=str)
def test_a_stream_is_the_clip_to_the_bit(name: str, settings: dict[str, Any], frames: int) -> None:
    """Both add up the same numbers in the same order, in frames of any memory."""
    torch.manual_seed(0)
    op = make_operator(name, 19, frames, **settings)
    for dtype in (torch.float32, torch.bfloat16):
        x = clips(19, frames, False).to(dtype)
        assert torch.equal(streamed(op, x), op(x))


@pytest.mark.parametrize(("name", "settings"), [*FILTERS, ("s4d", {}), ("min_gru", {})], ids=str)
def test_with_channels_last_a_stream_is_the_clip_and_keeps_the_memory_format(
    name: str, settings: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    op = make_operator(name, 19, 6, **settings)
    x = clips(19, 6, True).float()
    y, _ = op.step(x[:, 0].contiguous(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(streamed(op, x), op(x), atol=1e-6)


def test_a_stream_goes_on_beyond_the_length_of_a_clip() -> None:
    """Of 20 frames the last six are those of a clip of which the frames before were seen too."""
    op = make_operator("causal_depthwise", 5, 8, init="random")
    x = clips(5, 20, False).float()
    assert torch.equal(streamed(op, x)[:, -6:], op(x[:, -8:])[:, -6:])  # its kernel looks back by two


def test_only_what_is_needed_is_kept() -> None:
    frame = torch.randn(1, 16, 5, 3)
    for name, kept in (("identity", 0), ("causal_shift", 2 * 15), ("causal_depthwise", 2 * 16 * 15)):
        op, state = make_operator(name, 16, 8), ()
        for _ in range(4):
            _, state = op.step(frame, state)
        assert sum(tensor.numel() for tensor in state) == kept


@pytest.mark.parametrize("name", ["shift", "mixtconv", "temporal_attention", "selective_ssm"])
def test_an_operator_that_looks_ahead_is_refused_in_words(name: str) -> None:
    op = make_operator(name, 16, 4)
    with pytest.raises(
        ValueError, match=f"^{name} looks at later frames too: it runs on whole clips, not on a"
    ):
        op.step(torch.randn(1, 16, 5, 3))


def test_a_causal_operator_without_a_step_is_refused_in_other_words() -> None:
    with pytest.raises(ValueError, match=r"^linear_attention is causal, but has no `step`"):
        make_operator("linear_attention", 16, 4).step(torch.randn(1, 16, 5, 3))


@pytest.mark.parametrize("name", ["causal_shift", "causal_depthwise", "min_gru"])
def test_frames_that_change_their_size_are_one_line(name: str) -> None:
    op = make_operator(name, 16, 4)
    _, state = op.step(torch.randn(1, 16, 5, 3))
    with pytest.raises(
        ValueError, match="a frame of 4x6 after frames of 3x5: frames of a stream have one size"
    ):
        op.step(torch.randn(1, 16, 6, 4), state)


def test_the_contract_says_how_well_streams_agree_and_finds_a_step_that_does_not() -> None:
    from operators import CausalShift, MinGRU, Shift

    class Late(CausalShift):
        def step(self, frame: Tensor, state: tuple[Tensor, ...] = ()) -> tuple[Tensor, tuple[Tensor, ...]]:
            return super().step(frame, ())  # forgets

    def told(operator: type[TemporalOp]) -> str:
        return examine(operator, channels=16, frames=4)[-1].tried

    assert told(CausalShift) == "4 frames one by one: the same to the bit"
    assert told(MinGRU).startswith("4 frames one by one: the same ")
    assert told(Shift).startswith("nothing: shift looks at later frames")
    with pytest.raises(ContractError, match="frame 1 of a stream differs from that of a clip"):
        check(Late, channels=16, frames=4)
