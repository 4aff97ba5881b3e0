"""The report of one study, as a document: the order in which its sections stand."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.summary import Summary
from harness.report import first_figure
from harness.report.document.blocks import Block, Document, Figure, Heading
from harness.report.sections import (
    accuracy,
    answer,
    cost,
    differences,
    gains,
    ladder,
    missing,
    networks,
    per_class,
    published,
    recompute,
    sweep,
    training,
    tuning,
)

LINKS = (
    ("all reports", "../index.html"),
    ("variants as CSV", "results.csv"),
    ("trials as CSV", "trials.csv"),
    ("all numbers as JSON", "results.json"),
    ("tables for LaTeX", "tables.tex"),
)
"""What lies beside a study's page."""


def page(summary: Summary, figures: Sequence[Figure], clips: Sequence[Block] = ()) -> Document:
    """The question, the answer, the tables, the figures, how it was trained, and what is missing."""
    record = summary.record
    first = [figure for figure in figures if figure.stem in (*first_figure.STEMS, "differences")]
    others = [figure for figure in figures if figure not in first]
    drawn: list[Block] = [Heading(2, "Figures"), *others] if others else []
    blocks: list[Block] = [
        *answer.section(summary),
        *first,
        Heading(2, "Results"),
        *sweep.section(summary),
        *ladder.section(summary),
        *accuracy.section(summary),
        *published.section(summary),
        *differences.section(summary),
        *cost.section(summary),
        *networks.section(summary),
        *drawn,
        *gains.section(summary),
        *clips,
        *tuning.section(record),
        *training.section(record),
        *missing.section(summary),
        *per_class.section(summary),
        *recompute.section(record),
    ]
    return Document(record.name, blocks, LINKS)
