"""The page of a device: what passed, what failed and why, what was not reached, and the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.bench.forms import INSERTIONS
from harness.bench.tables import by_case, markdown, table

LARGE = 50e6
"""Bytes of a tensor from which on a GPU's caches count for little."""


def page(
    device: str, command: str, about: Mapping[str, str], ended: Mapping[str, str], found: Mapping[str, Any]
) -> str:
    """Markdown.

    Args:
        command: what was asked.
        about: the machine, a line each.
        ended: how each step ended, in words.
        found: what each step kept.
    """
    steps = [[name, _cell(words)] for name, words in ended.items()]
    parts = [
        f"# {device}",
        f"    {command}",
        "" if "GPU" in about else "**A rehearsal on a CPU.** Its figures say nothing of a GPU.",
        "\n".join(f"- {name}: {value}" for name, value in about.items()),
        "## Steps",
        markdown([["step", "how it ended"], *steps]),
        *_no_triton(found),
        *(_targets(found) if "GPU" in about else []),
    ]
    if checks := found.get("checks", {}).get("checks"):
        lines = [[one["check"], one["outcome"], _cell(one["words"])] for one in checks]
        parts += ["## Checks", markdown([["what must hold", "", "measured, or why not"], *lines])]
    if (operators := found.get("operators", {})).get("rows") or operators.get("failed"):
        parts += [
            "## Operators",
            *(_operators(operators) if "rows" in operators else []),
            *_failed(operators),
        ]
    if (costs := found.get("costs", {})).get("rows") or costs.get("failed"):
        parts += ["## Costs", _geometry(costs), *_costs(costs.get("rows", [])), *_failed(costs)]
    if found.get("ladder", {}).get("trials"):
        parts += ["## The ladder", *_ladder(found["ladder"]), *_failed(found["ladder"])]
    if profiles := found.get("traces", {}).get("profiles"):
        parts += [
            "## Where a training step goes",
            f"One clip, {found['traces']['geometry']['precision']}, channels last. The traces beside this page "
            "(`*.pt.trace.json.gz`) open in [Perfetto](https://ui.perfetto.dev).",
        ]
        parts += [_profile(one) for one in profiles]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


def _no_triton(found: Mapping[str, Any]) -> list[str]:
    reasons = dict.fromkeys(one["no_triton"] for one in found.values() if "no_triton" in one)
    return [
        f"**Networks took the stencil's path `eager`.** Triton does not run here: {why}" for why in reasons
    ]


def _targets(found: Mapping[str, Any]) -> list[str]:
    """What was wanted of an H100, beside what was measured."""
    rows = [
        row
        for row in found.get("operators", {}).get("rows", [])
        if (row["operator"], row["path"]) == ("mixtconv", "triton") and not row["failed"]
    ]
    lines = []

    def add(what: str, wanted: str, measured: str, met: bool) -> None:
        lines.append([what, wanted, measured, "met" if met else "**missed**"])

    for passes, wanted in (("forward", 0.9), ("forward_backward", 0.8)):
        large = [row for row in rows if row["pass"] == passes and row["bytes"] >= LARGE]
        if shares := [row["of_copy"]["median"] for row in large]:
            words = f"`mixtconv`, {passes.replace('_', ' and ')}, tensors of 50 MB and more: of a copy's bandwidth"
            add(words, f"{wanted:.0%}", f"{min(shares):.0%} to {max(shares):.0%}", min(shares) >= wanted)
    of_bf16 = [row for row in rows if (row["pass"], row["dtype"]) == ("forward_backward", "bf16")]
    times = {row["shape"]: row["latency_ms"]["p50"] for row in of_bf16}
    if times.keys() >= INSERTIONS.keys():
        total = sum(number * times[shape] for shape, number in INSERTIONS.items())
        words = "16 insertions of 64 frames, bf16, forward and backward"
        add(words, "1.4 ms", f"{total:.2f} ms", total <= 1.4)
    costs = found.get("costs", {}).get("rows", [])
    steps = {(row["way"], row["variant"]): row["ms"]["step"]["p50"] for row in costs if "step" in row["ms"]}
    for way in dict.fromkeys(way for way, _ in steps):
        if {(way, "tsn"), (way, "ks1357")} <= steps.keys():
            over = steps[way, "ks1357"] / steps[way, "tsn"]
            add(f"a training step of `ks1357` over TSN's: {way}", "1.05", f"{over:.3f}", over <= 1.05)
    table = markdown([["of an H100", "wanted", "measured", ""], *lines])
    return ["## Targets", table] if lines else []


def _failed(found: Mapping[str, Any]) -> list[str]:
    lines = [f"- {one.get('way', one.get('trial'))}: {one['why']}" for one in found.get("failed", [])]
    return ["Failed:", "\n".join(lines)] if lines else []


