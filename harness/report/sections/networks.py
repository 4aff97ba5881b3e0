"""Networks at their papers' geometry: parameters and multiply-adds computed beside the printed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.analysis.summary import Summary
from harness.published import agrees
from harness.records import CostRecord
from harness.report.document.blocks import Block, Heading, Items, Paragraph, Table, one_line
from harness.report.format import letter, listed

NOTE = (
    "Computed: this project's own networks, counted from shapes alone, one clip; one multiply-add is 1 MAC. Printed: "
    "where a row has several clips, of one. Numbers agree where they are within 1 %, or round to what is printed; each "
    "other one has a sentence below. Latency was not measured."
)


def section(summary: Summary) -> list[Block]:
    """Nothing where a study costs no network beside its variants."""
    costed = summary.record.costed
    return [Heading(3, "Networks"), *table(costed, summary.reference)] if costed else []


def table(costed: Mapping[str, CostRecord], reference: Mapping[str, Any]) -> list[Block]:
    """A row for each network and each row of the reference, in the reference's order, and why numbers differ."""
    rows: list[list[str]] = []
    reasons: dict[str, list[str]] = {}  # each once, with the networks that it is said of
    printed_rows = reference.get("rows", {})
    for name in dict.fromkeys([*printed_rows, *costed]):
        printed = printed_rows.get(name, {})
        parts = [costed[part] for part in printed.get("sum", [name]) if part in costed]
        params = sum(part.params_total for part in parts) / 1e6 if parts else None
        macs = sum(part.macs_total or 0 for part in parts) / 1e9 if parts else None
        differs = not agrees(printed.get("params_m"), params) or not agrees(printed.get("gmacs"), macs)
        mark = " (?)" if differs else ""
        if why := one_line(printed.get("why", "")):
            reasons.setdefault(why, []).append(name)
            mark = f" ({letter(list(reasons).index(why))})"
        frames = printed.get("frames") or "+".join(str(part.geometry["num_frames"]) for part in parts)
        sizes = {part.geometry["size"] for part in parts}
        rows.append(
            [
                f"`{name}`{mark}",
                str(frames),
                f"{sizes.pop()}" if len(sizes) == 1 else "-",
                _number(params, ".2f"),
                _number(printed.get("params_m"), "g"),
                _number(macs, ".2f"),
                _number(printed.get("gmacs"), "g"),
            ]
        )
    header = ["network", "frames", "size", "parameters [M]", "printed", "MACs [G]", "printed"]
    classes = sorted({record.geometry["num_classes"] for record in costed.values()})
    note = f"{NOTE} With {' or '.join(map(str, classes))} classes."
    said = [f"({letter(i)}) {listed(names)}: {why}." for i, (why, names) in enumerate(reasons.items())]
    return [Table(header=header, rows=rows), Paragraph(note, "note"), *([Items(said)] if said else [])]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
