"""The promises of `operators.contract`, one function each: what it tried, or what breaks the promise and what to do.

A function's name is the promise in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from operators.base import State, TemporalOp
from operators.stencil import layout

HEIGHT, WIDTH = 5, 3  # sizes differ per axis, so that a swapped axis shows
SEEDS = range(16)  # as many as it takes: a ReLU may be dead under one of them
TOLERANCE = 1e-4  # relative, in fp32: two kernels of torch add up in another order


class BrokenError(Exception):
    """A promise that is not kept: what was found, and what to do about it."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.remedy = remedy


def in_a_line(error: BaseException) -> str:
    """An error of somebody's own code: its class, and the first line of what it says."""
    if isinstance(error, SystemExit):
        return f"its code called sys.exit({error.code!r})"
    try:
        text = str(error).strip().partition("\n")[0]
    except Exception:
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@dataclass(frozen=True)
class Case:
    """An operator at one size, with the settings that a study would give it."""

    operator: type[TemporalOp]
    channels: int
    frames: int
    settings: dict[str, Any]

    def build(self, seed: int = 0, channels: int | None = None, frames: int | None = None) -> TemporalOp:
        """As a study makes it, then moved a little as training would: many operators start as the identity, and keep
        every promise there."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            op = self.operator(channels or self.channels, frames or self.frames, **self.settings)
            with torch.no_grad():
                for parameter in op.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
        return op


def _clips(op: TemporalOp, n: int = 2, channels_last: bool = False, seed: int = 1, larger: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, op.num_frames, op.channels, larger * HEIGHT, larger * WIDTH, generator=generator)
    return layout.in_format(x, channels_last)


def _run(op: TemporalOp, x: Tensor) -> Tensor:
    torch.manual_seed(3)  # an operator may draw, from torch's own generator
    y = op(x)
    if y.shape != x.shape:  # said of every promise: what else is found then would mislead
        raise BrokenError(f"shape {tuple(x.shape)} became {tuple(y.shape)}", "return x's shape")
    return y


def _modes(op: TemporalOp) -> Iterator[tuple[str, TemporalOp]]:
    yield "in training", op.train()
    yield "in eval", op.eval()


def _size(x: Tensor) -> str:
    n, t, c, h, w = x.shape
    return f"{n} clip{'s' * (n > 1)} of {t} frame{'s' * (t > 1)}, {c} channels, {h} x {w} pixels"


def _plain_tensors(op: TemporalOp) -> Iterator[str]:
    """Names of attributes that are tensors, but neither parameters nor buffers."""
    for module in op.modules():
        yield from (name for name, value in vars(module).items() if isinstance(value, Tensor))


def _difference(a: Tensor, b: Tensor) -> float:
    """The largest, relative to the largest number there."""
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item()


def is_deterministic_under_a_seed(case: Case) -> str:
    first, second = case.build(), case.build()
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        if not torch.equal(a, b):
            raise BrokenError(
                f"the same seed gave two values of {name}", "draw from torch's global generator alone"
            )
    x = _clips(first)
    for mode, op in _modes(first):
        if not torch.equal(_run(op, x), _run(op, x)):
            kept = next(_plain_tensors(op), "")
            raise BrokenError(
                f"the same clip and seed gave two outputs {mode}",
                f"begin each clip anew: {kept} is kept from the clip before"
                if kept
                else "draw from torch's global generator alone, and keep nothing from the clip before",
            )
    return "built twice, and run twice in training and in eval, from one seed"


def holds_its_tensors_as_parameters_or_buffers(case: Case) -> str:
    op = case.build()
    _run(op, _clips(op))
    for name in _plain_tensors(op):
        raise BrokenError(
            f"{name} is a plain tensor",
            "make it an nn.Parameter, or register_buffer it; what forward computes stays in forward",
        )
    return "every attribute, after a run"


def keeps_shape_dtype_and_memory_format(case: Case) -> str:
    for _, op in _modes(case.build()):
        for name, channels_last in (("contiguous", False), ("channels_last", True)):
            x = _clips(op, channels_last=channels_last)
            y = _run(op, x)
            if y.dtype != x.dtype:
                raise BrokenError(f"dtype {x.dtype} became {y.dtype}", "return x's dtype")
            if y.stride() != x.stride():
                raise BrokenError(
                    f"a {name} clip came back with strides {y.stride()}",
                    "write into torch.empty_like(x); or return in_format(y, is_channels_last(x)), both of "
                    "operators.stencil.layout",
                )
    return f"{_size(x)}, contiguous and channels_last"


def follows_the_dtype_of_its_clips(case: Case) -> str:
    op = case.build().to(torch.bfloat16)
    y = _run(op, _clips(op).to(torch.bfloat16))
    if y.dtype != torch.bfloat16:
        raise BrokenError(f"bfloat16 clips came back as {y.dtype}", "make tensors like x")
    return "bfloat16 parameters and clips"


def gives_the_same_in_both_memory_formats(case: Case) -> str:
    op = case.build().eval()
    difference = _difference(_run(op, _clips(op, channels_last=True)), _run(op, _clips(op)))
    if not difference < TOLERANCE:
        raise BrokenError(
            f"contiguous and channels_last clips differ by {difference:.2g} of the largest number",
            "use reshape and flatten instead of view and raw memory",
        )
    return "the same numbers, contiguous and channels_last"


def leaves_its_clips_as_they_are(case: Case) -> str:
    op = case.build()
    x = _clips(op)
    before = x.clone()
    _run(op, x)
    if not torch.equal(x, before):
        raise BrokenError("the clips changed", "do not write into x: a block's identity branch reads it too")
    return "the clips before and after a run"


def never_mixes_clips(case: Case) -> str:
    built = case.build()
    statistics = built.uses_batch_statistics
    for mode, op in _modes(built):
        if mode == "in training" and statistics:
            continue  # batch norm mixes clips there: named in every table
        for channels_last in (False, True):
            x = _clips(op, channels_last=channels_last)
            changed = x.clone()
            changed[1] = _clips(op, n=1, seed=5)[0]
            if not torch.equal(_run(op, x)[0], _run(op, changed)[0]):
                remedy = "keep the first dimension apart; batch norm is allowed, as an nn.BatchNorm module"
                raise BrokenError(f"changing one clip changed another {mode}", remedy)
    if statistics:
        return "one of two clips changed, in eval; in training it uses batch statistics, as tables say"
    return "one of two clips changed, in training and in eval"


def looks_no_further_than_its_reach(case: Case) -> str:
    op = case.build().eval()
    ways = "to the past alone" if op.causal else "around the ends" if op.circular else "to each side"
    if op.reach is None and not op.causal:
        return "nothing: reach is not stated, and reports predict no horizon"
    x, t = _clips(op, n=1), op.num_frames
    y = _run(op, x)
    sources: dict[int, list[int]] = {}
    for frame in range(t):
        changed = x.clone()
        changed[:, frame] = _clips(op, n=1, seed=5)[:, frame]
        moved = (y != _run(op, changed)).flatten(2).any(dim=2)[0]
        for other in moved.nonzero().flatten().tolist():
            sources.setdefault(other, []).append(frame)
            if op.causal and other < frame:
                raise BrokenError(
                    f"frame {frame} moved {other}, which comes before it",
                    "read no later frame, or leave `causal` out",
                )
            apart = abs(other - frame)
            apart = min(apart, t - apart) if op.circular else apart
            if op.reach is not None and apart > op.reach:
                raise BrokenError(
                    f"reach is {op.reach}, but frame {frame} moved {other}",
                    f"state at least reach = {apart}; num_frames - 1 is the whole clip",
                )
    for frame, by in sources.items():
        if op.span is not None and max(by) - min(by) > op.span and not op.circular:
            raise BrokenError(
                f"span is {op.span}, but frames {min(by)} and {max(by)} both moved {frame}",
                f"state at least span = {max(by) - min(by)}, or leave it out",
            )
    return f"each of {t} frames changed; reach {op.reach} {ways}"


def every_parameter_learns(case: Case) -> str:
    idle: dict[str, Tensor] = {}
    for seed in SEEDS:
        op = case.build(seed)
        x = _clips(op, seed=seed, larger=2).requires_grad_()  # an operator may pool before it convolves
        y = _run(op, x)
        y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(seed + 100)))
        for name, parameter in op.named_parameters():
            if not parameter.requires_grad:
                raise BrokenError(f"{name} is frozen", "make it a buffer")
            if parameter.grad is None:
                raise BrokenError(f"{name} gets no gradient", "use it in forward, or remove it")
            if not parameter.grad.isfinite().all():
                raise BrokenError(
                    f"{name} gets a gradient that is not finite", "avoid dividing by zero, or roots of it"
                )
            still = parameter.grad == 0
            idle[name] = idle[name] & still if name in idle else still
        if x.grad is None or not (x.grad != 0).any():
            raise BrokenError("no gradient reaches the input", "do not detach x")
        if not any(still.any() for still in idle.values()):
            break
    for name, still in idle.items():
        if still.any():
            raise BrokenError(
                f"{int(still.sum())} of {still.numel()} numbers of {name} get no gradient "
                f"under any of {len(SEEDS)} seeds",
                "let the output depend on every number, or make those a buffer",
            )
    return (
        f"a backward pass under each of {len(SEEDS)} seeds, {sum(map(Tensor.numel, idle.values()))} numbers"
    )


def takes_any_number_of_clips_and_a_single_frame(case: Case) -> str:
    for mode, op in _modes(case.build(frames=1)):
        for n in (3,) if mode == "in training" else (1, 3):  # batch norm needs more than one value
            _run(op, _clips(op, n=n))
    return "one clip and three, of one frame"


def takes_the_channels_that_it_states(case: Case) -> str:
    step = case.operator.channels_multiple
    channels = (case.channels // step + 1) * step
    op = case.build(channels=channels)
    try:
        _run(op, _clips(op))
    except BrokenError as broken:
        raise BrokenError(
            f"of {channels} channels, {broken}", f"{broken.remedy}, or state `channels_multiple`"
        ) from None
    return f"{case.channels} and {channels} channels" + (f", multiples of {step}" if step > 1 else "")


def states_its_macs_as_torch_counts_them(case: Case) -> str:
    with torch.device("meta"):
        op = case.operator(case.channels, case.frames, **case.settings).eval()
    if op.macs(HEIGHT, WIDTH) is None:
        return "nothing: macs is not stated, and reports say so"
    for height, width in ((HEIGHT, WIDTH), (3 * HEIGHT, 2 * WIDTH)):
        macs = op.macs(height, width)
        if not isinstance(macs, int) or macs < 0:
            raise BrokenError(f"macs is {macs!r}", "return a whole number: multiply-adds of one clip")
        x = torch.empty(1, op.num_frames, op.channels, height, width, device="meta")
        try:
            with FlopCounterMode(display=False) as counter:
                op(x)
        except Exception as error:  # an operator of somebody's own need not run on shapes alone
            why = in_a_line(error)
            return f"that it is a count; torch could not run the operator on shapes alone ({why})"
        counted = counter.get_total_flops() // 2  # torch counts 2 a multiply-add
        if counted == 0:
            return "that it is a count; torch has none of elementwise arithmetic"
        if abs(macs - counted) > 1:
            raise BrokenError(
                f"macs says {macs:,} at {height} x {width} pixels, torch counts {counted:,}",
                "count convolutions, matrix products and stencils of one clip; leave elementwise arithmetic out",
            )
    return f"{HEIGHT} x {WIDTH} and {height} x {width} pixels, beside torch's counter"


def is_the_filter_that_it_says(case: Case) -> str:
    op = case.build().eval()
    stated = op.kernel()
    if stated is None:
        return "nothing: kernel is not stated"
    offsets, weights = stated
    if weights.shape != (len(offsets), op.channels):
        raise BrokenError(
            f"kernel has shape {tuple(weights.shape)}", "return one weight an offset and channel"
        )
    x = _clips(op)
    expected = torch.zeros_like(x)
    for offset, weight in zip(offsets, weights, strict=True):
        for frame in range(op.num_frames):
            if 0 <= frame + offset < op.num_frames:
                expected[:, frame] += weight[:, None, None] * x[:, frame + offset]
    difference = _difference(_run(op, x), expected)
    if not difference < TOLERANCE:
        raise BrokenError(
            f"filtering with its kernel gives another result, by {difference:.2g} of the largest number",
            "let `kernel` return what forward applies, or None",
        )
    return f"filtered by hand with {len(offsets)} taps"


def gives_on_a_stream_what_it_gives_on_a_clip(case: Case) -> str:
    op = case.build().eval()
    if reason := op.no_stream():
        return f"nothing: {reason}"
    exact = True
    for channels_last in (False, True):
        x = _clips(op, channels_last=channels_last)
        state: State = ()
        y = _run(op, x)
        for t in range(op.num_frames):
            frame = x[:, t]
            torch.manual_seed(3)
            one, state = op.step(frame, state)
            if one.shape != frame.shape or one.dtype != frame.dtype:
                raise BrokenError(
                    f"step made {tuple(one.shape)} {one.dtype} of a frame {tuple(frame.shape)} {frame.dtype}",
                    "return the frame's shape and dtype",
                )
            difference = _difference(one, y[:, t])
            if not difference < TOLERANCE:
                raise BrokenError(
                    f"frame {t} of a stream differs from that of a clip by {difference:.2g} of the largest number",
                    "let `step` give what `forward` gives for the last of all frames so far",
                )
            exact = exact and torch.equal(one, y[:, t])
    return f"{op.num_frames} frames one by one: the same {'to the bit' if exact else 'up to rounding'}"


PROMISES: tuple[Callable[[Case], str], ...] = (
    is_deterministic_under_a_seed,
    holds_its_tensors_as_parameters_or_buffers,
    keeps_shape_dtype_and_memory_format,
    follows_the_dtype_of_its_clips,
    gives_the_same_in_both_memory_formats,
    leaves_its_clips_as_they_are,
    never_mixes_clips,
    looks_no_further_than_its_reach,
    every_parameter_learns,
    takes_any_number_of_clips_and_a_single_frame,
    takes_the_channels_that_it_states,
    states_its_macs_as_torch_counts_them,
    is_the_filter_that_it_says,
    gives_on_a_stream_what_it_gives_on_a_clip,
)
