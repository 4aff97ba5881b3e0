"""What the bench leaves for a device: its figures, a page with tables, and a roofline; and the list of devices."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import plots
from harness.bench.tables import by_case, insertions, markdown, network_table, table
from harness.files import write_whole

EXPLANATION = (
    "Medians of paired, shuffled rounds, as multiples of a plain copy of the same tensor made in the same round, "
    "with 95 % bootstrap intervals over rounds. *of copy*: of the bandwidth of that copy, for the least that must "
    "be moved: 2 tensors forward, 5 forward and backward. *x published*: how many times as fast as the published "
    "form (four Conv3d), forward and backward. *first*: seconds of the first forward and backward of all, in which "
    "a path may compile. *saved*: what forward keeps for backward, the input included. How: docs/performance.md."
)


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
