"""A document as one HTML page with styles, script, figures and all: it needs neither files nor a network."""

from __future__ import annotations

import base64
import html as entities
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

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
from harness.report.document.look import SCRIPT, STYLE

NARROW = 360.0
"""Points; a drawing no wider is small enough to be shrunk to a phone's width, a wider one is scrolled there."""


def html(document: Document, figures: Path | None = None) -> str:
    """The whole page.

    Args:
        figures: the folder that holds the SVG files of the document's figures.
    """
    headings = _named(document)
    first, others = _first_screen(document.blocks)
    parts = [f"<h1>{_inline(document.title)}</h1>", *(_block(block, figures, headings) for block in first)]
    if first:
        *said, drawn = parts
        parts = ['<div class="first">\n<div>', *said, "</div>", drawn, "</div>"]
    blocks = "\n".join([*parts, *(_block(block, figures, headings) for block in others)])
    marks = "".join(f"<!-- {_text(mark)} -->\n" for mark in document.marks)
    links = " \u00b7 ".join(f'<a href="{_text(href)}">{_text(words)}</a>' for words, href in document.links)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{marks}<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'  # else a browser asks the server for one
        f"<title>{_text(document.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{_contents(headings)}<main>\n"
        + (f'<p class="links">{links}</p>\n' if links else "")
        + f"{blocks}\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _first_screen(blocks: Sequence[Block]) -> tuple[Sequence[Block], Sequence[Block]]:
    """What a reader is to see without scrolling, and the rest: all up to the first figure, where it stands before any
    heading, the figure as the last."""
    for place, block in enumerate(blocks):
        if isinstance(block, Heading):
            break
        if isinstance(block, Figure):
            return blocks[: place + 1], blocks[place + 1 :]
    return (), blocks


def _named(document: Document) -> dict[int, tuple[str, Heading]]:
    """Of every heading its name in the page's address, by the heading's identity; no two have the same."""
    found: dict[int, tuple[str, Heading]] = {}
    taken: set[str] = set()
    for block in document.blocks:
        if isinstance(block, Heading):
            stem = re.sub(r"[^a-z0-9]+", "-", block.text.lower()).strip("-") or "section"
            names = (stem if not n else f"{stem}-{n + 1}" for n in itertools.count())
            name = next(name for name in names if name not in taken)
            taken.add(name)
            found[id(block)] = (name, block)
    return found


def _contents(headings: Mapping[int, tuple[str, Heading]]) -> str:
    if len(headings) < 3:
        return ""
    lines = [
        f'<li{" class=sub" if heading.level > 2 else ""}><a href="#{name}">{_inline(heading.text)}</a></li>'
        for name, heading in headings.values()
    ]
    return '<nav class="contents" aria-label="contents">\n<ul>\n' + "\n".join(lines) + "\n</ul>\n</nav>\n"


def _block(block: Block, figures: Path | None, headings: Mapping[int, tuple[str, Heading]]) -> str:
    if isinstance(block, Heading):
        name, level = headings[id(block)][0], block.level
        return f'<h{level} id="{name}"><a href="#{name}">{_inline(block.text)}</a></h{level}>'
    if isinstance(block, Paragraph):
        role = f' class="{block.role}"' if block.role else ""
        return f"<p{role}>{_inline(block.text)}</p>"
    if isinstance(block, Items):
        role = f' class="{block.role}"' if block.role else ""
        return f"<ul{role}>\n" + "\n".join(f"<li>{_inline(text)}</li>" for text in block.texts) + "\n</ul>"
    if isinstance(block, Code):
        return f"<pre><code>{_text(block.text)}</code></pre>"
    if isinstance(block, Figure):
        drawing = _drawing(block, figures) if figures else ""
        caption = f'<figcaption id="about-{block.stem}">{_inline(block.caption)}</figcaption>'
        width, height = _size(drawing)
        kind = "drawing"
        kind += " tall" if height > width else ""  # on paper it needs a page, not half of one
        kind += " narrow" if width <= NARROW else ""  # on a phone it is seen whole
        style = f' style="width: {width:g}pt"' if width else ""
        return f'<figure{style}>\n<div class="{kind}">{drawing}</div>\n{caption}\n</figure>'
    if isinstance(block, Picture):
        return _picture(block, figures)
    return _table(block)


def _picture(picture: Picture, figures: Path | None) -> str:
    """In the page itself, as everything is."""
    if not picture.file or figures is None:
        return ""
    content = base64.b64encode((figures.parent / picture.file).read_bytes()).decode()
    return f'<img class="clips" alt="{_text(picture.title)}" src="data:image/jpeg;base64,{content}">'


def _drawing(figure: Figure, folder: Path) -> str:
    """A figure's SVG, to stand in the page: ids are made its own, since a page has each id once."""
    svg = (folder / f"{figure.stem}.svg").read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sid="[\w.]+_\d+"', "", svg)  # names of parts, which nothing refers to
    prefix = f"{figure.stem}-"
    svg = re.sub(r'(\sid="|xlink:href="#|url\(#)', rf"\g<1>{prefix}", svg)
    label = f"{figure.title}: {figure.alt}" if figure.alt else figure.title
    words = f'role="img" aria-label="{_text(label)}" aria-describedby="about-{figure.stem}"'
    return svg.replace("<svg ", f"<svg {words} ", 1)


def _size(svg: str) -> tuple[float, float]:
    """Width and height of a drawing in points, 0 without one."""
    box = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg)
    return (float(box[1]), float(box[2])) if box else (0.0, 0.0)


def _table(table: Table) -> str:
    sorts = len(table.rows) > 2

    def kind(column: int) -> str:
        classes = [] if column in table.words else ["n"]
        if table.header[column] == "verdict":  # stays in sight where a table is scrolled
            classes.append("v")
        return f' class="{" ".join(classes)}"' if classes else ""

    def head(column: int, title: str) -> str:
        sort = f' data-sort="{"w" if column in table.words else "n"}"' if sorts else ""
        return f"<th{kind(column)}{sort}>{_inline(title)}</th>"

    def row(cells: Sequence[str | Cell]) -> str:
        parts = (f"<td{kind(column)}>{_cell(as_cell(cell))}</td>" for column, cell in enumerate(cells))
        return f"<tr>{''.join(parts)}</tr>"

    lines = [
        "<thead>",
        f"<tr>{''.join(head(column, title) for column, title in enumerate(table.header))}</tr>",
        "</thead>",
        "<tbody>",
        *map(row, table.rows),
        "</tbody>",
    ]
    facts = " facts" if len(table.header) == 2 and len(table.words) == 2 else ""
    text = f'<div class="scroll{facts}">\n<table>\n' + "\n".join(lines) + "\n</table>\n</div>"
    text += "".join(f'\n<p class="note">{_inline(note)}</p>' for note in table.notes)
    if table.fold:
        return f"<details>\n<summary>{_inline(table.fold)}</summary>\n{text}\n</details>"
    return text


def _cell(cell: Cell) -> str:
    text = _inline(cell.text)
    text = f"<strong>{text}</strong>" if cell.strong else text
    return f'<a href="{_text(cell.href)}">{text}</a>' if cell.href else text


def _inline(text: str) -> str:
    return "".join(f"<code>{_text(part)}</code>" if code else _text(part) for part, code in spans(text))


def _text(text: str) -> str:
    """An interval is not broken between its ends."""
    return entities.escape(re.sub(r"(\[-?[\d.]+,) (?=-?[\d.]+\])", "\\1\u00a0", text))
