"""What stands behind the verdicts: hypotheses, pairs, and the differences in detail."""

from __future__ import annotations

from harness.analysis.summary import Summary
from harness.report.document.blocks import Block, Heading, Paragraph, Table
from harness.report.format import bare_points, covered, first_in_code, interval, listed, p_value, signed
from harness.stats.clips import ClipDifference
from harness.stats.differences import MAX_SEEDS, Verdict
from harness.stats.estimates import Estimate
from harness.stats.hypotheses import parse_hypothesis

SEEDS_SHOWN = 10
"""Seeds whose clips a page counts one by one."""

HYPOTHESES = (
    "Stated in the study file, tested as stated (one-sided, or against the margin) "
    "and corrected together by Holm's method. "
    "Not supported does not say that the opposite holds. "
    "Every other comparison on this page is exploratory."
)

ONE_SIDED = (
    "(1): p is of the stated side alone. The interval is to both sides, at the same level, and so reaches beyond "
    "what is claimed. Had the study not named the side, the difference would not be shown."
)

DETAIL = (
    "Over seeds alone: a t interval, for these very clips. "
    "Over clips alone: these very networks on new clips, paired by clip; "
    "it says nothing about training them again. "
    "Clips won : lost: on how many clips the variant is right and the baseline is not, and the other way around. "
    "Clips that belong together count as one, won by the one that gets more of them right. "
    "For each seed, with the exact McNemar p, uncorrected. "
    "Effect size: Hedges' g of the paired differences. "
    "Seeds needed: how many in all would decide a difference of this size and spread in this table, at 80 % power; "
    f"- where that is more than {MAX_SEEDS:,}, or nothing can be said."
)


def section(summary: Summary) -> list[Block]:
    return [*_hypotheses(summary), *_pairs(summary), *_detail(summary)]


def _hypotheses(summary: Summary) -> list[Block]:
    """What the study stated beforehand, tested as stated."""
    if not summary.hypotheses:
        return []
    rows = []
    for one in summary.hypotheses:
        gap = one.difference
        mark = " (1)" if one.by_one_side else ""
        shown = [bare_points(gap) if gap.n else "-", p_value(one.p_holm), f"{one.verdict}{mark}"]
        rows.append([f"`{one.text}`", *shown])
    table = Table(
        header=["hypothesis", "left minus right [points]", "p (Holm)", "verdict"],
        rows=rows,
        words=(0, 3),
        label="hypotheses",
        caption=f"Hypotheses that `{summary.record.name}` stated beforehand, corrected together (Holm).",
    )
    note = f"{HYPOTHESES} {ONE_SIDED}" if any(one.by_one_side for one in summary.hypotheses) else HYPOTHESES
    return [
        Heading(3, "Hypotheses stated beforehand"),
        table,
        Paragraph(note + _open_elsewhere(summary), "note"),
    ]


def _open_elsewhere(summary: Summary) -> str:
    """Rows that are supported here, and of which the table of all rows says that seeds are too few."""
    still_open = {
        frozenset((row.variant, row.difference.other)): row.variant
        for row in summary.rows
        if row.difference and row.difference.verdict == Verdict.TOO_FEW
    }
    shown = [
        parse_hypothesis(one.text, summary.record.margin)
        for one in summary.hypotheses
        if one.verdict == Verdict.SUPPORTED
    ]
    pairs = [frozenset((one.left, one.right)) for one in shown if one.level is None]
    names = [still_open[pair] for pair in pairs if pair in still_open]
    if not names:
        return ""
    return (
        f" Of {listed(dict.fromkeys(names))} the table of all rows still says that seeds are too few: "
        "it corrects for more rows, and allows for both sides."
    )


def _pairs(summary: Summary) -> list[Block]:
    """The comparisons that the study names beside those with the baseline."""
    if not summary.pairs:
        return []
    rows = []
    for gap in summary.pairs:
        names = f"`{gap.variant}` vs `{gap.other}`"
        rows.append([names, bare_points(gap) if gap.n else "-", p_value(gap.p_holm), gap.words])
    name = summary.record.name
    table = Table(
        header=["pair", "difference [points]", "p (Holm)", "verdict"],
        rows=rows,
        words=(0, 3),
        label="pairs",
        caption=f"Chosen pairs of `{name}`: difference in top-1 [95 % interval], corrected together (Holm).",
    )
    return [Heading(3, "Chosen pairs"), table]


def _detail(summary: Summary) -> list[Block]:
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
    note = (
        f"Top-1 minus that of {first_in_code(summary.against)} in points, 95 % intervals, each for itself. "
    )
    if covers := covered(gap for _, gap in gaps):
        note += f"The quoted interval is for {covers}. "
    table = Table(header=header, rows=rows, fold="intervals, effect sizes and seeds needed")
    return [Heading(3, "The differences in detail"), table, Paragraph(note + DETAIL, "note")]


def _interval(value: Estimate | None) -> str:
    return "-" if value is None or value.low is None else interval(value).strip()


def _won(clips: ClipDifference | None) -> str:
    if clips is None or not clips.by_seed:
        return "-"
    shown = [f"{one.gained} : {one.lost} (p {p_value(one.p)})" for one in clips.by_seed[:SEEDS_SHOWN]]
    left = len(clips.by_seed) - len(shown)
    return ", ".join([*shown, *([f"and {left} more in `results.json`"] if left else [])])
