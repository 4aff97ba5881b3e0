"""Names and values of metrics, as MLflow allows them and its pages show them well."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable

from harness.records import CostRecord
from harness.stats.estimates import percentile

NAMES = {"epoch": "time/epoch"}
"""Metrics that are named otherwise in MLflow, whose charts are grouped by what stands before the `/`."""


LONGEST = 250
"""Characters of a metric's name, as MLflow allows them."""


def metric_name(name: str) -> str:
    """As MLflow allows it: in its characters, cut where it is too long, and no path with `//` or `..` in it."""
    name = "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in NAMES.get(name, name))[:LONGEST]
    return "/".join(word if word.strip(".") else "_" * max(1, len(word)) for word in name.split("/"))


def metric_names(names: Iterable[str]) -> dict[str, str]:
    """The names of metrics that are logged together, each another one: of those that would be alike, later ones get a
    number."""
    given: dict[str, str] = {}
    for name in names:
        allowed = candidate = metric_name(name)
        for number in itertools.count(2):
            if candidate not in given.values():
                break
            candidate = f"{allowed[: LONGEST - 6]}.{number}"
        given[name] = candidate
    return given


EPOCH, TOP1 = metric_name("epoch"), metric_name("val/top1")


def digest(fingerprint: str) -> str:
    """A data set's fingerprint, as long as MLflow allows it."""
    return fingerprint[:36]


def rounded(value: float) -> float:
    """Six digits: MLflow's pages show as many as there are."""
    return float(f"{value:.6g}")


def cost_metrics(cost: CostRecord) -> dict[str, float]:
    """What a variant costs, as metrics under `cost/`: only what was measured; of samples the median."""
    values = {"cost/params_added": float(cost.params_added), "cost/params_total_m": cost.params_total / 1e6}
    if cost.macs_total is not None and cost.macs_added is not None:
        values |= {"cost/macs_added_g": cost.macs_added / 1e9, "cost/macs_total_g": cost.macs_total / 1e9}
    if cost.activation_mib is not None:
        values["cost/activation_mib"] = cost.activation_mib
    if cost.latency_ms:
        values["cost/latency_ms"] = statistics.median(cost.latency_ms)
        values["cost/latency_p95_ms"] = percentile(cost.latency_ms, 0.95)
        values["cost/clips_per_s"] = 1e3 / values["cost/latency_ms"]
    for name, samples in cost.samples_ms.items():
        key = f"cost/{name.replace('@', '_')}"
        values |= {f"{key}_ms": statistics.median(samples), f"{key}_p95_ms": percentile(samples, 0.95)}
    values |= {f"cost/peak_memory_{name}_mib": value for name, value in cost.peak_memory_mib.items()}
    values |= {f"cost/temporal_share_{name}": value for name, value in cost.temporal_share.items()}
    return values


def cost_tags(cost: CostRecord | None) -> dict[str, str]:
    """What must stand beside `cost_metrics`: whether a latency is doubtful."""
    return {"latency": "doubtful" if cost.doubts else "measured"} if cost and cost.latency_ms else {}
