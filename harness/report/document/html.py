"""A document as one HTML page that needs nothing else: styles, figures and all; no script, no network."""

from __future__ import annotations

import html as entities
import re
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
    Table,
    as_cell,
    spans,
)

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1b1f; --soft: #5c5f66; --line: #d9dbe0; --tint: #f4f5f8;
  --accent: #0a5c96; --warn: #a33b00; }
@media (prefers-color-scheme: dark) { :root { --page: #15171b; --ink: #e8e8ea; --soft: #a3a8b1; --line: #363a43;
  --tint: #1f2229; --accent: #7cc0f0; --warn: #ffa066; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 68rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .6rem 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .6rem; padding-bottom: .2rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
p, ul { max-width: 46rem; margin: .6rem 0; }
li { overflow-wrap: anywhere; }
a { color: var(--accent); }
code { font: .9em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { overflow-x: auto; background: var(--tint); padding: .7rem .9rem; border-radius: 6px; }
.question { font-size: 1.15rem; font-weight: 600; }
.answer { background: var(--tint); border-left: 4px solid var(--accent); padding: .7rem 1rem; }
.warning { border-left: 4px solid var(--warn); padding: .4rem 1rem; font-weight: 600; }
.note { font-size: .87rem; color: var(--soft); }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th { text-align: left; vertical-align: bottom; font-weight: 600; border-bottom: 2px solid var(--line); }
th, td { padding: .32rem .6rem; }
td { border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; }
td.n { white-space: nowrap; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--page); }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--accent); }
figure { margin: 1.4rem 0 2rem; }
.drawing { overflow-x: auto; }
.drawing svg { display: block; max-width: 100%; height: auto; }
figcaption { font-size: .87rem; color: var(--soft); max-width: 46rem; margin-top: .3rem; }
@media (prefers-color-scheme: dark) { .drawing svg { filter: invert(.91) hue-rotate(180deg); } }
@media (max-width: 40rem) { body { padding: .6rem .8rem 3rem; }
  .drawing svg { max-width: none; width: max(100%, 30rem); }
  .facts td:first-child { position: static; } .facts td { display: block; border: 0; padding: 0 0 .1rem; }
  .facts td + td { padding: 0 0 .7rem; } .facts td:first-child { font-weight: 600; } .facts th { display: none; } }
@media print { :root { --page: #fff; --ink: #000; --soft: #333; --line: #bbb; --tint: #f4f4f4; --accent: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; } table { font-size: 7pt; } th, td { padding: .15rem .3rem; }
  .scroll, .drawing { overflow: visible; } .drawing svg { filter: none; max-width: 100%;
  max-height: 105mm; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  th:first-child, td:first-child { position: static; }
  details::details-content { content-visibility: visible; display: block; height: auto; } }
"""


def html(document: Document, figures: Path | None = None) -> str:
    """The whole page.

    Args:
        figures: the folder that holds the SVG files of the document's figures.
    """
    blocks = "\n".join(_block(block, figures) for block in document.blocks)
    marks = "".join(f"<!-- {_text(mark)} -->\n" for mark in document.marks)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{marks}<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'  # else a browser asks the server for one
        f"<title>{_text(document.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_inline(document.title)}</h1>\n{blocks}\n</body>\n</html>\n"
    )


def _block(block: Block, figures: Path | None) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_inline(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        role = f' class="{block.role}"' if block.role else ""
        return f"<p{role}>{_inline(block.text)}</p>"
    if isinstance(block, Items):
        return "<ul>\n" + "\n".join(f"<li>{_inline(text)}</li>" for text in block.texts) + "\n</ul>"
    if isinstance(block, Code):
        return f"<pre><code>{_text(block.text)}</code></pre>"
    if isinstance(block, Figure):
        drawing = _drawing(block, figures) if figures else ""
        caption = f"<figcaption>{_inline(block.caption)}</figcaption>"
        return f'<figure>\n<div class="drawing">{drawing}</div>\n{caption}\n</figure>'
    return _table(block)


def _drawing(figure: Figure, folder: Path) -> str:
    """A figure's SVG, to stand in the page: ids are made its own, since a page has each id once."""
    svg = (folder / f"{figure.stem}.svg").read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sid="[\w.]+_\d+"', "", svg)  # names of parts, which nothing refers to
    prefix = f"{figure.stem}-"
    svg = re.sub(r'(\sid="|xlink:href="#|url\(#)', rf"\g<1>{prefix}", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{_text(figure.title)}" ', 1)


def _table(table: Table) -> str:
    def row(tag: str, cells: list[str]) -> str:
        kinds = ("" if column in table.words else _NUMBER for column in range(len(cells)))
        parts = (f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    lines = [
        "<thead>",
        row("th", [_inline(title) for title in table.header]),
        "</thead>",
        "<tbody>",
        *(row("td", [_cell(as_cell(cell)) for cell in cells]) for cells in table.rows),
        "</tbody>",
    ]
    facts = " facts" if len(table.header) == 2 and len(table.words) == 2 else ""
    text = f'<div class="scroll{facts}">\n<table>\n' + "\n".join(lines) + "\n</table>\n</div>"
    text += "".join(f'\n<p class="note">{_inline(note)}</p>' for note in table.notes)
    if table.fold:
        return f"<details>\n<summary>{_inline(table.fold)}</summary>\n{text}\n</details>"
    return text


_NUMBER = ' class="n"'


def _cell(cell: Cell) -> str:
    text = _inline(cell.text)
    text = f"<strong>{text}</strong>" if cell.strong else text
    return f'<a href="{_text(cell.href)}">{text}</a>' if cell.href else text


def _inline(text: str) -> str:
    return "".join(f"<code>{_text(part)}</code>" if code else _text(part) for part, code in spans(text))


def _text(text: str) -> str:
    return entities.escape(text)
