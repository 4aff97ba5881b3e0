"""The stencil compiled by TorchInductor: opt-in on a CPU, needs a C++ compiler, and pays seconds at its first call.

Frames are unrolled and every output is accumulated in registers, so forward reads and writes each number once, and
one backward kernel gives both gradients.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from operators.stencil.layout import Span

# The defaults make the compiler write each tap's partial sums to memory, which nearly doubles backward's traffic.
OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {
    "realize_opcount_threshold": 2000,
    "realize_reads_threshold": 500,
    "realize_acc_reads_threshold": 500,
}
MOST_FRAMES = 32  # unrolled, which takes a minute to compile; more take several
GRAPHS = 1024  # one for each T, table height, format and dtype; torch's limit of 8 would soon stop a bench


def missing(device: torch.device) -> str:
    """Why this path cannot run here; empty where it can."""
    if device.type != "cpu":
        return f"it is for CPU tensors, not {device.type}"
    compiler = os.environ.get("CXX", "g++")
    return "" if shutil.which(compiler) else f"it needs the C++ compiler {compiler}, which is not on PATH"


def forward(v: Tensor, table: Tensor, spans: Sequence[Span], channels_last: bool) -> Tensor:
    """A path's forward; see operators/stencil/__init__.py."""
    y: Tensor = _call(_filter, v, table, channels_last)
    return y


def backward(
    v: Tensor, g: Tensor, table: Tensor, spans: Sequence[Span], channels_last: bool, needs: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """A path's backward; see operators/stencil/__init__.py."""
    if all(needs):
        grads: tuple[Tensor, Tensor] = _call(_both_gradients, v, g, table, channels_last)
        return grads
    grad_x = _call(_filter, g, table.flip(0), channels_last) if needs[0] else None
    grad_table = _call(_grad_table, v, g, len(table), channels_last) if needs[1] else None
    return grad_x, grad_table


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=True, fullgraph=True, options=OPTIONS)


def _call(function: Callable[..., Any], *args: Any) -> Any:
    """Tensors go in detached: autograd is not the compiler's business here, and would be compiled for separately."""
    frames = args[0].shape[1]
    if frames > MOST_FRAMES:
        raise ValueError(
            f"stencil path 'inductor' unrolls at most {MOST_FRAMES} frames, not {frames}; choose eager"
        )
    args = tuple(a.detach() if isinstance(a, Tensor) else a for a in args)
    config = torch._dynamo.config
    with config.patch(recompile_limit=GRAPHS, accumulated_recompile_limit=GRAPHS):
        return _compiled(function)(*args)


def _filter(v: Tensor, table: Tensor, channels_last: bool) -> Tensor:
    frames, wide = v.unbind(1), torch.promote_types(v.dtype, torch.float32)
    reach = table.shape[0] // 2
    taps = table.to(wide) if channels_last else table.to(wide).unsqueeze(-1)
    outputs = []
    for t in range(len(frames)):
        total = None
        for d in _offsets(t, reach, len(frames)):
            term = frames[t + d].to(wide) * taps[reach + d]
            total = term if total is None else total + term
        assert total is not None  # d = 0 is always inside the clip
        outputs.append(total.to(v.dtype))
    return torch.stack(outputs, 1)


def _grad_table(v: Tensor, g: Tensor, rows: int, channels_last: bool) -> Tensor:
    frames, grads = v.unbind(1), g.unbind(1)
    reach, wide = rows // 2, torch.promote_types(v.dtype, torch.float32)
    result: list[Tensor | None] = []
    for d in range(-reach, reach + 1):
        total = None
        for t in range(len(frames)):
            if 0 <= t + d < len(frames):
                term = frames[t + d].to(wide) * grads[t].to(wide)
                total = term if total is None else total + term
        result.append(None if total is None else total.sum((0, 1) if channels_last else (0, 2)))
    centre = result[reach]
    assert centre is not None
    return torch.stack([torch.zeros_like(centre) if row is None else row for row in result])


def _both_gradients(v: Tensor, g: Tensor, table: Tensor, channels_last: bool) -> tuple[Tensor, Tensor]:
    return _filter(g, table.flip(0), channels_last), _grad_table(v, g, table.shape[0], channels_last)


def _offsets(t: int, reach: int, frames: int) -> range:
    return range(max(-reach, -t), min(reach, frames - 1 - t) + 1)
