"""The tables of accuracies. Every number in them was computed by `harness.analysis`."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.summary import Row, Summary
from harness.published import others
from harness.report.document.blocks import Block, Cell, Heading, Paragraph, Table, one_line
from harness.report.format import bare_points, estimate, number, plural
from harness.stats.differences import Difference
from harness.stats.distributions import MIN_SEEDS

OPEN_CLASSES = 40
"""Per-class tables with more rows than this are folded."""


def accuracy(summary: Summary) -> list[Block]:
    """Top-1 and what it is worth, with the paper's column where there is one."""
    record, paper = summary.record, summary.reference
    header = ["variant", "seeds", "top-1 [%]", f"vs {record.baseline} [points]", "verdict"]
    header += ["paper: top-1 [%]"] if paper else []
    rows: list[list[str | Cell]] = []
    for row in summary.rows:
        cells: list[str | Cell] = [f"`{row.variant}`", f"{row.finished} of {row.planned}"]
        cells += [Cell(_top1(row), strong=summary.clear_best and row is summary.best), *_difference(row)]
        cells += [number(row.paper.get("top1"))] if paper else []
        rows.append(cells)
    covers = covered(row.difference for row in summary.rows)
    caption = (
        f"Top-1 accuracy of `{record.name}`: mean over seeds ± 95 % interval over seeds, and the difference to "
        f"`{record.baseline}` paired by seed [95 % interval{f' for {covers}' if covers else ''}]; verdicts corrected "
        "for the rows (Holm)." + (" Bold: every other row is worse." if summary.clear_best else "")
    )
    notes = [_comparability(summary)] if paper else []
    table = Table(header=header, rows=rows, words=(0, 4), label="accuracy", caption=caption, notes=notes)
    return [table, Paragraph(_accuracy_note(summary), "note")]


def groups(summary: Summary) -> list[Block]:
    """Top-5, and top-1 on each group of classes."""
    metrics = [
        metric for metric in summary.metrics[1:] if any(row.accuracy[metric].n for row in summary.rows)
    ]
    if not metrics:
        return []
    table = Table(
        header=["variant", *(_title(metric) for metric in metrics)],
        rows=[
            [f"`{row.variant}`", *(estimate(row.accuracy[metric], seeds=row.finished) for metric in metrics)]
            for row in summary.rows
        ],
        label="groups",
        caption=f"Accuracy of `{summary.record.name}` in other ways: mean over seeds ± 95 % interval.",
    )
    return [
        Heading(3, "Top-5, and top-1 by group of classes" if len(metrics) > 1 else "Other accuracies"),
        table,
    ]


def published(summary: Summary) -> list[Block]:
    """On the same data set: the paper's rows that this study does not measure, and what others published."""
    record, paper = summary.record, summary.reference
    if not paper or record.dataset_name != paper["dataset_key"]:
        return []
    rows = []
    for name, row in others(paper, record.variants).items():
        clips = f"{row['clips']} clips" if "clips" in row else ""
        gmacs = f"{row['gmacs']} G" + (f" x {clips}" if clips else "") if "gmacs" in row else "-"
        source = f"{paper['title']}; {row['note']}" if "note" in row else paper["title"]
        numbers = [number(row.get("top1")), number(row.get("top5")), gmacs]
        method = one_line(row.get("method", name))
        rows.append([method, row.get("frames", "-"), *numbers, clips or "see the paper", one_line(source)])
    for row in paper["elsewhere"]:
        rows.append(
            [one_line(row["method"]), "-", number(row["top1"]), "-", "-", row["protocol"], row["source"]]
        )
    if not rows:
        return []
    header = ["method", "frames", "top-1 [%]", "top-5 [%]", "MACs", "protocol", "published in"]
    words = (
        "Nothing of this table was measured here, and each number is of one training: there are no intervals."
    )
    return [
        Heading(3, "Published elsewhere"),
        Table(header=header, rows=rows, words=(0, 5, 6)),
        Paragraph(words, "note"),
    ]


