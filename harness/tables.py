"""The tables of a report. Every number in them was computed by `harness.summary`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.distributions import MIN_SEEDS
from harness.document import Block, Cell, Heading, Items, Paragraph, Table, one_line
from harness.records import CostRecord, StudyRecord
from harness.reference import added_gmacs, others
from harness.stats import Difference
from harness.summary import Row, Summary
from harness.words import bare_points, estimate, geometry, listed, macs, milliseconds, number, plural

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
    if not paper or dataset(record) != paper["dataset_key"]:
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
    paper, name = summary.reference, dataset(summary.record)
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


def costs(summary: Summary) -> list[Block]:
    """Parameters, MACs and latency, with the paper's MACs and why some are not reproduced."""
    if not summary.record.costs:
        return [Paragraph("Not measured.")]
    header = ["variant", "added parameters", "added MACs", "total MACs", "latency of one clip [ms]"]
    header += ["paper: MACs"] if summary.reference else []
    rows: list[list[str | Cell]] = []
    marks: list[str] = []
    for row in summary.rows:
        cost = row.cost
        cells: list[str | Cell] = [f"`{row.variant}`"]
        if cost is None:
            cells += ["not measured"] * 4
        else:
            cells += [
                f"{cost.params_added:+,}",
                macs(cost.macs_added, sign="+"),
                macs(cost.macs_total),
                milliseconds(row.latency_ms),
            ]
        if summary.reference:
            printed, mark = row.paper.get("gmacs"), ""
            if row.reproduced is False and cost:
                mark = f" ({chr(ord('a') + len(marks))})"
                marks.append(_not_reproduced(summary.reference, row, cost, mark))
            cells.append(f"{printed} G{mark}" if printed is not None else "-")
        rows.append(cells)
    claims = [f"The paper's {claim}" for claim in summary.reference.get("claims", [])]
    where = geometry(row.cost for row in summary.rows if row.cost)
    caption = f"Cost of one clip in `{summary.record.name}`: {where}. Latency: median [quartiles]."
    table = Table(header=header, rows=rows, label="cost", caption=caption, notes=[*marks, *claims])
    return [table, Paragraph(_cost_note(summary), "note"), *_doubts(summary)]


def _doubts(summary: Summary) -> list[Block]:
    """Why a measurement may be doubtful, each reason with the variants that it is said of."""
    found: dict[str, list[str]] = {}
    for row in summary.rows:
        for text in row.cost.warnings if row.cost else ():
            found.setdefault(one_line(text), []).append(row.variant)
    if not found:
        return []
    lines = [f"{listed(variants)}: {text}" for text, variants in found.items()]
    return [Paragraph("Doubtful measurements:"), Items(lines)]


def _not_reproduced(reference: dict[str, Any], row: Row, cost: CostRecord, mark: str) -> str:
    added, unit = added_gmacs(reference, row.variant) or (0.0, 1.0)
    decimals = len(str(unit).partition(".")[2]) if unit < 1 else 0
    return (
        f"{mark.strip()} `{row.variant}`: the paper's {row.paper['gmacs']} G is {added:+.{decimals}f} G over "
        f"its plain network; not reproduced: computed {macs(cost.macs_added, sign='+')}."
    )


def _cost_note(summary: Summary) -> str:
    known = [row.cost for row in summary.rows if row.cost]
    note = f"Costs are for one clip: {geometry(known)}. One multiply-add is 1 MAC; papers often print FLOPS."
    if "added_to" in summary.reference:
        network = summary.reference["added_to"]
        note += f" The paper counts from a plain network of {network} G; compared is what a variant adds."
    timed = [cost for cost in known if cost.latency_ms]
    if not timed:
        return f"{note} Latency was not measured."
    note += " Latency is the median [quartiles] of n single passes after warm-up"
    places = {tuple(cost.measured_on.items()) for cost in timed}
    if len(places) > 1:
        return (
            f"{note}; variants were timed under different conditions (`results.json`): do not compare them."
        )
    where = ", ".join(f"{key} {one_line(value)}" for key, value in timed[0].measured_on.items())
    return f"{note}, on {where}." if where else f"{note}."


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


def dataset(record: StudyRecord) -> str:
    """The data set's key as the study gives it."""
    settings = record.settings.get(record.baseline) or next(iter(record.settings.values()), {})
    named = settings.get("data", {}).get("dataset", record.protocol.get("dataset", "unnamed"))
    return str(named.get("name", "unnamed") if isinstance(named, dict) else named)
