"""From samples to rows, tables and files; and whether a row got slower than in an older file."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from harness import plots
from harness.bench.forms import INSERTIONS, PUBLISHED, Case
from harness.bench.timing import MOVED, Timed
from harness.cost import cpu_name
from harness.errors import DataError
from harness.files import write_whole
from harness.stats.estimates import percentile
from operators import TemporalOp

MARGIN = 1.25
"""How much slower than before counts as slower: two runs of the same code differ by up to 13 % on one thread."""
COMMAND = "python -m harness.bench"

EXPLANATION = (
    "Medians of paired, shuffled rounds, as multiples of a plain copy of the same tensor made in the same round, "
    "with 95 % bootstrap intervals over rounds. *of copy*: of the bandwidth of that copy, for the least that must "
    "be moved: 2 tensors forward, 5 forward and backward. *x published*: how many times as fast as the published "
    "form (four Conv3d), forward and backward. *first*: seconds of the first forward and backward of all, in which "
    "a path may compile. *saved*: what forward keeps for backward, the input included. How: docs/performance.md."
)
INVERSE = {"median": "median", "low": "high", "high": "low"}
HEADER = [
    "operator", "path", "forward, copies", "of copy", "fwd+bwd, copies", "of copy", "x published", "first [s]",
    "saved [MiB]",
]  # fmt: skip

Row = dict[str, Any]


def machine(device: torch.device, allocator: str) -> dict[str, str]:
    """Whatever a figure depends on besides its case."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else cpu_name(),
        "kind": device.type,
        "allocator": allocator,
        "huge pages": _huge_pages(),
        "load average at the start": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def rows_of(timed: Sequence[Timed], copies: Sequence[float], case: Case) -> list[Row]:
    """Two rows a form: forward, and forward with backward. A form that failed has its reason and no figure."""
    published = next((t.samples for t in timed if t.form.operator == PUBLISHED and not t.failed), None)
    result = []
    for one in timed:
        for what, moved in MOVED.items():
            row: Row = {
                "operator": one.form.operator, "path": one.form.path, "pass": what, "shape": case.shape,
                "clips": case.clips, "frames": case.frames, "dtype": case.dtype, "format": case.format,
                "threads": case.threads, "bytes": case.bytes, "failed": one.failed, "errors": one.errors,
            }  # fmt: skip
            if not one.failed:
                row |= _figures(one, what, moved, copies, case, published)
            result.append(row)
    return result


def _figures(
    one: Timed,
    what: str,
    moved: int,
    copies: Sequence[float],
    case: Case,
    published: Mapping[str, list[float]] | None,
) -> Row:
    samples = one.samples[what]
    p50 = percentile(samples, 0.5)
    x_copy = interval([a / b for a, b in zip(samples, copies, strict=True)])
    op = one.form.op
    macs = op.macs(case.size, case.size) if isinstance(op, TemporalOp) else None
    if macs is not None:  # backward: once more for the gradient of x, and once for that of parameters
        macs *= case.clips * (1 if what == "forward" else 2 + any(True for _ in op.parameters()))
    figures = {
        "samples": len(samples),
        "latency_ms": {"p50": p50, "p95": percentile(samples, 0.95)},
        "copy_ms": percentile(copies, 0.5),
        "x_copy": x_copy,
        "least_bytes": moved * case.bytes,
        "gb_per_s": moved * case.bytes / p50 / 1e6,
        "of_copy": {key: moved / 2 / x_copy[inverse] for key, inverse in INVERSE.items()},
        "macs": macs,
        "first_call_s": one.first_call_s,
        "saved_mib": one.saved_mib,
        "peak_mib": one.peak_mib,
    }  # fmt: skip
    if what == "forward" and one.graph_ms:
        figures["graph_ms"] = percentile(one.graph_ms, 0.5)
    if published is not None and one.form.operator == "mixtconv":
        ratios = [a / b for a, b in zip(published[what], samples, strict=True)]
        figures["times_as_fast_as_published"] = interval(ratios)
    return figures


def interval(ratios: Sequence[float], draws: int = 2000) -> dict[str, float]:
    """Median of per-round ratios, with a 95 % bootstrap interval over rounds (percentiles, seeded)."""
    values = torch.tensor(ratios, dtype=torch.float64)
    picks = torch.randint(len(values), (draws, len(values)), generator=torch.Generator().manual_seed(0))
    medians = values[picks].quantile(0.5, dim=1)
    low, high = medians.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return {"median": float(values.quantile(0.5)), "low": low, "high": high}


def table(rows: Sequence[Row]) -> list[list[str]]:
    """A header and a line for each form of one case."""
    lines = [HEADER]
    for forward, both in zip(rows[::2], rows[1::2], strict=True):
        line = [forward["operator"], forward["path"]]
        if forward["failed"]:
            lines.append([*line, f"no time: {forward['failed']}", *[""] * 6])
            continue
        for row in (forward, both):
            line += [_ratio(row["x_copy"]), f"{100 * row['of_copy']['median']:.0f} %"]
        faster = both.get("times_as_fast_as_published")
        line += [
            _ratio(faster) if faster else "",
            f"{forward['first_call_s']:.1f}",
            f"{forward['saved_mib']:.1f}",
        ]
        lines.append(line)
    return lines


def network_table(rows: Sequence[Row]) -> list[list[str]]:
    """A header and a line for each network and form."""
    lines = [
        [
            "network",
            "format",
            "threads",
            "operator",
            "path",
            "step [ms]",
            "step over TSN's",
            "forward over TSN's",
        ]
    ]
    for row in rows:
        numbers = [f"{row['step_ms']:.0f}", _ratio(row["step_ratio"]), _ratio(row["forward_ratio"])]
        lines.append(
            [row["network"], row["format"], str(row["threads"]), row["operator"], row["path"], *numbers]
        )
    return lines


