"""`torch.ops.mixtbench.stencil`, an operator of torch's own kind: checks, dispatch to a path, autograd, FLOPs."""

from __future__ import annotations

import difflib
import importlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from operators.stencil import layout
from operators.stencil.exported import exported
from operators.stencil.layout import Span

AUTO = "auto"
PATHS: tuple[str, ...] = ("reference", "eager", "inductor", "triton")


def stencil(
    x: Tensor, table: Tensor, spans: Sequence[Span], *, path: str = AUTO, taps: int | None = None
) -> Tensor:
    """Filter every channel along time.

    A NaN stays in its clip, channel and pixel, and within R frames. Half precision is accumulated in fp32 and rounded
    once. Autocast changes nothing here: the result has x's dtype whatever the table's.

    Args:
        x: (N, T, C, H, W), contiguous or channels_last; anything else is made contiguous first. N may be 0.
        table: (2R + 1, C), floating point, on x's device; may differ from x in dtype, and its gradient keeps it.
        spans: the non-zero rows, channels in order; together all C channels.
        path: one of PATHS; "auto" takes triton on CUDA and eager elsewhere.
        taps: multiply-adds for one pixel of one frame, which torch's FlopCounterMode is told whatever the path does;
            those of the spans where left out. A shift multiplies nothing and says 0.

    Returns:
        (N, T, C, H, W) in x's dtype and memory format.

    Raises:
        ValueError: the table does not fit x or the spans, or is on another device; no such path, or not here.
    """
    if x.dim() != 5:
        raise ValueError(f"x has {x.dim()} dimensions; a clip tensor is (N, T, C, H, W)")
    for name, tensor in (("x", x), ("table", table)):
        if not tensor.is_floating_point():
            raise ValueError(f"{name} is {tensor.dtype}; a stencil filters floating-point numbers")
    if table.dim() != 2 or table.shape[0] % 2 == 0 or table.shape[1] != x.shape[2]:
        raise ValueError(f"table {tuple(table.shape)} does not fit {x.shape[2]} channels as (2R + 1, C)")
    if table.device != x.device:
        raise ValueError(f"table is on {table.device}, x on {x.device}; move one of them")
    covered = sum(span.channels for span in spans)
    if covered != x.shape[2]:
        raise ValueError(f"spans cover {covered} of {x.shape[2]} channels")
    for span in spans:
        rows_fit = 0 <= span.first <= span.last < table.shape[0] and span.step >= 1
        if not rows_fit or (span.last - span.first) % span.step:
            raise ValueError(f"{span} does not stand in the rows 0 to {table.shape[0] - 1} of the table")
    check_path(path)
    if layout.is_exporting():
        return exported(x, table)
    flat = [number for span in spans for number in span]
    nominal = layout.taps_of(spans) if taps is None else taps
    output: Tensor = torch.ops.mixtbench.stencil(layout.canonical(x), table, flat, nominal, path)
    return output


def check_path(path: str) -> None:
    """Raises ValueError, with the nearest name, unless `path` is "auto" or one of PATHS."""
    if path not in (AUTO, *PATHS):
        close = difflib.get_close_matches(path, (AUTO, *PATHS), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join((AUTO, *PATHS))}"
        raise ValueError(f"no stencil path {path!r}; {hint}")


def missing(path: str, device: torch.device) -> str:
    """Why a path cannot run on a device of this machine, in a few words; empty where it can."""
    try:
        module = importlib.import_module(f"operators.stencil.{path}")
    except ImportError as error:
        if error.name is not None and error.name.startswith("operators"):
            raise
        return f"it needs {error.name}, which is not installed"
    reason: str = module.missing(device) if hasattr(module, "missing") else ""
    return reason


def meant(path: str, device: torch.device) -> str:
    """The path that runs: "auto" is triton on CUDA and eager elsewhere, never another one instead."""
    check_path(path)
    return path if path != AUTO else "triton" if device.type == "cuda" else "eager"


def choose(path: str, device: torch.device) -> str:
    """`meant`, where it can run.

    Raises:
        ValueError: no such path, or it cannot run on this device here.
    """
    chosen = meant(path, device)
    reason = missing(chosen, device)
    if reason:
        working = [p for p in ("eager", "reference") if p != chosen]
        raise ValueError(f"stencil path {chosen!r} cannot run here: {reason}; choose {' or '.join(working)}")
    return chosen


