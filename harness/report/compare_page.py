"""Two studies side by side, as a document, and its figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import plots
from harness.plots import Point
from harness.report.compare import Comparison
from harness.report.document.blocks import Block, Document, Figure, Heading, Items, Paragraph, Table
from harness.report.format import bare_points, covered, estimate, listed, milliseconds, plural, points
from harness.stats.estimates import Quartiles
from harness.units import macs


def page(compared: Comparison, figures: Sequence[Figure]) -> Document:
    one, other = compared.labels
    blocks: list[Block] = [Paragraph(_answer(compared), "answer")]
    blocks += [Heading(2, "Accuracy"), *_accuracy(compared), *figures]
    blocks += [Heading(2, "Cost"), *_cost(compared)]
    blocks.append(Heading(2, "What differs between the two"))
    if compared.differs:
        rows = [list(line) for line in compared.differs]
        blocks.append(Table(header=["what", one, other], rows=rows, words=range(3)))
    else:
        blocks.append(Paragraph("Nothing that was recorded."))
    blocks += [Heading(2, "What is missing"), _missing(compared)]
    return Document(f"{one} against {other}", blocks)


def _answer(compared: Comparison) -> str:
    one, other = compared.labels
    if compared.obstacle:
        return f"The accuracies of {one} and {other} stand side by side and are not subtracted: {compared.obstacle}."
    known = {variant: gap for variant, gap in compared.gaps.items() if gap.n}
    if not known:
        shared = f"{one} and {other} share no finished seed of any variant"
        return f"{shared}: nothing can be said about differences."
    words: dict[str, list[str]] = {}
    for variant, gap in known.items():
        words.setdefault(gap.words, []).append(variant)
    parts = "; ".join(f"{word}: {listed(variants)}" for word, variants in words.items())
    largest = max(known, key=lambda variant: abs(known[variant].mean))
    return (
        f"Of {plural(len(known), 'variant')} in both, {other} against {one} is, by verdict, {parts}. "
        f"The largest difference in top-1 is that of `{largest}`: {points(known[largest])}."
    )


def _accuracy(compared: Comparison) -> list[Block]:
    one, other = compared.labels
    header = ["variant", f"{one}: top-1 [%]", f"{other}: top-1 [%]"]
    header += ["second minus first [points]", "verdict"] if compared.gaps else []
    header += ["against its baseline, first", "second"]
    rows = []
    for variant in compared.shared:
        pair = compared.rows(variant)
        cells = [f"`{variant}`", *(estimate(row.accuracy["top1"]) for row in pair)]
        if compared.gaps:
            gap = compared.gaps[variant]
            cells += [bare_points(gap) if gap.n else "-", gap.words]
        cells += [row.difference.words if row.difference else "baseline" for row in pair]
        rows.append(cells)
    words = {0, 4, 5, 6} if compared.gaps else {0, 3, 4}
    caption, note = f"{one} and {other}.", "Not subtracted: see above."
    if compared.gaps:
        covers = covered(compared.gaps.values())
        interval = f"95 % interval for {covers}" if covers else "95 % interval"
        note = (
            f"Differences are paired by seed, [ ] is the {interval}, "
            "verdicts are corrected over the variants shown (Holm). "
            "Such a difference has every cause that the list of differences on this page names, "
            "and is exploratory."
        )
    return [Table(header=header, rows=rows, words=words, label="comparison", caption=caption, notes=[note])]


def _cost(compared: Comparison) -> list[Block]:
    one, other = compared.labels
    header = ["variant", f"{one}: added MACs", f"{other}: added MACs", f"{one}: latency [ms]"]
    header += [f"{other}: latency [ms]", "second / first"]
    rows = []
    for variant in compared.shared:
        pair = compared.rows(variant)
        added = [macs(row.cost.macs_added, sign="+") if row.cost else "not measured" for row in pair]
        latency = [row.latency_ms for row in pair]
        shown = [milliseconds(row.latency_ms, doubtful=row.doubtful) for row in pair]
        mark = " ?" if any(row.doubtful for row in pair) and all(latency) else ""
        rows.append([f"`{variant}`", *added, *shown, f"{_ratio(*latency)}{mark}"])
    note = (
        "Latency: median [quartiles] of one clip. "
        "Second / first: ratio of the medians, "
        "and in brackets from the second's lower quartile over the first's upper one to the reverse."
    )
    if any(row.doubtful for variant in compared.shared for row in compared.rows(variant)):
        note += " ?: a latency that is doubtful, or a ratio with one; the study's own report says why."
    return [Table(header=header, rows=rows, label="comparison-cost", caption="Their costs.", notes=[note])]


def _ratio(first: Quartiles | None, second: Quartiles | None) -> str:
    if first is None or second is None or not first.q1 > 0:
        return "-"
    low, high = second.q1 / first.q3, second.q3 / first.q1
    return f"{second.median / first.median:.2f} [{low:.2f}, {high:.2f}]"


def _missing(compared: Comparison) -> Block:
    lines = []
    for label, summary in zip(compared.labels, compared.summaries, strict=True):
        planned = len(summary.trials)
        if summary.usable < planned:
            lines.append(f"{label}: {summary.usable} of {plural(planned, 'trial')} have a result")
        alone = [v for v in summary.record.variants if v not in compared.shared]
        if alone:
            lines.append(f"only in {label}: {listed(alone)}")
    if lines:
        return Items(lines)
    return Paragraph("Nothing: every variant is in both, and every trial finished.")


def draw(compared: Comparison, folder: Path) -> list[Figure]:
    pairs = []
    for variant in compared.shared:
        one, other = (row.accuracy["top1"] for row in compared.rows(variant))
        if one.n and other.n:
            first = Point(variant, 0, one.mean, one.low, one.high)
            pairs.append((first, Point(variant, 0, other.mean, other.low, other.high)))
    if not pairs or compared.obstacle:
        return []
    plots.paired_points(folder / "both", pairs, compared.labels)
    caption = "Top-1 of each variant in both studies, mean over its finished seeds, with 95 % t intervals."
    return [Figure("both", "The same variants in both", caption)]
