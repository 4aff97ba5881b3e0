"""The report of one study, as a document: the order in which its sections stand."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.summary import Summary
from harness.report.document.blocks import Block, Document, Figure, Heading
from harness.report.sections import (
    accuracy,
    answer,
    cost,
    differences,
    gains,
    missing,
    per_class,
    published,
    recompute,
    training,
)


def page(summary: Summary, figures: Sequence[Figure]) -> Document:
    """The question, the answer, the tables, the figures, how it was trained, and what is missing."""
    record = summary.record
    drawn: list[Block] = [Heading(2, "Figures"), *figures] if figures else []
    blocks: list[Block] = [
        *answer.section(summary),
        Heading(2, "Results"),
        *accuracy.section(summary),
        *published.section(summary),
        *differences.section(summary),
        *cost.section(summary),
        *drawn,
        *gains.section(summary),
        *training.section(record),
        *missing.section(summary),
        *per_class.section(summary),
        *recompute.section(record),
    ]
    return Document(record.name, blocks)
