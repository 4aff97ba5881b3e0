"""The tables of accuracies: top-1 and what it is worth, and accuracies of other kinds."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.summary import Row, Summary
from harness.report.document.blocks import Block, Cell, Heading, Paragraph, Table, one_line
from harness.report.format import bare_points, covered, estimate, first_in_code, number, plural
from harness.report.sections.published import comparability, elsewhere
from harness.stats.collapse import Collapse
from harness.stats.distributions import MIN_SEEDS

PAIR = "both twins [%]"

MIXED = (
    "The mean, the interval and the verdict of such a row mix two kinds of trainings. "
    "Rows without such a seed may only have been lucky."
)


def section(summary: Summary) -> list[Block]:
    blocks: list[Block] = [Heading(3, "Accuracy"), _table(summary), Paragraph(_note(summary), "note")]
    if summary.collapses:
        blocks += [Paragraph(_fell(summary.collapses), "warning"), Paragraph(MIXED, "note")]
    return [*blocks, *_others(summary)]


def _table(summary: Summary) -> Table:
    """Top-1 and its difference to the baseline, with the paper's column where there is one."""
    record = summary.record
    paper = any(row.paper.get("top1") is not None for row in summary.rows)
    paired = _has_pairs(summary)
    header = ["variant", "seeds", "top-1 [%]", *([PAIR] if paired else [])]
    header += [f"vs {summary.against} [points]", "verdict", *(["paper: top-1 [%]"] if paper else [])]
    rows: list[list[str | Cell]] = []
    for row in summary.rows:
        cells: list[str | Cell] = [f"`{row.variant}`", f"{row.finished} of {row.planned}"]
        cells.append(Cell(_top1(row), strong=summary.clear_best and row is summary.best))
        cells += [estimate(row.accuracy["pair"], seeds=row.finished)] if paired else []
        cells += _difference(row)
        cells += [number(row.paper.get("top1"))] if paper else []
        rows.append(cells)
    covers = covered(row.difference for row in summary.rows)
    interval = f"95 % interval for {covers}" if covers else "95 % interval"
    caption = (
        f"Top-1 accuracy of `{record.name}`: mean over seeds ± 95 % interval over seeds, "
        f"and the difference to {first_in_code(summary.against)} paired by seed [{interval}]; "
        "verdicts corrected for the rows (Holm)."
    )
    if summary.clear_best:
        caption += " Bold: every other row is worse."
    notes = [comparability(summary)] if paper or elsewhere(summary) else []
    if paired:
        caption += " Both twins: per cent of clips right forwards and backwards."
    words = (0, header.index("verdict"))
    fold = plural(len(rows), "variant") if summary.sweep else ""
    return Table(
        header=header, rows=rows, words=words, label="accuracy", caption=caption, notes=notes, fold=fold
    )


def _has_pairs(summary: Summary) -> bool:
    return "pair" in summary.metrics and any(row.accuracy["pair"].n for row in summary.rows)


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


def _note(summary: Summary) -> str:
    gaps = [row.difference for row in summary.rows if row.difference]
    tested = sum(gap.p is not None for gap in gaps)
    covers = covered(gaps)
    brackets = f"; behind a difference [ ] is its 95 % interval for {covers}" if covers else ""
    note = (
        "Accuracies are of the reported epoch, on the validation clips; "
        "the best epoch of every trial is in `trials.csv`. "
    )
    if summary.record.predictions:
        note = "Accuracies are those of the predictions, on the clips in the files. "
    note += (
        "Differences are paired by seed; n is given where it is not the row's number of finished seeds. "
        f"± is a 95 % t interval over seeds, and [ ] where it is cut at 0 or 100 %{brackets}. "
        "Each interval is for its row alone, uncorrected. "
        f"There is none with fewer than {MIN_SEEDS} seeds, or where all gave the same number. "
    )
    if tested:
        note += (
            "The verdict is stricter than the interval: it tests at the 5 % level "
            f"after Holm's correction over the {plural(tested, 'row')} tested. "
            "Too few seeds to tell does not mean equal."
        )
    else:
        note += "No row has enough paired seeds for a verdict."
    if _has_pairs(summary):
        note += (
            " Both twins: per cent of the pairs of a clip and its twin, played backwards, of which both are right; "
            "a network that cannot order frames is right about one of the two, and near 0 here."
        )
    if summary.clear_best:
        note += " The best top-1 is bold: every other row that has one is worse after Holm's correction."
    elif len(summary.rows) > 1:
        note += " No top-1 is bold: the best is not shown to be better than every other row."
    if not summary.hypotheses:
        note += " The study stated no hypothesis beforehand: every comparison is exploratory."
    return note


def _others(summary: Summary) -> list[Block]:
    """Top-5, and top-1 on each group of classes."""
    groups = [name for name in summary.metrics if name.startswith("group/")]
    kinds = (
        ["top5", *groups] if len(summary.record.classes) > 5 else groups
    )  # else the label is always among them
    metrics = [name for name in kinds if any(row.accuracy[name].n for row in summary.rows)]
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
    title = "Top-1 by group of classes"
    if "top5" in metrics:
        title = "Top-5, and top-1 by group of classes" if len(metrics) > 1 else "Other accuracies"
    return [Heading(3, title), table]


def _title(metric: str) -> str:
    name = one_line(metric.removeprefix("group/"))
    return "top-5 [%]" if metric == "top5" else f"{name}: top-1 [%]"


def _fell(found: Sequence[Collapse]) -> str:
    """Which trainings fell, and how far."""
    each = [
        f"`{fell.variant}` seed{'s' * (len(fell.seeds) > 1)} {', '.join(map(str, fell.seeds))} by {fell.below:.1f} "
        f"(so that the row spreads by {fell.plain:.1f})"
        for fell in found
    ]
    return (
        "Fell far below the median of their row, in points, where trainings of this study otherwise spread by "
        f"{found[0].robust:.1f}: {'; '.join(each)}."
    )
