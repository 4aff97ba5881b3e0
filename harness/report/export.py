"""A report's files: its pages, and its numbers as JSON and CSV, from which every number can be recomputed."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.analysis.summary import Row, Summary
from harness.files import csv_cell
from harness.records import to_json
from harness.report.document.blocks import Document
from harness.report.document.html import html
from harness.report.document.latex import latex
from harness.report.document.markdown import markdown
from harness.report.sections.answer import answer, cheapest_answer, headline
from harness.stats.distributions import ALPHA
from harness.stats.estimates import CONFIDENCE, Estimate, finite


def write_pages(document: Document, folder: Path) -> None:
    """The same document as a page, as Markdown, and its tables as LaTeX."""
    (folder / "README.md").write_text(markdown(document), encoding="utf-8")
    (folder / "index.html").write_text(html(document, folder / "figures"), encoding="utf-8")
    (folder / "tables.tex").write_text(latex(document.title, document.tables), encoding="utf-8")


def numbers(summary: Summary) -> dict[str, Any]:
    """The record, and every number that was computed from it; one that is none is null."""
    data = {
        "answer": answer(summary),
        "headline": headline(summary),
        "confidence": CONFIDENCE,
        "alpha": ALPHA,
        "correction": "Holm, over the rows tested",
        "rows": [_fields(row, but=("cost",)) for row in summary.rows],  # which stands in the record
        "lead": summary.lead,
        "pairs": summary.pairs,
        "hypotheses": summary.hypotheses,
        "cheapest": [
            _fields(one, but=("cheaper", "unknown", "close_unknown", "tested", "priced"))
            | {"words": cheapest_answer(one)}
            for one in summary.cheapest
        ],
        "breakdowns": summary.breakdowns,
        "clear_best": summary.clear_best,
        "bands": summary.bands,
        **_of_levels(summary),
        "reference": summary.reference,
        "record": to_json(summary.record),
    }
    written = dict(null_for_nan(data))
    return written | {"record_sha256": digest(written["record"])}


def digest(record: Any) -> str:
    """SHA-256 of a record as it stands in JSON, by which a reader knows that nobody edited it since."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _of_levels(summary: Summary) -> dict[str, Any]:
    """Only where there are such: a report from before is written again as it was."""
    found = {"ladder": summary.ladder, "sweep": summary.sweep}
    return {name: value for name, value in found.items() if value is not None}


def _fields(record: Any, but: Sequence[str] = ()) -> dict[str, Any]:
    names = (item.name for item in dataclasses.fields(record))
    return {name: getattr(record, name) for name in names if name not in but}


def json_text(value: Any, depth: int, indent: str = "") -> str:
    """JSON with one line an entry down to `depth`; what lies deeper stands on one line."""
    if depth == 0 or not value or not isinstance(value, dict | list):
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    inner = indent + " "
    if isinstance(value, dict):
        lines = [
            f"{json.dumps(str(key))}: {json_text(entry, depth - 1, inner)}" for key, entry in value.items()
        ]
    else:
        lines = [json_text(entry, depth - 1, inner) for entry in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    body = ",\n".join(inner + line for line in lines)
    return f"{opening}\n{body}\n{indent}{closing}"


def null_for_nan(value: Any) -> Any:
    """Plain dicts and lists, in which null stands for what is not a number: JSON has no word for that."""
    if dataclasses.is_dataclass(value):
        value = _fields(value)
    if isinstance(value, dict):
        return {key: null_for_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [null_for_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def variant_numbers(summary: Summary, row: Row) -> dict[str, Any]:
    numbers: dict[str, Any] = {"variant": row.variant, "finished": row.finished, "planned": row.planned}
    for metric in summary.metrics:
        numbers |= _estimate_numbers(metric, row.accuracy[metric])
    difference = row.difference
    numbers |= _estimate_numbers("difference", difference or Estimate(mean=math.nan, n=0))
    numbers |= {
        "p": difference.p if difference else None,
        "p_holm": difference.p_holm if difference else None,
        "verdict": difference.words if difference else "baseline",
        "covers": difference.covers if difference and difference.low is not None else None,
        "p_margin_holm": difference.p_margin_holm if difference else None,
        "effect": difference.effect if difference else None,
        "seeds_needed": difference.seeds_needed if difference else None,
        "exploratory": difference.exploratory if difference else None,
    }
    for name in ("trainings", "clips"):
        interval = getattr(difference, name) if difference else None
        for end in ("low", "high"):
            numbers[f"difference_{name}_{end}"] = getattr(interval, end) if interval else None
    cost, latency = row.cost, row.latency_ms
    for name in ("params_added", "params_total", "macs_added", "macs_total"):
        numbers[name] = getattr(cost, name) if cost else None
    for name in ("median", "q1", "q3", "n"):
        numbers[f"latency_ms_{name}"] = getattr(latency, name) if latency else None
    numbers["latency_doubtful"] = row.doubtful if latency else None
    for name in ("top1", "top5", "gmacs", "note"):
        numbers[f"paper_{name}"] = row.paper.get(name)
    numbers["paper_macs_reproduced"] = row.reproduced
    return numbers


def _estimate_numbers(name: str, value: Estimate) -> dict[str, Any]:
    return {
        f"{name}_mean": value.mean if value.n else None,
        f"{name}_low": value.low,
        f"{name}_high": value.high,
        f"{name}_n": value.n,
    }


def trial_numbers(summary: Summary) -> list[dict[str, Any]]:
    rows = []
    for trial in summary.trials:
        row: dict[str, Any] = {
            "trial_id": trial.trial_id,
            "variant": trial.variant,
            "seed": trial.seed,
            "status": trial.status,
            "reason": trial.reason,
        }
        for metric in [*summary.metrics[:2], "loss", *summary.metrics[2:]]:
            row[metric] = trial.last.get(metric)
        row |= {"best_epoch": trial.best.get("epoch"), "best_top1": trial.best.get("top1")}
        row |= {"seconds": trial.seconds, "run_id": trial.run_id}
        rows.append(
            {
                key: value if not isinstance(value, float) or finite(value) else None
                for key, value in row.items()
            }
        )
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)