# Schemas are written out: torch 2.6 reads none from `list[int]`.
@torch.library.custom_op(
    "mixtbench::stencil",
    mutates_args=(),
    schema="(Tensor x, Tensor table, int[] spans, int taps, str path) -> Tensor",
)
def _stencil(x: Tensor, table: Tensor, spans: list[int], taps: int, path: str) -> Tensor:
    module = _module(path, x.device)
    x = layout.canonical(x)
    if x.numel() == 0:
        return torch.empty_like(x)
    channels_last = layout.is_channels_last(x)
    # Autocast stays on inside an operator of our own; a convolution in it would then change the dtype.
    with torch.autocast(x.device.type, enabled=False):
        y = module.forward(layout.view(x, channels_last), table, _spans(spans), channels_last)
    return layout.like(y, x)


@_stencil.register_fake
def _(x: Tensor, table: Tensor, spans: list[int], taps: int, path: str) -> Tensor:
    return torch.empty_like(layout.canonical(x))


@torch.library.custom_op(
    "mixtbench::stencil_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor x, Tensor table, int[] spans, int taps, str path, bool[] needs) -> (Tensor, Tensor)",
)
def _stencil_backward(
    grad: Tensor, x: Tensor, table: Tensor, spans: list[int], taps: int, path: str, needs: list[bool]
) -> tuple[Tensor, Tensor]:
    """Gradients of x and of the table; an empty tensor for one that is not needed."""
    module = _module(path, x.device)
    x = layout.canonical(x)
    if x.numel() == 0:
        return torch.empty_like(x) if needs[0] else x.new_empty(0), torch.zeros_like(table)
    channels_last = layout.is_channels_last(x)
    grad = layout.in_format(grad, channels_last)  # it may come back in the other format, or expanded
    v, g = layout.view(x, channels_last), layout.view(grad, channels_last)
    with torch.autocast(x.device.type, enabled=False):
        grad_v, grad_table = module.backward(v, g, table, _spans(spans), channels_last, (needs[0], needs[1]))
    return (
        x.new_empty(0) if grad_v is None else layout.like(grad_v, x),
        table.new_empty(0) if grad_table is None else grad_table.to(table.dtype).contiguous(),
    )


@_stencil_backward.register_fake
def _(
    grad: Tensor, x: Tensor, table: Tensor, spans: list[int], taps: int, path: str, needs: list[bool]
) -> tuple[Tensor, Tensor]:
    return (
        torch.empty_like(layout.canonical(x)) if needs[0] else x.new_empty(0),
        table.new_empty(table.shape) if needs[1] else table.new_empty(0),
    )


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, table, *ctx.rest = inputs
    ctx.save_for_backward(x, table)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, table = ctx.saved_tensors
    needs = list(ctx.needs_input_grad[:2])
    grad_x, grad_table = torch.ops.mixtbench.stencil_backward(grad, x, table, *ctx.rest, needs)
    # A span's zeros are structural; autograd of the padding that built the table drops their gradient.
    return grad_x if needs[0] else None, grad_table if needs[1] else None, None, None, None


_stencil.register_autograd(_backward, setup_context=_setup_context)


@register_flop_formula(torch.ops.mixtbench.stencil)
def _flops(x: Any, table: Any, spans: Any, taps: int, path: str, **kwargs: Any) -> int:
    """2 per multiply-add, taps outside the clip counted, whichever path runs: they do different arithmetic."""
    n, t, _, h, w = x
    return 2 * taps * math.prod((n, t, h, w))


@register_flop_formula(torch.ops.mixtbench.stencil_backward)
def _flops_backward(
    grad: Any, x: Any, table: Any, spans: Any, taps: int, path: str, needs: list[bool], **kwargs: Any
) -> int:
    return sum(needs) * _flops(x, table, spans, taps, path)


def _module(path: str, device: torch.device) -> Any:
    return importlib.import_module(f"operators.stencil.{choose(path, device)}")


def _spans(flat: list[int]) -> list[Span]:
    return [Span(*four) for four in zip(*[iter(flat)] * 4, strict=True)]
