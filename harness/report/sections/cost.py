"""What a variant costs: parameters, MACs, latency, steps, memory, and where the time goes."""

from __future__ import annotations

from typing import Any

from harness.analysis.summary import Row, Summary
from harness.published import added_gmacs
from harness.records import CostRecord
from harness.report.document.blocks import Block, Cell, Heading, Items, Paragraph, Table, one_line
from harness.report.format import letter, listed, milliseconds
from harness.stats.estimates import percentile
from harness.units import geometry_on_page, macs

WAYS = {
    "": "",
    "1_thread": "on one thread",
    "cold": "caches flushed before each pass",
    "graph": "as a CUDA graph",
}

KINDS = {"forward": "forward", "forward_backward": "forward and backward", "step": "training step"}

ABSENT = "not measured"

PROFILED = (
    "Time of their own in profiled training steps of one clip; on a CPU a kernel is an operation of torch. "
    "Profiling takes time itself: compare shares."
)


def section(summary: Summary) -> list[Block]:
    return [Heading(3, "Cost"), *_costs(summary), *_steps(summary), *_kernels(summary)]


def _costs(summary: Summary) -> list[Block]:
    """Parameters, MACs and latency, with the paper's MACs and why some are not reproduced."""
    if not summary.record.costs:
        return [Paragraph("Not measured.")]
    printed_any = any(row.paper.get("gmacs") is not None for row in summary.rows)
    header = [
        "variant",
        *([] if summary.one_network else ["all parameters"]),
        "added parameters",
        "added MACs",
    ]
    header += ["total MACs", "latency of one clip [ms]", *(["paper: MACs"] if printed_any else [])]
    rows: list[list[str]] = []
    marks: list[str] = []
    for row in summary.rows:
        cost, cells = row.cost, [f"`{row.variant}`"]
        if cost is None:
            cells += [ABSENT] * (4 if summary.one_network else 5)
        else:
            cells += [] if summary.one_network else [f"{cost.params_total:,}"]
            cells += [f"{cost.params_added:+,}", macs(cost.macs_added, sign="+"), macs(cost.macs_total)]
            cells += [milliseconds(row.latency_ms, doubtful=row.doubtful)]
        if printed_any:
            printed, mark = row.paper.get("gmacs"), ""
            if row.reproduced is False and cost:
                mark = f" ({letter(len(marks))})"
                marks.append(_not_reproduced(summary.reference, row, cost, mark))
            cells.append(f"{printed} G{mark}" if printed is not None else "-")
        rows.append(cells)
    claims = [f"The paper's {claim}" for claim in summary.reference.get("claims", [])]
    where = geometry_on_page(row.cost for row in summary.rows if row.cost)
    caption = f"Cost of one clip in `{summary.record.name}`: {where}. Latency: median [quartiles]."
    table = Table(header=header, rows=rows, label="cost", caption=caption, notes=[*marks, *claims])
    return [table, Paragraph(_note(summary), "note"), *_doubts(summary)]


def _not_reproduced(reference: dict[str, Any], row: Row, cost: CostRecord, mark: str) -> str:
    added, unit = added_gmacs(reference, row.variant) or (0.0, 1.0)
    decimals = len(str(unit).partition(".")[2]) if unit < 1 else 0
    return (
        f"{mark.strip()} `{row.variant}`: "
        f"the paper's {row.paper['gmacs']} G is {added:+.{decimals}f} G over its plain network; "
        f"not reproduced: computed {macs(cost.macs_added, sign='+')}."
    )


def _note(summary: Summary) -> str:
    known = [row.cost for row in summary.rows if row.cost]
    note = "" if summary.one_network else "Added is what operators add to their row's own network. "
    note += f"Costs are for one clip: {geometry_on_page(known)}. "
    note += "One multiply-add is 1 MAC; papers often print FLOPS."
    if instead := trained_instead(summary):
        note += f" Trained here instead: {instead}."
    if "added_to" in summary.reference and any(row.paper.get("gmacs") is not None for row in summary.rows):
        network = summary.reference["added_to"]
        note += f" The paper counts from a plain network of {network} G; compared is what a variant adds."
    if mixing := [row.variant for row in summary.rows if row.cost and row.cost.batch_statistics]:
        note += f" Uses batch statistics, in which the clips of a batch meet in training: {listed(mixing)}."
    timed = [cost for cost in known if cost.latency_ms]
    if not timed:
        return f"{note} Latency was not measured."
    note += " Latency is the median [quartiles] of n single passes after warm-up"
    if len({tuple(cost.measured_on.items()) for cost in timed}) > 1:
        different = "variants were timed under different conditions (`results.json`): do not compare them."
        return f"{note}; {different}"
    where = ", ".join(f"{key} {one_line(value)}" for key, value in timed[0].measured_on.items())
    return f"{note}, on {where}." if where else f"{note}."


