"""What stands behind the verdicts: hypotheses, pairs, other intervals, and where a variant's gain comes from."""

from __future__ import annotations

from collections.abc import Sequence

from harness.breakdown import Breakdown, ClassChange, Confusion
from harness.document import Block, Cell, Heading, Paragraph, Table, one_line
from harness.stats import MAX_SEEDS, ClipPaired, Estimate
from harness.summary import Summary
from harness.tables import covered
from harness.words import bare_points, estimate, interval, signed

MOST = 6
"""Classes and confusions listed for each variant."""
SEEDS_SHOWN = 10
"""Seeds whose clips a page counts one by one."""


def hypotheses(summary: Summary) -> list[Block]:
    """What the study stated beforehand, tested as stated."""
    if not summary.hypotheses:
        return []
    rows: list[list[str | Cell]] = [
        [f"`{one.text}`", bare_points(one.difference) if one.difference.n else "-", p_value(one.p_holm), one.verdict]
        for one in summary.hypotheses
    ]  # fmt: skip
    table = Table(
        header=["hypothesis", "left minus right [points]", "p (Holm)", "verdict"],
        rows=rows,
        words=(0, 3),
        label="hypotheses",
        caption=f"Hypotheses that `{summary.record.name}` stated beforehand, corrected together (Holm).",
    )
    note = (
        "Stated in the study file, tested as stated (one-sided, or against the margin) and corrected together by "
        "Holm's "
        "method. Not supported does not say that the opposite holds. Every other comparison on this page is "
        "exploratory."
    )
    return [Heading(3, "Hypotheses stated beforehand"), table, Paragraph(note, "note")]


def pairs(summary: Summary) -> list[Block]:
    """The comparisons that the study names beside those with the baseline."""
    if not summary.pairs:
        return []
    rows = [
        [
            f"`{gap.variant}` vs `{gap.other}`",
            bare_points(gap) if gap.n else "-",
            p_value(gap.p_holm),
            gap.words,
        ]
        for gap in summary.pairs
    ]
    table = Table(
        header=["pair", "difference [points]", "p (Holm)", "verdict"],
        rows=rows,
        words=(0, 3),
        label="pairs",
        caption=f"Chosen pairs of `{summary.record.name}`: difference in top-1 [95 % interval], corrected "
        f"together (Holm).",
    )
    return [Heading(3, "Chosen pairs"), table]


def differences(summary: Summary) -> list[Block]:
    """The differences to the baseline seen in other ways; each says what it does and does not cover."""
    gaps = [(row.variant, row.difference) for row in summary.rows if row.difference and row.difference.n]
    if not any(gap.clips or gap.bootstrap or gap.effect is not None for _, gap in gaps):
        return []
    header = ["variant", "quoted", "over seeds alone", "over clips alone", "seeds and clips resampled"]
    header += ["p (Holm)", "clips won : lost", "effect size", "seeds needed"]
    rows = [
        [
            f"`{variant}`",
            f"{signed(gap.mean)}{interval(gap)}",
            _interval(gap.trainings),
            _interval(gap.clips),
            _interval(gap.bootstrap),
            p_value(gap.p_holm),
            _won(gap.clips),
            "-" if gap.effect is None else f"{gap.effect:.2f}",
            "-" if gap.seeds_needed is None else f"{gap.seeds_needed:,}",
        ]
        for variant, gap in gaps
    ]
    covers = covered(gap for _, gap in gaps)
    note = (
        f"Top-1 minus that of `{summary.record.baseline}` in points, 95 % intervals, each for itself. "
        + (f"The quoted interval is for {covers}. " if covers else "")
        + "Over seeds alone: a t interval, for these very clips. Over clips alone: these very networks on new clips, "
        "paired by clip; it says nothing about training them again. Clips won : lost: clips (or clusters of "
        "clips that "
        "belong together) of which the variant gets more, or fewer, right than the baseline, seed by seed, with "
        "the exact McNemar p, uncorrected. Effect size: Hedges' g of the paired differences. Seeds needed: in all, to "
        "decide a difference as large as the one observed, of the spread observed, at 80 % power in this table; - "
        f"where more than {MAX_SEEDS:,} would be, or nothing can be said."
    )
    return [
        Heading(3, "The differences in detail"),
        Table(header=header, rows=rows, fold="intervals, effect sizes and seeds needed"),
        Paragraph(note, "note"),
    ]


def gains(summary: Summary) -> list[Block]:
    """Classes that changed most, confusions, probes of order, filters and reach."""
    found = [summary.breakdowns[v] for v in summary.record.variants if v in summary.breakdowns]
    blocks = [*_changes(found), *_confusions(found), *_orders(found), *_reach(found)]
    return [Heading(2, "Where the gain comes from"), *blocks] if blocks else []


