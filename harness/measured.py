"""What was measured of every variant beyond the latency of its forward pass: steps, memory, and where the time goes."""

from __future__ import annotations

from harness.document import Block, Cell, Heading, Paragraph, Table, one_line
from harness.records import CostRecord
from harness.stats import percentile
from harness.summary import Summary

WAYS = {
    "": "",
    "1_thread": "on one thread",
    "cold": "caches flushed before each pass",
    "graph": "as a CUDA graph",
}
KINDS = {"forward": "forward", "forward_backward": "forward and backward", "step": "training step"}


def steps(summary: Summary) -> list[Block]:
    """Percentiles of everything that was timed, throughput, memory, and the operators' share. None if only counted."""
    costs = {row.variant: row.cost for row in summary.rows if row.cost}
    timed = [
        (kind, way)
        for way in WAYS
        for kind in KINDS
        if any(samples(cost, kind, way) for cost in costs.values())
    ]
    kept = any(cost.activation_mib is not None for cost in costs.values())
    peaks = any(cost.peak_memory_mib for cost in costs.values())
    shares = [kind for kind in KINDS if any(kind in cost.temporal_share for cost in costs.values())]
    if not (timed or kept or peaks or shares):
        return []
    header = ["variant", *(f"{KINDS[kind]} {WAYS[way]}".strip() + " [ms]" for kind, way in timed)]
    header += ["clips/s"] if ("forward", "") in timed else []
    header += ["clips/s in training"] if ("step", "") in timed else []
    header += ["kept for backward [MiB]"] if kept else []
    header += ["peak of a step [MiB]"] if peaks else []
    header += [f"in operators: {KINDS[kind]}" for kind in shares]
    rows: list[list[str | Cell]] = []
    for row in summary.rows:
        cells: list[str | Cell] = [f"`{row.variant}`"]
        if row.cost is None:
            rows.append([*cells, *["not measured"] * (len(header) - 1)])
            continue
        cost = row.cost
        cells += [_percentiles(samples(cost, kind, way)) for kind, way in timed]
        for kind in ("forward", "step"):
            if (kind, "") in timed:
                own = samples(cost, kind, "")
                cells.append(f"{1e3 / percentile(own, 0.5):.2f}" if own else "not measured")
        cells += [_mib(cost.activation_mib)] if kept else []
        cells += [_mib(cost.peak_memory_mib.get("step"))] if peaks else []
        cells += [
            f"{100 * cost.temporal_share[kind]:.1f} %" if kind in cost.temporal_share else "not measured"
            for kind in shares
        ]
        rows.append(cells)
    note = "Times are p50, p95 of single passes of one clip after warm-up; clips/s is 1 over p50."
    if kept:
        note += " Kept for backward: activations of one clip, counted from shapes."
    if peaks:
        note += " Peak: the most that tensors took at once, weights and the optimiser's state included."
    if shares:
        note += " In operators: their part of the time, in a training step with their backward."
    return [Table(header=header, rows=rows), Paragraph(note, "note")]


def kernels(summary: Summary) -> list[Block]:
    """The heaviest kernels of every variant that was profiled."""
    blocks: list[Block] = []
    for row in summary.rows:
        if row.cost and row.cost.heaviest:
            rows = [
                [
                    f"`{one_line(kernel['kernel'])}`",
                    f"{kernel['calls']:g}",
                    f"{kernel['ms']:.3f}",
                    f"{100 * kernel['share']:.1f} %",
                ]
                for kernel in row.cost.heaviest
            ]
            fold = f"`{row.variant}`: the {len(rows)} heaviest kernels"
            blocks.append(
                Table(header=["kernel", "calls a step", "ms a step", "share"], rows=rows, fold=fold)
            )
    if not blocks:
        return []
    note = (
        "Time of their own in profiled training steps of one clip; on a CPU a kernel is an operation of torch. "
        "Profiling takes time itself: compare shares."
    )
    return [Heading(3, "Where a training step goes"), *blocks, Paragraph(note, "note")]


def samples(cost: CostRecord, kind: str, way: str) -> list[float]:
    """What was timed of a kind of pass in a way, in milliseconds; empty where it was not."""
    if not way and kind == "forward":
        return cost.latency_ms
    return cost.samples_ms.get(f"{kind}@{way}" if way else kind, [])


def _percentiles(own: list[float]) -> str:
    return f"{percentile(own, 0.5):.1f}, {percentile(own, 0.95):.1f}" if own else "not measured"


def _mib(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.0f}"
