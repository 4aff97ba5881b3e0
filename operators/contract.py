"""What every operator promises, as checks that run on any operator, also on one from outside.

from operators.contract import check
check(MyOperator, my_setting=3)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from operators.base import TemporalOp

CHANNELS, HEIGHT, WIDTH = 16, 5, 3  # sizes differ per axis, so that a swapped axis shows


class ContractError(AssertionError):
    """An operator breaks the contract of TemporalOp; the text says which promise, and how."""


def check(operator: type[TemporalOp], **settings: Any) -> None:
    """Run every check of the contract.

    Raises:
        ContractError: the first promise that is broken.
    """
    for one in CHECKS:
        one(operator, settings)


def _build(operator: type[TemporalOp], settings: dict[str, Any], frames: int | None = None) -> TemporalOp:
    """As a study makes it, then moved a little as training would: many operators start as the identity, and keep
    every promise there."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if frames is None:  # enough frames for every tap to matter
            frames = max(6, (operator(CHANNELS, 6, **settings).reach or 0) + 2)
            torch.manual_seed(0)
        op = operator(CHANNELS, frames, **settings)
        with torch.no_grad():
            for parameter in op.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return op


def _clips(op: TemporalOp, n: int = 2, channels_last: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, op.num_frames, op.channels, HEIGHT, WIDTH, generator=generator)
    if channels_last:
        x = x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    return x


def _run(op: TemporalOp, x: Tensor) -> Tensor:
    torch.manual_seed(3)  # an operator may draw, from torch's own generator
    return op(x)


def _promise(kept: bool, op: TemporalOp, text: str) -> None:
    if not kept:
        raise ContractError(f"{type(op).__name__}: {text}")


def keeps_shape_dtype_and_memory_format(operator: type[TemporalOp], settings: dict[str, Any]) -> None:
    op = _build(operator, settings)
    for channels_last in (False, True):
        x = _clips(op, channels_last=channels_last)
        y = _run(op, x)
        name = "channels_last" if channels_last else "contiguous"
        _promise(y.shape == x.shape, op, f"shape {tuple(x.shape)} became {tuple(y.shape)}")
        _promise(y.dtype == x.dtype, op, f"dtype {x.dtype} became {y.dtype}")
        _promise(y.stride() == x.stride(), op, f"a {name} clip came back with strides {y.stride()}")


def follows_the_dtype_of_its_clips(operator: type[TemporalOp], settings: dict[str, Any]) -> None:
    op = _build(operator, settings).to(torch.bfloat16)
    y = _run(op, _clips(op).to(torch.bfloat16))
    _promise(y.dtype == torch.bfloat16, op, f"bfloat16 clips came back as {y.dtype}; make tensors like x")


def holds_its_tensors_as_parameters_or_buffers(operator: type[TemporalOp], settings: dict[str, Any]) -> None:
    op = _build(operator, settings)
    for module in op.modules():
        for name, value in vars(module).items():
            plain = isinstance(value, Tensor)
            _promise(
                not plain, op, f"{name} is a plain tensor: make it an nn.Parameter, or register_buffer it"
            )


def gives_the_same_in_both_memory_formats(operator: type[TemporalOp], settings: dict[str, Any]) -> None:
    op = _build(operator, settings)
    difference = (_run(op, _clips(op)) - _run(op, _clips(op, channels_last=True))).abs().max().item()
    _promise(difference < 1e-5, op, f"contiguous and channels_last clips differ by {difference:.2g}")


def never_mixes_clips(operator: type[TemporalOp], settings: dict[str, Any]) -> None:
    op = _build(operator, settings)
    for channels_last in (False, True):
        x = _clips(op, channels_last=channels_last)
        changed = x.clone()
        changed[1] += 1.0
        _promise(torch.equal(_run(op, x)[0], _run(op, changed)[0]), op, "changing one clip changed another")


