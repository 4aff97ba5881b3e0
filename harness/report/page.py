"""The report of one study, and the page that lists all of them, as documents."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.summary import Summary
from harness.report.document.blocks import (
    Block,
    Cell,
    Document,
    Figure,
    Heading,
    Items,
    Paragraph,
    Table,
    one_line,
)
from harness.report.format import plural
from harness.report.sections import accuracy, cost, differences, gains
from harness.report.sections.answer import answer, cheapest_answer
from harness.report.sections.training import missing, recompute, training

INDEX_MARK = "written by harness.report"


def page(summary: Summary, figures: Sequence[Figure]) -> Document:
    """The question, the answer, the tables, the figures, how it was trained, and what is missing."""
    record = summary.record
    blocks: list[Block] = [Paragraph(record.question, "question"), Paragraph(answer(summary), "answer")]
    if summary.cheapest:
        blocks.append(Items([cheapest_answer(one) for one in summary.cheapest]))
    if summary.missing or summary.unusable:
        blocks.append(Paragraph(_incomplete(summary), "warning"))
    if any(trial.skipped.get("val") for trial in record.trials):
        words = "Accuracies leave out validation clips that cannot be read; they are listed below."
        blocks.append(Paragraph(words, "warning"))
    blocks += [Heading(2, "Results"), Heading(3, "Accuracy"), *accuracy.accuracy(summary)]
    blocks += [
        *accuracy.groups(summary),
        *accuracy.published(summary),
        *differences.hypotheses(summary),
        *differences.pairs(summary),
        *differences.differences(summary),
    ]
    blocks += [
        Heading(3, "Cost"),
        *cost.costs(summary),
        *cost.steps(summary),
        *cost.kernels(summary),
    ]
    if figures:
        blocks += [Heading(2, "Figures"), *figures]
    blocks += gains.gains(summary)
    blocks += [Heading(2, "How it was trained"), *training(record)]
    blocks += [Heading(2, "What is missing"), *missing(summary)]
    blocks += [Heading(2, "Accuracy per class"), *accuracy.per_class(summary)]
    blocks += [Heading(2, "How to recompute"), *recompute(record)]
    return Document(record.name, blocks)


def index(studies: Sequence[tuple[str, str, str]], suffix: str) -> Document:
    """The page that lists all reports of a folder.

    Args:
        studies: (name, question, answer).
        suffix: the page of a report, "README.md" or "index.html".
    """
    rows: list[list[str | Cell]] = [
        [Cell(name, href=f"{name}/{suffix}"), one_line(question), words] for name, question, words in studies
    ]
    blocks: list[Block] = [
        Paragraph(
            "One folder a study: the page, its tables as LaTeX, its numbers as CSV and JSON, its figures."
        ),
        Table(header=["study", "question", "answer"], rows=rows, words=range(3)),
    ]
    return Document("Reports", blocks, marks=[INDEX_MARK])


def _incomplete(summary: Summary) -> str:
    trials = sum(row.planned for row in summary.rows)
    return f"Incomplete: {summary.usable} of {plural(trials, 'trial')} have a result; the others are listed below."
