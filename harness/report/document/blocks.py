"""What a page says, before it is Markdown, HTML or LaTeX: a list of blocks.

Texts are plain; only a part between backticks is code. Renderers escape everything else, so that a class name
or a reason with markup in it stands on the page as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Heading:
    level: int  # 2 or 3; the title of a document is 1
    text: str


@dataclass(frozen=True)
class Paragraph:
    """role: "question", "answer", "warning", "note" (small print), or "" for running text."""

    text: str
    role: str = ""


@dataclass(frozen=True)
class Items:
    """A list of points. role: as of a paragraph."""

    texts: Sequence[str]
    role: str = ""


@dataclass(frozen=True)
class Code:
    """Lines to copy. language: "" for a shell."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell that is more than words: the best one, or a link."""

    text: str
    strong: bool = False
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    words: columns of words, aligned left; the others hold numbers and are aligned right.
    label, caption: of the LaTeX table; one without a label is in no LaTeX file.
    fold: a long table is folded behind these words; "" leaves it open.
    notes: small print below it, which goes with it wherever it is pasted.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    words: Collection[int] = (0,)
    label: str = ""
    caption: str = ""
    fold: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """A figure that was drawn: its file's stem in `figures/`, and what a reader should know about it.

    alt: what it shows, for those who do not see it; "" where a table says it.
    """

    stem: str
    title: str
    caption: str
    alt: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture that lies beside the page: its file, "" where there is none, and what it shows."""

    file: str
    title: str


Block: TypeAlias = Heading | Paragraph | Items | Code | Table | Figure | Picture


@dataclass(frozen=True)
class Document:
    """links: (words, address) of what lies beside the page."""

    title: str
    blocks: Sequence[Block]
    links: Sequence[tuple[str, str]] = field(default=())
    marks: Sequence[str] = field(default=())  # comments that tell a later call who wrote the page

    @property
    def tables(self) -> list[Table]:
        """The tables that LaTeX gets."""
        return [block for block in self.blocks if isinstance(block, Table) and block.label]


def spans(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text, and whether each is code."""
    for place, part in enumerate(re.split(r"`([^`]+)`", text)):
        if part:
            yield part, place % 2 == 1


def one_line(text: Any) -> str:
    """Any value as one line of text; backticks of its own cannot open code."""
    return " ".join(str(text).replace("`", "'").split())


def as_cell(cell: str | Cell) -> Cell:
    return cell if isinstance(cell, Cell) else Cell(cell)