def _changes(found: Sequence[Breakdown]) -> list[Block]:
    rows = [
        [f"`{one.variant}`", _classes(one.gained), _classes(one.lost)]
        for one in found
        if one.gained or one.lost
    ]
    if not rows:
        return []
    note = (
        f"Top-1 of a class minus the baseline's, in points, paired by seed; the {MOST} largest. Not corrected for "
        f"the "
        "number of classes: where to look, not what is so."
    )
    table = Table(header=["variant", "gained most", "lost most"], rows=rows, words=range(3))
    return [Heading(3, "Classes"), table, Paragraph(note, "note")]


def _classes(changes: Sequence[ClassChange]) -> str:
    return (
        "; ".join(f"{one_line(c.name)} {signed(c.change.mean)}{interval(c.change)}" for c in changes[:MOST])
        or "-"
    )


def _confusions(found: Sequence[Breakdown]) -> list[Block]:
    rows = [
        [f"`{one.variant}`", one_line(c.true), one_line(c.predicted), "yes" if c.twins else "", *_rates(c)]
        for one in found
        for c in one.confusions[:MOST]
    ]
    if not rows:
        return []
    table = Table(
        header=["variant", "class", "taken for", "twins", "clips of the class [%]", "baseline [%]"],
        rows=rows,
        words=(0, 1, 2, 3),
        fold="confusion pairs, time-reversed twins first",
    )
    note = (
        "Twins are each other's class played backwards: only the order of frames tells them apart. ± is a 95 % t "
        "interval over seeds, each for itself."
    )
    return [Heading(3, "Confusions"), table, Paragraph(note, "note")]


def _rates(confusion: Confusion) -> tuple[str, str]:
    base = confusion.baseline
    return estimate(confusion.rate, seeds=confusion.rate.n), "-" if base is None else estimate(
        base, seeds=base.n
    )


def _orders(found: Sequence[Breakdown]) -> list[Block]:
    orders = list(dict.fromkeys(probe.order for one in found for probe in one.orders))
    if not orders:
        return []
    rows: list[list[str]] = []
    for one in found:
        known = {probe.order: probe for probe in one.orders}
        cells = [f"`{one.variant}`"]
        for order in orders:
            change = known[order].change.get("top1") if order in known else None
            cells.append(
                "-" if change is None or not change.n else f"{signed(change.mean)}{interval(change)}"
            )
        rows.append(cells)
    table = Table(
        header=["variant", *(f"{order} [points]" for order in orders)],
        rows=rows,
        label="order",
        caption="Change in top-1 when the frames of the same test clips are put in another order [95 % interval].",
    )
    note = (
        "Top-1 on the same clips with their frames in another order, minus that on the clips as they are: reversed, "
        "shuffled, or frozen to one frame. A network that does not use the order of frames loses nothing by the "
        "first two."
    )
    return [Heading(3, "Does it use the order of frames?"), table, Paragraph(note, "note")]


def _reach(found: Sequence[Breakdown]) -> list[Block]:
    stages = sorted({reach.stage for one in found for reach in one.reach})
    if not stages:
        return []
    rows = []
    for one in found:
        known = {reach.stage: reach.radius for reach in one.reach}
        rows.append([f"`{one.variant}`", *(_frames(known.get(stage)) for stage in stages)])
    table = Table(header=["variant", *(f"after stage {stage}" for stage in stages)], rows=rows)
    note = (
        "Effective temporal reach in frames: root mean square distance of the input frames from the centre "
        "frame, weighted "
        "by the squared gradient of its features. 0: no other frame is looked at."
    )
    return [Heading(3, "How far it looks"), table, Paragraph(note, "note")]


def _frames(radius: Estimate | None) -> str:
    if radius is None or not radius.n:
        return "-"
    return f"{radius.mean:.2f}" + ("" if radius.half_width is None else f" ± {radius.half_width:.2f}")


def _interval(value: Estimate | None) -> str:
    return "-" if value is None or value.low is None else interval(value).strip()


def _won(clips: ClipPaired | None) -> str:
    if clips is None or not clips.by_seed:
        return "-"
    shown = [f"{one.gained} : {one.lost} (p {p_value(one.p)})" for one in clips.by_seed[:SEEDS_SHOWN]]
    left = len(clips.by_seed) - len(shown)
    return ", ".join([*shown, *([f"and {left} more in `results.json`"] if left else [])])


def p_value(p: float | None) -> str:
    """`0.031`; `< 0.001`; `-` where nothing was tested."""
    if p is None:
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
