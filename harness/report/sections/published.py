"""What papers print beside what was measured: whether the two can be compared, and the rows that were not measured."""

from __future__ import annotations

from harness.analysis.summary import Summary
from harness.published import others
from harness.report.document.blocks import Block, Heading, Paragraph, Table, one_line
from harness.report.format import listed, number

NOTE = "Nothing of this table was measured here, and each number is of one training: there are no intervals."


def section(summary: Summary) -> list[Block]:
    """On the same data set: the paper's rows that this study does not measure, and what others published."""
    paper = summary.reference
    if not paper or not _same_data(summary):
        return []
    rows = []
    for name, row in others(paper, [row.variant for row in summary.rows if row.paper]).items():
        clips = f"{row['clips']} clips" if "clips" in row else ""
        gmacs = f"{row['gmacs']} G" + (f" x {clips}" if clips else "") if "gmacs" in row else "-"
        source = f"{paper['title']}; {row['note']}" if "note" in row else paper["title"]
        numbers = [number(row.get("top1")), number(row.get("top5")), gmacs]
        method = one_line(row.get("method", name))
        rows.append([method, row.get("frames", "-"), *numbers, clips or "see the paper", one_line(source)])
    for row in paper["elsewhere"]:
        method = one_line(row["method"])
        rows.append([method, "-", number(row["top1"]), "-", "-", row["protocol"], row["source"]])
    if not rows:
        return []
    header = ["method", "frames", "top-1 [%]", "top-5 [%]", "MACs", "protocol", "published in"]
    table = Table(header=header, rows=rows, words=(0, 5, 6))
    return [Heading(3, "Published elsewhere"), table, Paragraph(NOTE, "note")]


def comparability(summary: Summary) -> str:
    """Whether the paper's column of accuracies can be held against the measured one."""
    paper = summary.reference
    source = f"{paper['title']}, on {paper['dataset']} ({paper['protocol']})"
    if _same_data(summary):
        same = f"The paper's column is its {source}: the same data set, but compare the protocols first."
        return same + _not_reproduced(summary) + elsewhere(summary)
    return (
        f"The accuracies of this study are on the data set `{summary.record.dataset_name}`. "
        f"The paper's column is its {source}: "
        "another data set, so the two columns cannot be compared in absolute value." + elsewhere(summary)
    )


def elsewhere(summary: Summary) -> str:
    """Rows of the paper that have a variant's name, and their operator at another place in the block."""
    rows = summary.reference.get("rows", {})
    named = [row.variant for row in summary.rows if row.variant in rows and not row.paper]
    if not named:
        return ""
    return f" Of {listed(named)} nothing is quoted: the paper has the operator at another place in the block."


def _same_data(summary: Summary) -> bool:
    return bool(summary.record.dataset_name == summary.reference["dataset_key"])


def _not_reproduced(summary: Summary) -> str:
    """Printed accuracies that lie outside the interval measured here; why, the numbers do not say."""
    outside = [
        row.variant
        for row in summary.rows
        if (top1 := row.paper.get("top1")) is not None
        and row.accuracy["top1"].low is not None
        and not row.accuracy["top1"].holds(top1)
    ]
    if not outside:
        return ""
    return (
        f" Not reproduced: of {listed(outside)} the printed accuracy is outside the interval measured here; "
        "it is of one training, whose luck that interval does not hold, "
        "and whatever differs between the protocols counts."
    )