def _accuracy_note(summary: Summary) -> str:
    gaps = [row.difference for row in summary.rows if row.difference]
    tested = sum(gap.p is not None for gap in gaps)
    verdict = (
        "The verdict is stricter than the interval: it tests at the 5 % level after Holm's correction over "
        f"the {plural(tested, 'row')} tested. Too few seeds to tell does not mean equal."
        if tested
        else "No row has enough paired seeds for a verdict."
    )
    bold = ""
    if summary.clear_best:
        bold = " The best top-1 is bold: every other row that has one is worse after Holm's correction."
    elif len(summary.rows) > 1:
        bold = " No top-1 is bold: the best is not shown to be better than every other row."
    covers = covered(gaps)
    stated = (
        ""
        if summary.hypotheses
        else " The study stated no hypothesis beforehand: every comparison is exploratory."
    )
    return (
        "Accuracies are of the reported epoch, on the validation clips; the best epoch of every trial is in "
        "`trials.csv`. Differences are paired by seed; n is given where it is not the row's number of finished "
        "seeds. ± is a 95 % t interval over seeds"
        + (f", [ ] the 95 % interval of the difference for {covers}" if covers else "")
        + f"; each is for its row alone, uncorrected, and absent with fewer than {MIN_SEEDS} seeds, or where all "
        f"gave "
        f"the same number. {verdict}{bold}{stated}"
    )


def covered(gaps: Iterable[Difference | None]) -> str:
    """What the quoted intervals are for, in words; "" where there are none."""
    return " or ".join(dict.fromkeys(gap.covers for gap in gaps if gap and gap.low is not None))


def _comparability(summary: Summary) -> str:
    paper, name = summary.reference, summary.record.dataset_name
    source = f"{paper['title']}, on {paper['dataset']} ({paper['protocol']})"
    if name == paper["dataset_key"]:
        return (
            f"The paper's column is its {source}: the same data set, but compare the protocols first."
            f"{_not_reproduced_accuracies(summary)}"
        )
    return (
        f"The accuracies of this study are on the data set `{name}`. The paper's column is its {source}: "
        "another data set, so the two columns cannot be compared in absolute value."
    )


def _not_reproduced_accuracies(summary: Summary) -> str:
    """Printed accuracies that lie outside the interval measured here; why, the numbers do not say."""
    outside = [
        f"`{row.variant}`"
        for row in summary.rows
        if (top1 := row.paper.get("top1")) is not None
        and row.accuracy["top1"].low is not None
        and not row.accuracy["top1"].holds(top1)
    ]
    if not outside:
        return ""
    return (
        f" Not reproduced: of {', '.join(outside)} the printed accuracy is outside the interval measured here; it is "
        "of one training, whose luck that interval does not hold, and whatever differs between the protocols counts."
    )


def _top1(row: Row) -> str:
    if row.accuracy["top1"].n:
        return estimate(row.accuracy["top1"], seeds=row.finished)
    word = next((w for w in ("failed", "running", "done") if row.status.get(w)), "not run")
    return "no accuracy" if word == "done" else word


def _difference(row: Row) -> tuple[str, str]:
    if row.difference is None:
        return "baseline", "baseline"
    if not row.difference.n:
        return "-", row.difference.words
    return bare_points(row.difference, seeds=row.finished), row.difference.words


def per_class(summary: Summary) -> list[Block]:
    """Accuracy on each class, for the variants that have any."""
    record = summary.record
    shown = [row for row in summary.rows if any(value.n for value in row.per_class.values())]
    if not shown:
        return [Paragraph("Not measured.")]
    groups = [*record.groups, *[""] * len(record.classes)]
    rows = [
        [
            one_line(name),
            one_line(group) or "-",
            *(estimate(row.per_class[name], seeds=row.finished) for row in shown),
        ]
        for name, group in zip(record.classes, groups, strict=False)
    ]
    long = len(rows) > OPEN_CLASSES
    table = Table(
        header=["class", "group", *(f"`{row.variant}`" for row in shown)],
        rows=rows,
        words=(0, 1),
        fold=f"{len(rows)} classes" if long else "",
    )
    return [
        Paragraph(
            "Mean top-1 [%] over the finished seeds ± 95 % t interval over them, absent with fewer than "
            f"{MIN_SEEDS} or where all gave the same number; n where it is not the row's number of them."
        ),
        table,
    ]


def _title(metric: str) -> str:
    name = one_line(metric.removeprefix("group/"))
    return "top-5 [%]" if metric == "top5" else f"{name}: top-1 [%]"
