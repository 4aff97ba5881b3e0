"""A document as GitHub's Markdown."""

from __future__ import annotations

import re

from harness.files import markdown_text
from harness.report.document.blocks import (
    Block,
    Cell,
    Code,
    Document,
    Figure,
    Heading,
    Items,
    Paragraph,
    Picture,
    Table,
    as_cell,
    spans,
)


def markdown(document: Document) -> str:
    """The whole page; figures are linked from `figures/` beside it."""
    marks = [f"<!-- {mark} -->" for mark in document.marks]
    places = ((words, href.replace("index.html", "README.md")) for words, href in document.links)
    links = " \u00b7 ".join(f"[{_inline(words)}]({href})" for words, href in places)
    parts = [*marks, f"# {_inline(document.title)}", links, *(_block(block) for block in document.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_inline(block.text)}"
    if isinstance(block, Paragraph):
        text = _inline(block.text)
        return f"**{text}**" if block.role in ("question", "warning") else text
    if isinstance(block, Items):
        return "\n".join(f"- {_inline(text)}" for text in block.texts)
    if isinstance(block, Code):
        fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", block.text))])
        return f"{fence}{block.language}\n{block.text}\n{fence}"
    if isinstance(block, Figure):
        image = f"![{_inline(block.title)}](figures/{block.stem}.png)"
        return f"{image}\n\n{_inline(block.caption)} ([SVG](figures/{block.stem}.svg))"
    if isinstance(block, Picture):
        return f"![{_inline(block.title)}]({block.file})" if block.file else ""
    return _table(block)


def _table(table: Table) -> str:
    rule = [":--" if column in table.words else "--:" for column in range(len(table.header))]
    lines = [
        [_inline(title, table=True) for title in table.header],
        rule,
        *([_cell(as_cell(cell)) for cell in row] for row in table.rows),
    ]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    text = "\n\n".join([text, *(_inline(note) for note in table.notes)])
    if table.fold:
        return f"<details><summary>{_inline(table.fold)}</summary>\n\n{text}\n\n</details>"
    return text


def _cell(cell: Cell) -> str:
    text = _inline(cell.text, table=True)
    text = f"**{text}**" if cell.strong else text
    return f"[{text}]({cell.href})" if cell.href else text


def _inline(text: str, *, table: bool = False) -> str:
    """Code as it is, all else escaped: nothing in a text can start markup or break a table."""
    parts = []
    for part, code in spans(text):
        if code:
            parts.append(f"`{part.replace('|', chr(92) + '|') if table else part}`")
        else:
            escaped = markdown_text(part)
            parts.append(escaped.replace("|", "\\|") if table else escaped)
    return "".join(parts)
