"""Where a variant's time goes: traces of warm passes by torch's profiler, operators named in them.

A trace opens in Perfetto (https://ui.perfetto.dev, or offline with `vizviewer`) and in TensorBoard with its plugin
torch-tb-profiler; `harness.cost.timeline` draws the same without any of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from harness.cost.latency import TimedNetwork
from harness.files import write_whole
from operators import TemporalOp

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch 2.13 prints a line at each begin and end of a trace

STEPS = 2  # profiled after one that warms the profiler up
HEAVIEST = 10

_BACKWARD = "autograd::engine::evaluate_function: "


@dataclass(frozen=True)
class Span:
    """One operation of the last profiled pass, in microseconds from its begin.

    lane: "CPU" or a GPU's stream. kind: "temporal" (in a temporal operator, its backward included) or "other".
    """

    name: str
    lane: str
    start_us: float
    length_us: float
    kind: str


@dataclass(frozen=True)
class Profile:
    """What profiled passes of one variant say.

    temporal_share: part (0 to 1) of their time spent in temporal operators, and where they train, in their backward.
    kernels: every kernel (on a CPU every operation of torch) by its own time, heaviest first: "kernel", "calls" and
        "ms" (both a pass), "share" (0 to 1).
    peak_memory_mib: the most that tensors took at once.
    spans: the last pass; pass_ms: its length.
    """

    temporal_share: float
    kernels: list[dict[str, Any]]
    peak_memory_mib: float
    spans: list[Span]
    pass_ms: float


def profile_forward(case: TimedNetwork) -> Profile:
    """Profile evaluation passes of a warm case."""
    return _profiled(case, case.forward, None)


def profile_step(case: TimedNetwork, trace: Path | None = None) -> Profile:
    """Profile training steps of a case, after one that warms it up.

    Args:
        trace: where to write the trace; its name must end in `.pt.trace.json` for TensorBoard to find it.
    """
    case.step()
    return _profiled(case, case.step, trace)


def _profiled(case: TimedNetwork, run: Callable[[], object], trace: Path | None) -> Profile:
    on_gpu = case.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    resident = case.state_bytes()
    with (
        _named_operators(case.model) as made,
        profile(
            activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu,
            schedule=schedule(wait=0, warmup=1, active=STEPS, repeat=1),
            record_shapes=trace is not None,
            profile_memory=True,
            acc_events=True,
        ) as profiler,
    ):
        for _ in range(1 + STEPS):
            run()
            if on_gpu:
                torch.cuda.synchronize()
            profiler.step()
    if trace is not None:
        write_whole(trace, lambda temporary: profiler.export_chrome_trace(str(temporary)))
    events = [event for event in profiler.events() if event.name != "[memory]"]
    peak = torch.cuda.max_memory_allocated() if on_gpu else resident + _allocated_peak(profiler)
    passes = [event for event in events if event.name.startswith("ProfilerStep") and _on_cpu(event)]
    spans = _spans(events, passes[-1], made)
    return Profile(
        temporal_share=_temporal_share(events, made, on_gpu),
        kernels=_kernels(events, on_gpu),
        peak_memory_mib=peak / 2**20,
        spans=spans,
        pass_ms=(passes[-1].time_range.end - passes[-1].time_range.start) / 1e3,
    )


@contextmanager
def _named_operators(model: nn.Module) -> Iterator[set[int]]:
    """Meanwhile every temporal operator is a named range, `temporal_op::<name>`.

    Yields the sequence numbers of the autograd nodes that operators made: their backward carries the same.
    """
    made: set[int] = set()
    open_ranges: list[tuple[Any, int]] = []

    def enter(op: nn.Module, inputs: object) -> None:
        named = record_function(f"temporal_op::{type(op).name}")  # type: ignore[attr-defined]
        named.__enter__()
        open_ranges.append((named, torch._C._autograd._get_sequence_nr()))

    def leave(op: nn.Module, inputs: object, output: object) -> None:
        named, first = open_ranges.pop()
        made.update(range(first, torch._C._autograd._get_sequence_nr()))
        named.__exit__(None, None, None)

    operators = [module for module in model.modules() if isinstance(module, TemporalOp)]
    hooks = [op.register_forward_pre_hook(enter) for op in operators]
    hooks += [op.register_forward_hook(leave) for op in operators]
    try:
        yield made
    finally:
        for hook in hooks:
            hook.remove()


def _on_cpu(event: Any) -> bool:
    return bool(event.device_type == DeviceType.CPU)


def _is_temporal(event: Any, made: set[int]) -> bool:
    if event.name.startswith("temporal_op::"):
        return True
    return event.name.startswith(_BACKWARD) and event.sequence_nr in made


def _temporal_share(events: list[Any], made: set[int], on_gpu: bool) -> float:
    """On a CPU of the time of the passes, on a GPU of the time of all kernels."""
    temporal = [event for event in events if _on_cpu(event) and _is_temporal(event, made)]
    if on_gpu:
        total = sum(e.time_range.elapsed_us() for e in events if not (_on_cpu(e) or _is_range(e)))
        return float(sum(event.device_time_total for event in temporal) / total) if total else 0.0
    total = sum(event.cpu_time_total for event in events if event.name.startswith("ProfilerStep"))
    return float(sum(event.cpu_time_total for event in temporal) / total)


def _kernels(events: list[Any], on_gpu: bool) -> list[dict[str, Any]]:
    own: dict[str, list[float]] = {}
    for event in events:
        if _is_range(event) or _on_cpu(event) == on_gpu:
            continue
        elapsed = event.time_range.elapsed_us() if on_gpu else event.self_cpu_time_total
        own.setdefault(event.name, []).append(elapsed)
    total = sum(map(sum, own.values())) or 1.0
    rows = [
        {
            "kernel": name,
            "calls": len(times) / STEPS,
            "ms": sum(times) / STEPS / 1e3,
            "share": sum(times) / total,
        }
        for name, times in own.items()
    ]
    return sorted(rows, key=lambda row: -row["ms"])


def _is_range(event: Any) -> bool:
    """Named by a program, not an operation: this module's ranges, the profiler's steps, an optimiser's."""
    return bool(event.is_user_annotation) or event.name.startswith(("temporal_op::", "ProfilerStep"))


