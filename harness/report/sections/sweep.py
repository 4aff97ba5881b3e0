"""A swept setting: accuracy at each value, and at which value each row gets half-way."""

from __future__ import annotations

from harness.analysis.summary import Summary
from harness.analysis.sweep import Beyond, Ratio, Sweep, SweepRow, Threshold
from harness.report.document.blocks import Block, Heading, Paragraph, Table
from harness.report.format import count, estimate, listed, p_value, plural, who_is_what


def section(summary: Summary) -> list[Block]:
    sweep = summary.sweep
    if sweep is None:
        return []
    blocks: list[Block] = [Heading(3, f"Accuracy by `{sweep.setting}`"), _table(summary, sweep)]
    if sweep.halfway is None:
        words = "What chance is on these clips is not known, so there are no thresholds."
        return [*blocks, Paragraph(words, "note")]
    return [*blocks, Heading(3, "Thresholds"), _thresholds(summary, sweep), Paragraph(_note(sweep), "note")]


def sentences(summary: Summary) -> list[str]:
    """What the answer says of the thresholds."""
    sweep = summary.sweep
    if sweep is None or sweep.halfway is None:
        return []
    whole = [
        row for row in sweep.rows if row.thresholds and all(one.value is not None for one in row.thresholds)
    ]
    if not whole:
        return [
            f"No row gets half-way ({sweep.halfway:g} %) within the values of `{sweep.setting}` that were tried."
        ]
    ranked = sorted(whole, key=_middle)
    first, last = ranked[0], ranked[-1]
    words = (
        f"Half-way ({sweep.halfway:g} %) is reached at a `{sweep.setting}` of {_span(first)} by `{first.row}`"
    )
    if last is not first:
        words += f", the lowest, and of {_span(last)} by `{last.row}`, the highest"
    found = [f"{words}."]
    beyond = [row.row for row in sweep.rows if row not in whole]
    if beyond:
        found.append(f"Some seed of {listed(beyond)} lies beyond the values that were tried.")
    ratios = sorted((row.ratio.words, row.row) for row in sweep.rows if row.ratio)
    if ratios:
        many = plural(len(ratios), "threshold")
        found.append(f"Against `{sweep.baseline}`, of {many}: {who_is_what(ratios)}.")
    return found


def _table(summary: Summary, sweep: Sweep) -> Table:
    header = ["row", *(f"{value:g} [%]" for value in sweep.values)]
    rows = [[f"`{row.row}`", *map(estimate, row.accuracy)] for row in sweep.rows]
    caption = (
        f"Top-1 of `{summary.record.name}` by `{sweep.key}`: mean over seeds ± 95 % interval over seeds (n), "
        "each for itself, uncorrected."
    )
    return Table(header=header, rows=rows, label="sweep", caption=caption)


def _thresholds(summary: Summary, sweep: Sweep) -> Table:
    header = [
        "row",
        "threshold",
        "lowest seed",
        "highest seed",
        f"times that of {sweep.baseline}",
        "p (Holm)",
        "verdict",
    ]
    rows = [
        [f"`{row.row}`", *_ends(row, sweep), *_ratio(row.ratio, baseline=row.row == sweep.baseline)]
        for row in sweep.rows
    ]
    caption = (
        f"Thresholds of `{summary.record.name}`: the `{sweep.key}` at which top-1 is {sweep.halfway:g} %, "
        "half-way from chance to 100 %, as the geometric mean of the seeds (n). "
        "Ratios are paired by seed, with a 95 % t interval on the log scale; verdicts corrected for the rows (Holm)."
    )
    return Table(header=header, rows=rows, words=(0, 6), label="thresholds", caption=caption)


def _ends(row: SweepRow, sweep: Sweep) -> list[str]:
    if not row.thresholds:
        return ["-", "-", "-"]
    ordered = sorted(row.thresholds, key=_place)
    middle = "-" if any(one.value is None for one in ordered) else _number(_middle(row))
    return [f"{middle} (n={len(ordered)})", _in_words(ordered[0], sweep), _in_words(ordered[-1], sweep)]


def _place(threshold: Threshold) -> float:
    """Where it stands among others."""
    if threshold.value is not None:
        return threshold.value
    return -1.0 if threshold.beyond is Beyond.SMALLEST else float("inf")


def _in_words(threshold: Threshold, sweep: Sweep) -> str:
    if threshold.value is not None:
        return _number(threshold.value)
    if threshold.beyond is Beyond.SMALLEST:
        return f"below {sweep.values[0]:g}"
    return f"above {sweep.values[-1]:g}"


def _ratio(ratio: Ratio | None, *, baseline: bool) -> list[str]:
    if baseline:
        return ["1", "-", "baseline"]
    if ratio is None:
        return ["-", "-", "beyond the values tried"]
    interval = "" if ratio.low is None or ratio.high is None else f" [{ratio.low:.2f}, {ratio.high:.2f}]"
    return [f"{ratio.mean:.2f}{interval}{count(ratio)}", p_value(ratio.p_holm), ratio.words]


def _span(row: SweepRow) -> str:
    values = [one.value for one in row.thresholds if one.value is not None]
    return (
        f"{_number(_middle(row))} ({_number(min(values))} to {_number(max(values))} over {len(values)} seeds)"
    )


def _middle(row: SweepRow) -> float:
    return row.threshold or float("nan")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _note(sweep: Sweep) -> str:
    return (
        f"A seed's threshold is where its curve crosses {sweep.halfway:g} %, half-way from chance ({sweep.chance:g} %) "
        "to 100 %: the first such place from the easy end on. Between two values the curve is a straight line over the "
        "logarithm of the setting. Below or above: beyond the values that were tried. There is no ratio then: to leave "
        "such a seed out would favour a row. The verdict tests that the ratio is 1, at the 5 % level after Holm's "
        "correction over the rows. Too few seeds to tell does not mean equal."
    )