def trained_instead(summary: Summary) -> str:
    """In what the networks that were trained differ from those whose cost is given: nobody should take one for the
    other. "" where in nothing."""
    known = [row.cost for row in summary.rows if row.cost]
    shape = known[0].geometry if known else {}
    settings = [summary.record.settings.get(row.variant, {}) for row in summary.rows if row.cost]
    models, data = [one.get("model", {}) for one in settings], [one.get("data", {}) for one in settings]
    backbones, widths, crops, stages = (
        list(dict.fromkeys(str(part[key]) for part in parts if key in part))
        for parts, key in ((models, "backbone"), (models, "width"), (data, "crop"), (models, "stages"))
    )
    found = []
    if set(backbones) - {str(cost.geometry.get("backbone")) for cost in known}:
        found += [listed(backbones)]
    if narrow := [width for width in widths if float(width) != 1]:
        found += [f"{'some with ' if len(narrow) < len(widths) else ''}a width of {' or '.join(narrow)}"]
    if set(crops) - {str(shape.get("size"))}:
        found += [f"{' or '.join(f'{size}x{size}' for size in crops)} pixels"]
    if "stages" in shape and set(stages) - {str(shape["stages"])}:
        found += [f"operators in stages {' or '.join(one.strip('[]') for one in stages)}"]
    return ", ".join(found)


def _doubts(summary: Summary) -> list[Block]:
    """Why a measurement may be doubtful, each reason with the variants that it is said of."""
    found: dict[str, list[str]] = {}
    for row in summary.rows:
        for text in row.cost.warnings if row.cost else ():
            found.setdefault(one_line(text), []).append(row.variant)
    if not found:
        return []
    lines = [f"{listed(variants)}: {text}" for text, variants in found.items()]
    return [Paragraph("What makes measurements doubtful; ? marks a doubtful time:"), Items(lines)]


def _steps(summary: Summary) -> list[Block]:
    """Percentiles of all that was timed, throughput, memory, and the operators' share; nothing if only counted."""
    costs = {row.variant: row.cost for row in summary.rows if row.cost}
    timed = [
        (kind, way)
        for way in WAYS
        for kind in KINDS
        if any(cost.samples(kind, way) for cost in costs.values())
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
            rows.append([*cells, *[ABSENT] * (len(header) - 1)])
            continue
        cost = row.cost
        cells += [_percentiles(cost, kind, way) for kind, way in timed]
        cells += [_clips_per_s(cost, kind) for kind in ("forward", "step") if (kind, "") in timed]
        cells += [_mib(cost.activation_mib)] if kept else []
        cells += [_mib(cost.peak_memory_mib.get("step"))] if peaks else []
        cells += [_per_cent(cost.temporal_share.get(kind)) for kind in shares]
        rows.append(cells)
    notes = []
    if timed:
        notes += ["Times are p50, p95 of single passes of one clip after warm-up; clips/s is 1 over p50."]
    if kept:
        notes += ["Kept for backward: activations of one clip, counted from shapes."]
    if peaks:
        notes += ["Peak: the most that tensors took at once, weights and the optimiser's state included."]
    if shares:
        backward = ", in a training step with their backward" if "step" in shares else ""
        notes += [f"In operators: their part of the time{backward}."]
    return [Table(header=header, rows=rows), Paragraph(" ".join(notes), "note")]


def _percentiles(cost: CostRecord, kind: str, way: str) -> str:
    own, mark = cost.samples(kind, way), " ?" if cost.doubts_of(kind, way) else ""
    return f"{percentile(own, 0.5):.1f}, {percentile(own, 0.95):.1f}{mark}" if own else ABSENT


def _clips_per_s(cost: CostRecord, kind: str) -> str:
    own, mark = cost.samples(kind, ""), " ?" if cost.doubts_of(kind, "") else ""
    return f"{1e3 / percentile(own, 0.5):.2f}{mark}" if own else ABSENT


def _mib(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.0f}"


def _per_cent(share: float | None) -> str:
    return ABSENT if share is None else f"{100 * share:.1f} %"


def _kernels(summary: Summary) -> list[Block]:
    """The heaviest kernels of every variant that was profiled."""
    tables: list[Block] = []
    for row in summary.rows:
        rows = [_kernel(kernel) for kernel in row.cost.heaviest] if row.cost else []
        if rows:
            header = ["kernel", "calls a step", "ms a step", "share"]
            fold = f"`{row.variant}`: the {len(rows)} heaviest kernels"
            tables.append(Table(header=header, rows=rows, fold=fold))
    if not tables:
        return []
    return [Heading(3, "Where a training step goes"), *tables, Paragraph(PROFILED, "note")]


def _kernel(kernel: dict[str, Any]) -> list[str]:
    name = f"`{one_line(kernel['kernel'])}`"
    return [name, f"{kernel['calls']:g}", f"{kernel['ms']:.3f}", _per_cent(kernel["share"])]
