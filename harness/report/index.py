"""The page that lists all reports of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from harness.report.document.blocks import Cell, Document, Paragraph, Table, one_line

MARK = "written by harness.report"


def index(studies: Sequence[tuple[str, str, str]], suffix: str) -> Document:
    """The page as a document.

    Args:
        studies: (name, question, answer).
        suffix: the page of a report, "README.md" or "index.html".
    """
    rows: list[list[str | Cell]] = [
        [Cell(name, href=f"{quote(name)}/{suffix}"), one_line(question), words]
        for name, question, words in studies
    ]
    intro = "One folder a study: the page, its tables as LaTeX, its numbers as CSV and JSON, its figures."
    table = Table(header=["study", "question", "answer"], rows=rows, words=range(3))
    return Document("Reports", [Paragraph(intro), table], marks=[MARK])