def _operators(found: Mapping[str, Any]) -> list[str]:
    parts = [
        "Shapes are channels@pixels. Medians, as multiples of a plain copy of the same tensor (what it would take at "
        "a copy's speed: 1 forward, 2.5 forward and backward), with 95 % bootstrap intervals. *of copy*: of the "
        "bandwidth of that copy. *x published*: how many times as fast as the authors' form. *first*: seconds of the "
        "first call, in which kernels are compiled. On a GPU its own work is timed, not Python's launches, unless "
        "a figure says so. *graph* is forward, replayed from a CUDA graph."
    ]
    for case, own in by_case(found["rows"]).items():
        copied = next((_copied(row) for row in own if not row["failed"]), "")
        lines = table(own)
        parts += [f"### {case}{copied}", markdown([[_cell(cell) for cell in line] for line in lines])]
    parts += ["\n".join(f"- {line}" for line in found["insertions"])]
    parts += [f"Not run: {path}: {reason}." for path, reason in found["skipped"].items()]
    return parts


def _copied(row: Mapping[str, Any]) -> str:
    return f": copy {row['copy_ms']:.3f} ms, {2 * row['bytes'] / row['copy_ms'] / 1e6:.0f} GB/s"


def _geometry(found: Mapping[str, Any]) -> str:
    geometry = found["geometry"]
    clocks = f" Clocks after the last of them: {found['clocks']}." if "clocks" in found else ""
    return (
        f"{geometry['backbone']}, {geometry['size']} pixels a side, operators in all stages. "
        "Milliseconds, p50 / p95: *forward* and *step* (forward, backward and SGD) by events, so with Python's "
        "launches where they take longer than the GPU; *graph* is forward replayed from a CUDA graph, without them. "
        f"Timed by turns; *rounds* says how often.{clocks}"
    )


def _costs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    parts = []
    for way in dict.fromkeys(row["way"] for row in rows):
        of_it = [row for row in rows if row["way"] == way]
        base = next((row["ms"]["step"]["p50"] for row in of_it if row["variant"] == "tsn"), None)
        lines = [
            ["variant", "forward", "graph", "step", "step over TSN's", "rounds", "peak [MiB]", "doubtful"]
        ]
        for row in of_it:
            step = row["ms"].get("step")
            over = f"{step['p50'] / base:.3f}" if step and base else ""
            peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
            times = [_times(row["ms"].get(what)) for what in ("forward", "forward@graph", "step")]
            doubts = ", ".join(sorted({words.partition(":")[0] for words in row["warnings"]}))
            lines.append([row["variant"], *times, over, str(row["ms"]["forward"]["n"]), peak, doubts])
        parts += [f"### {way}", markdown(lines)]
    return parts


def _times(measured: Mapping[str, float] | None) -> str:
    return f"{measured['p50']:.2f} / {measured['p95']:.2f}" if measured else ""


def _ladder(found: Mapping[str, Any]) -> list[str]:
    trials = found["trials"]
    levels = list(trials[0]["levels"])
    lines = [["operator", "seeds", *(f"lag {level}" for level in levels)]]
    for name in dict.fromkeys(one["variant"] for one in trials):
        own = [one["levels"] for one in trials if one["variant"] == name]
        means = [sum(one[level] for one in own) / len(own) for level in levels]
        lines.append([name, str(len(own)), *(f"{mean:.1f}" for mean in means)])
        if cpu := found["cpu"].get(name):
            lines.append(["on CPUs, encoded clips", "3", *(f"{cpu[level]:.1f}" for level in levels)])
    words = f"Top-1 in per cent, chance 50. {len(trials)} of {found['planned']} trials."
    if found.get("tf32"):
        words += " Convolutions are rounded to TF32, as torch has it."
    if "alone_seconds" in found:
        words += f" One trial alone took {found['alone_seconds']:.1f} s"
        if "seconds_at_once" in found and "crowded" not in found:
            each = found["seconds_at_once"] / max(1, found["planned"] - 1)
            words += f"; {found['at_once']} at once took {each:.1f} s for each, process starts included"
        words += "."
    if "crowded" in found:
        words += (
            f" {found['crowded']['trials']} failed beside others and were trained again alone: "
            f"{found['crowded']['why']}"
        )
    return [words, markdown(lines)]


def _profile(one: Mapping[str, Any]) -> str:
    lines = [["kernel", "calls", "ms", "share"]]
    lines += [
        [
            _cell(kernel["kernel"][:80]),
            f"{kernel['calls']:g}",
            f"{kernel['ms']:.2f}",
            f"{100 * kernel['share']:.1f} %",
        ]
        for kernel in one["kernels"]
    ]
    share = f"`{one['variant']}`: {100 * one['temporal_share']:.1f} % of the time in temporal operators."
    return share + "\n\n" + markdown(lines)
