"""A document's tables as LaTeX, ready to paste into a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.report.document.blocks import Cell, Table, as_cell, spans

HEAD = r"""%% Tables of the study %s. In the preamble: \usepackage{booktabs,graphicx}
%% A table wider than the line is shrunk to it."""

SYMBOLS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$",
    "±": r"$\pm$", "×": r"$\times$", "µ": r"$\mu$", "≤": r"$\leq$", "≥": r"$\geq$", "≠": r"$\neq$", "→": r"$\to$",
    "–": "--", "—": "---", "…": r"\ldots{}", "−": "$-$", "Δ": r"$\Delta$", "\"": "''",
}  # fmt: skip

SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


def latex(study: str, tables: Sequence[Table]) -> str:
    """One `table` environment for each table that has a label."""
    return "\n\n".join([HEAD % " ".join(study.split()), *(_table(study, table) for table in tables)]) + "\n"


def _table(study: str, table: Table) -> str:
    columns = "".join("l" if column in table.words else "r" for column in range(len(table.header)))
    rows = [
        " & ".join(_cell(Cell(title)) for title in table.header) + r" \\",
        r"\midrule",
        *(" & ".join(_cell(as_cell(cell)) for cell in row) + r" \\" for row in table.rows),
    ]
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"\centering",
            rf"\caption{{{_inline(table.caption)}}}",
            rf"\label{{tab:{re.sub('[^A-Za-z0-9_.:-]+', '-', study)}-{table.label}}}",
            r"\footnotesize",
            SHRINK,
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            *(rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {_inline(note)}}}" for note in table.notes),
            r"\end{table}",
        ]
    )


def _cell(cell: Cell) -> str:
    # A text that starts with a bracket or a star would be an argument of the line's \\ before it.
    text = re.sub(r"^[\[*]", r"{\g<0>}", _inline(cell.text))
    return rf"\textbf{{{text}}}" if cell.strong else text


def _inline(text: str) -> str:
    return "".join(rf"\texttt{{{_escape(part)}}}" if code else _numbers(part) for part, code in spans(text))


def _numbers(text: str) -> str:
    """Signs of numbers as signs, not as hyphens."""
    parts = re.split(r"(?<![\w.])([+-])(?=[\d.])", text)
    return "".join(f"${part}$" if place % 2 else _escape(part) for place, part in enumerate(parts))


def _escape(text: str) -> str:
    return "".join(SYMBOLS.get(character, character) for character in text)
