"""Accuracy on each class."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.summary import Row, Summary
from harness.report.document.blocks import Block, Heading, Paragraph, Table, one_line
from harness.report.format import estimate
from harness.stats.distributions import MIN_SEEDS

OPEN_CLASSES = 40
"""A table with more rows than this is folded."""

NOTE = (
    "Mean top-1 [%] over the finished seeds ± 95 % t interval over them, given as [ ] where it is cut at 0 or 100 %. "
    f"There is none with fewer than {MIN_SEEDS} seeds, or where all gave the same number. "
    "n stands where it is not the row's number of finished seeds."
)


def section(summary: Summary) -> list[Block]:
    """Of each variant that has any accuracy by class. What there is more of stands in rows: pages are narrow."""
    record, heading = summary.record, Heading(2, "Accuracy per class")
    shown = [row for row in summary.rows if any(value.n for value in row.per_class.values())]
    if not shown:
        return [heading, Paragraph("Not measured.")]
    groups = [*record.groups, *[""] * len(record.classes)]
    if len(shown) > len(record.classes):
        return [heading, Paragraph(NOTE), _by_variant(record.classes, groups, shown)]
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


def _by_variant(classes: Sequence[str], groups: Sequence[str], shown: Sequence[Row]) -> Table:
    pairs = [(one_line(name), one_line(group)) for name, group in zip(classes, groups, strict=False)]
    rows = [
        [f"`{row.variant}`", *(estimate(row.per_class[name], seeds=row.finished) for name in classes)]
        for row in shown
    ]
    header = ["variant", *(f"{name} ({group})" if group else name for name, group in pairs)]
    return Table(header=header, rows=rows, words=(0,))
