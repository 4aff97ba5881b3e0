"""Accuracy on each class."""

from __future__ import annotations

from harness.analysis.summary import Summary
from harness.report.document.blocks import Block, Heading, Paragraph, Table, one_line
from harness.report.format import estimate
from harness.stats.distributions import MIN_SEEDS

OPEN_CLASSES = 40
"""A table with more rows than this is folded."""

NOTE = (
    "Mean top-1 [%] over the finished seeds ± 95 % t interval over them, given as [ ] where it is cut at 0 or 100 %, "
    f"absent with fewer than {MIN_SEEDS} or where all gave the same number; "
    "n where it is not the row's number of them."
)


def section(summary: Summary) -> list[Block]:
    """A column for each variant that has any accuracy by class."""
    record, heading = summary.record, Heading(2, "Accuracy per class")
    shown = [row for row in summary.rows if any(value.n for value in row.per_class.values())]
    if not shown:
        return [heading, Paragraph("Not measured.")]
    groups = [*record.groups, *[""] * len(record.classes)]
    rows = []
    for name, group in zip(record.classes, groups, strict=False):
        measured = [estimate(row.per_class[name], seeds=row.finished) for row in shown]
        rows.append([one_line(name), one_line(group) or "-", *measured])
    table = Table(
        header=["class", "group", *(f"`{row.variant}`" for row in shown)],
        rows=rows,
        words=(0, 1),
        fold=f"{len(rows)} classes" if len(rows) > OPEN_CLASSES else "",
    )
    return [heading, Paragraph(NOTE), table]
