"""Where a variant's gain comes from: classes, confusions, the order of frames, temporal reach."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.breakdown import Breakdown, ClassChange, Confusion
from harness.analysis.summary import Summary
from harness.report.document.blocks import Block, Heading, Paragraph, Table, one_line
from harness.report.format import estimate, interval, signed
from harness.stats.estimates import Estimate

MOST = 6
"""Classes and confusions listed for each variant."""

CLASSES = (
    f"Top-1 of a class minus the baseline's, in points, paired by seed; at most the {MOST} largest. "
    "Not corrected for the number of classes: where to look, not what is so."
)

TWINS = "Twins are each other's class played backwards: only the order of frames tells them apart. "

CONFUSIONS = "± is a 95 % t interval over seeds, each for itself; [ ] where it is cut at 0 or 100 %."

ORDER = (
    "How top-1 changes when the same clips have their frames reversed, shuffled, or frozen to one frame. "
    "A network that does not use the order of frames loses nothing by the first two."
)

OCCLUSION = (
    "Of clips with a twin: the probability of the true class against its twin, in per cent. Then by how many points "
    "it falls when one frame is the mean grey. About 0: the network does as well without that frame. "
    "[ ]: 95 % t interval over seeds, each for itself."
)

REACH = (
    "Effective temporal reach in frames: "
    "root mean square distance of the input frames from the centre frame, "
    "weighted by the squared gradient of its features. "
    "0: no other frame is looked at."
)


def section(summary: Summary) -> list[Block]:
    """Classes that changed most, confusions, probes of order, and reach."""
    found = [summary.breakdowns[v] for v in summary.record.variants if v in summary.breakdowns]
    blocks = [*_changes(found), *_confusions(found), *_orders(found), *_occlusions(found), *_reach(found)]
    return [Heading(2, "Where the gain comes from"), *blocks] if blocks else []


def _changes(found: Sequence[Breakdown]) -> list[Block]:
    changed = [one for one in found if one.gained or one.lost]
    if not changed:
        return []
    rows = [[f"`{one.variant}`", _classes(one.gained), _classes(one.lost)] for one in changed]
    table = Table(header=["variant", "gained most", "lost most"], rows=rows, words=range(3))
    return [Heading(3, "Classes"), table, Paragraph(CLASSES, "note")]


def _classes(changes: Sequence[ClassChange]) -> str:
    listed = (f"{one_line(c.name)} {signed(c.change.mean)}{interval(c.change)}" for c in changes[:MOST])
    return "; ".join(listed) or "-"


def _confusions(found: Sequence[Breakdown]) -> list[Block]:
    shown = [(one.variant, confusion) for one in found for confusion in one.confusions[:MOST]]
    if not shown:
        return []
    twins = any(confusion.twins for _, confusion in shown)
    rows = []
    for variant, c in shown:
        kind = ["yes" if c.twins else "no"] if twins else []
        rows.append([f"`{variant}`", one_line(c.true), one_line(c.predicted), *kind, *_rates(c)])
    table = Table(
        header=[
            "variant",
            "class",
            "taken for",
            *(["twins"] if twins else []),
            "clips of the class [%]",
            "baseline [%]",
        ],
        rows=rows,
        words=range(4 if twins else 3),
        fold="confusion pairs, time-reversed twins first" if twins else "confusion pairs",
    )
    note = TWINS * twins + CONFUSIONS
    return [Heading(3, "Confusions"), table, Paragraph(note, "note")]


def _rates(confusion: Confusion) -> list[str]:
    rates = (confusion.rate, confusion.baseline)
    return ["-" if rate is None else estimate(rate, seeds=rate.n) for rate in rates]


def _orders(found: Sequence[Breakdown]) -> list[Block]:
    orders = list(dict.fromkeys(probe.order for one in found for probe in one.orders))
    if not orders:
        return []
    rows = []
    for one in found:
        known = {probe.order: probe.change.get("top1") for probe in one.orders}
        rows.append([f"`{one.variant}`", *(_change(known.get(order)) for order in orders)])
    table = Table(
        header=["variant", *(f"{order} [points]" for order in orders)],
        rows=rows,
        label="order",
        caption="Change in top-1 when the frames of the same test clips are put in another order [95 % interval].",
    )
    return [Heading(3, "Does it use the order of frames?"), table, Paragraph(ORDER, "note")]


def _occlusions(found: Sequence[Breakdown]) -> list[Block]:
    probed = [(one.variant, one.occlusion) for one in found if one.occlusion]
    if not probed:
        return []
    frames = range(1, len(probed[0][1].fall) + 1)
    rows = [
        [f"`{variant}`", estimate(one.as_is), *(_change(fall) for fall in one.fall)]
        for variant, one in probed
        if len(one.fall) == len(frames)
    ]
    table = Table(
        header=["variant", "whole clip [%]", *(f"without frame {frame}" for frame in frames)],
        rows=rows,
        label="occlusion",
        caption="Belief in a clip's class against its twin's, and by how many points it falls when one frame is grey.",
    )
    return [Heading(3, "Which frames does it need?"), table, Paragraph(OCCLUSION, "note")]


def _change(change: Estimate | None) -> str:
    return "-" if change is None or not change.n else f"{signed(change.mean)}{interval(change)}"


def _reach(found: Sequence[Breakdown]) -> list[Block]:
    stages = sorted({reach.stage for one in found for reach in one.reach})
    if not stages:
        return []
    rows = []
    for one in found:
        known = {reach.stage: reach.radius for reach in one.reach}
        rows.append([f"`{one.variant}`", *(_frames(known.get(stage)) for stage in stages)])
    table = Table(header=["variant", *(f"after stage {stage}" for stage in stages)], rows=rows)
    return [Heading(3, "How far it looks"), table, Paragraph(REACH, "note")]


def _frames(radius: Estimate | None) -> str:
    if radius is None or not radius.n:
        return "-"
    if radius.low is None or radius.high is None or radius.half_width is None:
        return f"{radius.mean:.2f}"
    if radius.lopsided:  # it was cut at 0
        return f"{radius.mean:.2f} [{radius.low:.2f}, {radius.high:.2f}]"
    return f"{radius.mean:.2f} ± {radius.half_width:.2f}"