def _ratio(value: Mapping[str, float]) -> str:
    return "{median:.2f} [{low:.2f}, {high:.2f}]".format(**value)


def text(lines: Sequence[Sequence[str]]) -> str:
    """Columns for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def by_case(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by the words for their case, in order."""
    keys = ("shape", "clips", "frames", "dtype", "format", "threads")
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(Case(**{key: row[key] for key in keys})), []).append(row)
    return found


def insertions(rows: Sequence[Row]) -> list[str]:
    """What all 16 insertions of ResNet-50 take together, where every one of their shapes was measured."""
    totals: dict[tuple[str, ...], dict[str, tuple[float, int]]] = {}
    for row in rows:
        if not row["failed"] and row["shape"] in INSERTIONS:
            key = tuple(str(row[k]) for k in ("operator", "path", "pass", "dtype", "format", "threads"))
            totals.setdefault(key, {})[row["shape"]] = (
                row["latency_ms"]["p50"],
                row["clips"] * row["frames"],
            )
    return [
        f"{operator} {path}, {what.replace('_', '+')}, {dtype}, {layout}: all 16 insertions of ResNet-50, "
        f"{next(iter(found.values()))[1]} frames: {sum(INSERTIONS[s] * ms for s, (ms, _) in found.items()):.2f} ms"
        for (operator, path, what, dtype, layout, _), found in totals.items()
        if found.keys() == INSERTIONS.keys()
    ]


def slower(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """What is slower than in an older file, a line each: multiples of a copy beyond MARGIN and both intervals, or a
    form that failed since. On more than one thread nothing is gated: A/A runs differ too much there.

    Raises:
        DataError: the files are of different devices.
    """
    if new["machine"]["device"] != old["machine"]["device"]:
        raise DataError(
            f"--compare: measured on {old['machine']['device']}, not on this {new['machine']['device']}; "
            "only figures of one device compare"
        )
    keys = ("operator", "path", "pass", "shape", "clips", "frames", "dtype", "format", "threads")
    before = {tuple(row[key] for key in keys): row for row in old["rows"]}
    found = []
    for row in new["rows"]:
        was = before.get(tuple(row[key] for key in keys))
        if was is None or was["failed"] or row["threads"] > 1:
            continue
        name = " ".join(str(row[key]) for key in keys)
        if row["failed"]:
            found.append(f"{name}: fails now: {row['failed']}")
            continue
        now, then = row["x_copy"], was["x_copy"]
        if now["median"] > MARGIN * then["median"] and now["low"] > then["high"]:
            found.append(f"{name}: {_ratio(now)} copies, was {_ratio(then)}")
    return found


def save(folder: Path, result: Mapping[str, Any], command: str) -> Path:
    """Write bench.json, README.md and the figure into a folder of the device's own, and the list of devices.

    Each file is replaced at once, so that a stop leaves the old ones.
    """
    own = folder / slug(result["machine"]["device"])
    write_whole(own / "bench.json", json.dumps(result, indent=1) + "\n")
    write_whole(own / "README.md", page(result, command))
    _figure(own / "roofline", result)
    measured = {
        path.parent.name: json.loads(path.read_text())["machine"]
        for path in sorted(folder.glob("*/bench.json"))
    }
    lines = ["# Operator bench", "", "| device | kind | results |", "|---|---|---|"]
    lines += [
        f"| {one['device']} | {one['kind']} | [{name}]({name}/README.md) |" for name, one in measured.items()
    ]
    if not any(one["kind"] == "cuda" for one in measured.values()):
        lines.append("| any NVIDIA GPU | cuda | not measured; `make bench-gpu` does |")
    write_whole(folder / "README.md", "\n".join(lines) + "\n")
    return own


def page(result: Mapping[str, Any], command: str) -> str:
    """The tables in Markdown."""
    where = "\n".join(f"- {name}: {value}" for name, value in result["machine"].items() if value)
    parts = [
        f"# Operator bench: {result['machine']['device']}",
        f"    {command}",
        EXPLANATION,
        where,
        *(f"**Doubtful**: {doubt}." for doubt in result["doubts"]),
        "![Roofline](roofline.svg)",
    ]
    for case, rows in by_case(result["rows"]).items():
        timed = next((row for row in rows if not row["failed"]), None)
        copied = f": copy {timed['copy_ms']:.2f} ms" if timed else ""
        parts += [f"## {case}{copied}", markdown(table(rows))]
    parts += ["- " + line for line in insertions(result["rows"])]
    if result["network"]:
        parts += ["## Training steps", markdown(network_table(result["network"]))]
    parts += [f"Not run: {path}: {reason}." for path, reason in result["skipped"].items()]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]])


def _figure(path: Path, result: Mapping[str, Any]) -> None:
    dtype = result["rows"][0]["dtype"]  # the one that the matrix product was measured in
    points = [
        plots.Kernel(
            label=f"{row['operator']} {row['path']}",
            intensity=2 * row["macs"] / row["least_bytes"],
            gflops=2 * row["macs"] / row["latency_ms"]["p50"] / 1e6,
        )
        for row in result["rows"]
        if not row["failed"] and row["macs"] and row["pass"] == "forward" and row["dtype"] == dtype
    ]
    if points:
        where = f"{result['machine']['device']}, {dtype}"
        plots.roofline(path, points, result["copy_gb_per_s"], result["matmul_gflops"], where)


def slug(device: str) -> str:
    """A folder's name for a device."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def _huge_pages() -> str:
    try:
        words = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return "unknown"
    return words[words.find("[") + 1 : words.find("]")]