def looks_no_further_than_its_reach(operator: type[TemporalOp], settings: dict[str, Any]) -> None:
    op = _build(operator, settings)
    if op.reach is None:
        return
    x = _clips(op, n=1)
    for frame in range(op.num_frames):
        changed = x.clone()
        changed[:, frame] += 1.0
        moved = (_run(op, x) != _run(op, changed)).flatten(2).any(dim=2)[0]
        for other in range(op.num_frames):
            if moved[other]:
                distance = abs(other - frame)
                _promise(distance <= op.reach, op, f"reach is {op.reach}, but frame {frame} moved {other}")


def every_parameter_learns(operator: type[TemporalOp], settings: dict[str, Any]) -> None:
    op = _build(operator, settings)
    x = _clips(op).requires_grad_()
    y = _run(op, x)
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(2)))
    for name, parameter in op.named_parameters():
        _promise(parameter.requires_grad, op, f"{name} is frozen; make it a buffer")
        _promise(parameter.grad is not None, op, f"{name} gets no gradient")
        assert parameter.grad is not None
        _promise(bool(parameter.grad.isfinite().all()), op, f"{name} gets a gradient that is not finite")
        idle = int((parameter.grad == 0).sum())
        _promise(idle == 0, op, f"{idle} of {parameter.numel()} numbers of {name} get no gradient")
    _promise(x.grad is not None and bool((x.grad != 0).any()), op, "no gradient reaches the input")


def is_deterministic_under_a_seed(operator: type[TemporalOp], settings: dict[str, Any]) -> None:
    first, second = _build(operator, settings), _build(operator, settings)
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        _promise(torch.equal(a, b), first, f"the same seed gave two values of {name}")
    x = _clips(first)
    _promise(torch.equal(_run(first, x), _run(first, x)), first, "the same clip and seed gave two outputs")


def takes_any_number_of_clips_and_a_single_frame(
    operator: type[TemporalOp], settings: dict[str, Any]
) -> None:
    op = _build(operator, settings, frames=1)
    for n in (1, 3):
        x = _clips(op, n=n)
        _promise(
            _run(op, x).shape == x.shape, op, f"shape {tuple(x.shape)} became {tuple(_run(op, x).shape)}"
        )


def states_its_macs_or_none(operator: type[TemporalOp], settings: dict[str, Any]) -> None:
    op = _build(operator, settings)
    macs = op.macs(HEIGHT, WIDTH)
    if macs is None:
        return
    _promise(isinstance(macs, int) and macs >= 0, op, f"macs is {macs!r}, not a count")
    _promise(op.macs(2 * HEIGHT, WIDTH) == 2 * macs, op, "macs do not double with the height")


def is_the_filter_that_it_says(operator: type[TemporalOp], settings: dict[str, Any]) -> None:
    op = _build(operator, settings)
    stated = op.kernel()
    if stated is None:
        return
    offsets, weights = stated
    _promise(weights.shape == (len(offsets), op.channels), op, f"kernel has shape {tuple(weights.shape)}")
    x = _clips(op)
    expected = torch.zeros_like(x)
    for offset, weight in zip(offsets, weights, strict=True):
        for frame in range(op.num_frames):
            if 0 <= frame + offset < op.num_frames:
                expected[:, frame] += weight[:, None, None] * x[:, frame + offset]
    difference = (_run(op, x) - expected).abs().max().item()
    _promise(difference < 1e-4, op, f"filtering with its kernel gives another result, by {difference:.2g}")


CHECKS: tuple[Callable[[type[TemporalOp], dict[str, Any]], None], ...] = (
    is_deterministic_under_a_seed,
    holds_its_tensors_as_parameters_or_buffers,
    keeps_shape_dtype_and_memory_format,
    follows_the_dtype_of_its_clips,
    gives_the_same_in_both_memory_formats,
    never_mixes_clips,
    looks_no_further_than_its_reach,
    every_parameter_learns,
    takes_any_number_of_clips_and_a_single_frame,
    states_its_macs_or_none,
    is_the_filter_that_it_says,
)
