"""Rows as tables, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from harness.bench.forms import INSERTIONS, Case
from harness.bench.rows import Row, ratio

_FORM = ["operator", "path"]
_TIMES = ["forward, copies", "of copy", "fwd+bwd, copies", "of copy", "x published"]
_OPERATORS = [*_FORM, *_TIMES, "first [s]", "saved [MiB]"]
_NETWORKS = ["network", "format", "threads", *_FORM, "step [ms]", "step over TSN's", "forward over TSN's"]


def table(rows: Sequence[Row]) -> list[list[str]]:
    """A header and a line for each form of one case; of a GPU also what a CUDA graph's replay took, in copies."""
    graphs = any({"graph_ms", "graph_failed"} & row.keys() for row in rows)
    lines = [[*_OPERATORS, *["graph, copies"] * graphs]]
    for forward, both in zip(rows[::2], rows[1::2], strict=True):
        line = [forward["operator"], forward["path"]]
        if forward["failed"]:
            lines.append([*line, f"no time: {forward['failed']}", *[""] * (6 + graphs)])
            continue
        for row in (forward, both):
            launched = ", with launches" if row.get("launches_in_it") else ""
            line += [ratio(row["x_copy"]) + launched, f"{100 * row['of_copy']['median']:.0f} %"]
        faster = both.get("times_as_fast_as_published")
        line += [
            ratio(faster) if faster else "",
            f"{forward['first_call_s']:.1f}",
            f"{forward['saved_mib']:.1f}",
        ]
        if graphs:
            graph = forward.get("graph_ms")
            line.append(f"{graph / forward['copy_ms']:.2f}" if graph else "none")
        lines.append(line)
    return lines


def network_table(rows: Sequence[Row]) -> list[list[str]]:
    """A header and a line for each network and form."""
    lines = [_NETWORKS]
    for row in rows:
        words = [_network(row), *(str(row[key]) for key in ("format", "threads", "operator", "path"))]
        ratios = [ratio(row[key]) for key in ("step_ratio", "forward_ratio")]
        lines.append([*words, f"{row['step_ms']:.0f}", *ratios])
    return lines


def _network(row: Row) -> str:
    """Its name; of a GPU also how many clips it takes, and whether factors are rounded to TF32."""
    if "tf32" not in row:
        return str(row["network"])
    return f"{row['network']}, {row['clips']} clips, TF32 {'on' if row['tf32'] else 'off'}"


def by_case(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by the words for their case, in order."""
    keys = ("shape", "clips", "frames", "dtype", "format", "threads")
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(Case(**{key: row[key] for key in keys})), []).append(row)
    return found


def insertions(rows: Sequence[Row]) -> list[str]:
    """What all 16 insertions of ResNet-50 take together, and what moving their least bytes would take at the speed of
    the copies between them, where every one of their shapes was measured."""
    totals: dict[tuple[str, ...], dict[str, tuple[float, float, int]]] = {}
    for row in rows:
        if not row["failed"] and row["shape"] in INSERTIONS:
            key = tuple(str(row[k]) for k in ("operator", "path", "pass", "dtype", "format", "threads"))
            totals.setdefault(key, {})[row["shape"]] = (
                row["latency_ms"]["p50"],
                row["copy_ms"] * row["least_bytes"] / row["bytes"] / 2,
                row["clips"] * row["frames"],
            )
    return [
        f"{operator} {path}, {what.replace('_', '+')}, {dtype}, {layout}: all 16 insertions of ResNet-50, "
        f"{next(iter(found.values()))[2]} frames: {sum(INSERTIONS[s] * ms for s, (ms, _, _) in found.items()):.2f} ms, "
        f"at a copy's speed {sum(INSERTIONS[s] * least for s, (_, least, _) in found.items()):.2f} ms"
        for (operator, path, what, dtype, layout, _), found in totals.items()
        if found.keys() == INSERTIONS.keys()
    ]


def text(lines: Sequence[Sequence[str]]) -> str:
    """Columns for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def markdown(lines: Sequence[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]])
