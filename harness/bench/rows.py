"""From samples to rows: two for each form, a dict of plain values each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from harness.bench.forms import PUBLISHED, Case
from harness.bench.timing import MOVED, Timed
from harness.stats.estimates import percentile
from operators import TemporalOp

Row = dict[str, Any]

INVERSE = {"median": "median", "low": "high", "high": "low"}


def rows_of(timed: Sequence[Timed], copies: Sequence[float], case: Case) -> list[Row]:
    """Two rows a form: forward, and forward with backward. A form that failed has its reason and no figure."""
    published = next((t.samples for t in timed if t.form.operator == PUBLISHED and not t.failed), None)
    result = []
    for one in timed:
        for what, moved in MOVED.items():
            row: Row = {"operator": one.form.operator, "path": one.form.path, "pass": what}
            row |= asdict(case) | {"bytes": case.bytes, "failed": one.failed, "errors": one.errors}
            if not one.failed:
                row |= _figures(one, what, moved, copies, case, published)
            result.append(row)
    return result


def _figures(
    one: Timed,
    what: str,
    moved: int,
    copies: Sequence[float],
    case: Case,
    published: Mapping[str, list[float]] | None,
) -> Row:
    samples = one.samples[what]
    p50 = percentile(samples, 0.5)
    x_copy = interval([a / b for a, b in zip(samples, copies, strict=True)])
    op = one.form.op
    macs = op.macs(case.size, case.size) if isinstance(op, TemporalOp) else None
    if macs is not None:  # backward: once more for the gradient of x, and once for that of parameters
        macs *= case.clips * (1 if what == "forward" else 2 + any(True for _ in op.parameters()))
    figures = {
        "samples": len(samples),
        "latency_ms": {"p50": p50, "p95": percentile(samples, 0.95)},
        "copy_ms": percentile(copies, 0.5),
        "x_copy": x_copy,
        "least_bytes": moved * case.bytes,
        "gb_per_s": moved * case.bytes / p50 / 1e6,
        "of_copy": {key: moved / 2 / x_copy[inverse] for key, inverse in INVERSE.items()},
        "macs": macs,
        "first_call_s": one.first_call_s,
        "saved_mib": one.saved_mib,
        "peak_mib": one.peak_mib,
    }
    if one.waits[what].too_short:
        figures["launches_in_it"] = True
    if what == "forward" and one.graph_ms:
        figures["graph_ms"] = percentile(one.graph_ms, 0.5)
    elif what == "forward" and one.graph_failed:
        figures["graph_failed"] = one.graph_failed
    if published is not None and one.form.operator == "mixtconv":
        ratios = [a / b for a, b in zip(published[what], samples, strict=True)]
        figures["times_as_fast_as_published"] = interval(ratios)
    return figures


def interval(ratios: Sequence[float], draws: int = 2000) -> dict[str, float]:
    """Median of per-round ratios, with a 95 % bootstrap interval over rounds (percentiles, seeded)."""
    values = torch.tensor(ratios, dtype=torch.float64)
    picks = torch.randint(len(values), (draws, len(values)), generator=torch.Generator().manual_seed(0))
    medians = values[picks].quantile(0.5, dim=1)
    low, high = medians.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return {"median": float(values.quantile(0.5)), "low": low, "high": high}


def ratio(value: Mapping[str, float]) -> str:
    """A median and its interval in words."""
    return "{median:.2f} [{low:.2f}, {high:.2f}]".format(**value)
