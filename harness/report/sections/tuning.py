"""What was chosen for each row before its seeds ran, and what every value scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.records import StudyRecord
from harness.report.document.blocks import Block, Cell, Heading, Paragraph, Table
from harness.report.format import listed
from harness.stats.estimates import finite


def section(record: StudyRecord) -> list[Block]:
    found = record.tuning
    if not found:
        return []
    key, values, part = found["key"], found["values"], 100 * found["holdout"]
    rows: list[list[str | Cell]] = []
    for row, there in found["tried"].items():
        chosen = found["chosen"].get(row, "")
        scores = [_score(there[value], value == chosen) for value in values]
        rows.append([f"`{row}`", *scores, chosen or "not yet"])
    return [
        Heading(2, "Equal tuning"),
        Paragraph(
            f"Every row was tried at each `{key}` before its seeds ran: trained once, with seed {found['seed']}, "
            f"without {part:g} % of the training clips, and scored on those. No validation clip had a say, and no "
            "verdict uses that seed. The value with the highest top-1 was chosen; of equals, the lower loss."
        ),
        Table(
            header=["row", *(f"{value} [%]" for value in values), "chosen"],
            rows=rows,
            label="tuning",
            caption=f"Top-1 of `{record.name}` on held-out training clips by `{key}`, one training each.",
        ),
        *_at_an_end(found),
    ]


def _score(trial: Mapping[str, Any], chosen: bool) -> str | Cell:
    if trial["status"] != "done":
        return "not run" if trial["status"] == "missing" else str(trial["status"])
    if not finite(trial.get("top1")):
        return "no number"
    score = f"{trial['top1']:.1f}"
    return Cell(score, strong=True) if chosen else score


def _at_an_end(found: Mapping[str, Any]) -> list[Block]:
    """A choice at an end may not be the best there is."""
    ordered = sorted(found["values"], key=float)
    ends = (ordered[0], ordered[-1])
    rows = [row for row, value in found["chosen"].items() if value in ends]
    if not rows:
        return []
    return [
        Paragraph(
            f"An end of the list was chosen for {listed(rows)}: values beyond it were not tried, and may suit better.",
            "note",
        )
    ]