def _allocated_peak(profiler: profile) -> int:
    """Bytes above those allocated when the trace began."""
    inner = profiler.profiler
    assert inner is not None
    assert inner.kineto_results is not None
    changes = [e for e in inner.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for change in sorted(changes, key=lambda e: e.start_ns()):
        now += change.nbytes()  # type: ignore[attr-defined]
        most = max(most, now)
    return most


def _spans(events: list[Any], last: Any, made: set[int]) -> list[Span]:
    """Operations within the last pass, long enough to be seen, by begin."""
    begin, end = last.time_range.start, last.time_range.end
    shortest = (end - begin) / 4000
    inside = [
        e
        for e in events
        if begin <= e.time_range.start < end
        and e.time_range.elapsed_us() >= shortest
        and not e.name.startswith("ProfilerStep")
    ]
    inside.sort(key=lambda e: (e.time_range.start, -e.time_range.elapsed_us()))
    temporal_until: dict[str, float] = {}
    spans = []
    for e in inside:
        lane = f"CPU thread {e.thread}" if _on_cpu(e) else f"GPU stream {e.device_resource_id}"
        if _is_temporal(e, made):
            temporal_until[lane] = max(temporal_until.get(lane, 0.0), e.time_range.end)
        kind = "temporal" if e.time_range.end <= temporal_until.get(lane, 0.0) else "other"
        spans.append(Span(e.name, lane, e.time_range.start - begin, e.time_range.elapsed_us(), kind))
    return spans
