"""Accuracy at every level: the ladder's table, horizons as predicted and as measured, and who solves what alike."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from harness.analysis.ladder import Horizon, Ladder, LevelCurve, Solvers
from harness.analysis.operators import operator_facts
from harness.analysis.summary import CEILING, Summary
from harness.report.document.blocks import Block, Cell, Heading, Paragraph, Table, one_line
from harness.report.format import NAMED, bare_points, covered, estimate, listed, p_value, plural
from harness.report.sections.cost import trained_instead
from harness.stats.differences import no_larger
from harness.units import macs

MISMATCH = (
    "A measured horizon other than the predicted one is a fault of the operator, of its stated reach, or of the task; "
    "or the training was too short to learn what the network could. "
    "Where the resamples reach the predicted one too, it may be luck."
)

ALIKE = (
    "Of the rows that solve a level, the pair that is hardest to show within the margin. "
    "The verdict says that no two of them are further apart. Each pair has to show it, "
    "and p is corrected over the levels (Holm). "
    "Not shown does not mean that there is a difference. Exploratory."
)


def section(summary: Summary) -> list[Block]:
    ladder = summary.ladder
    if ladder is None:
        return []
    blocks: list[Block] = [Heading(3, f"Accuracy by {ladder.level_name}"), _table(summary, ladder)]
    blocks.append(Paragraph(_note(ladder), "note"))
    if ladder.mismatches:
        blocks += [Paragraph(_mismatches(ladder), "warning"), Paragraph(MISMATCH, "note")]
    for words in (_blind(summary), _swapped(ladder)):
        blocks += [Paragraph(words, "note")] if words else []
    return [*blocks, *_solvers(summary, ladder)]


def sentences(summary: Summary) -> list[str]:
    """What the answer says of the ladder."""
    ladder = summary.ladder
    if ladder is None or summary.sweep:
        return []
    return [*_horizons_sentence(ladder), *_cheapest_reach(summary, ladder), *_alike_sentence(summary, ladder)]


def ceiling(summary: Summary) -> str:
    """That a task is too easy to tell rows apart, "" where it is not."""
    shown = [row.variant for row in summary.rows if row.accuracy["top1"].n]
    below = [variant for variant in shown if variant not in summary.ceiling]
    if len(summary.ceiling) < 2 or below not in ([], [summary.record.baseline]):
        return ""
    who = f"Every row but `{below[0]}`" if below else "Every row"
    where = f" at every {summary.ladder.level_name}" if summary.ladder else ""
    apart = "those" if below else "them"
    return f"{who} is at the ceiling, {CEILING:g} % or more{where}: this task cannot tell {apart} apart."


def levels_in_words(levels: Sequence[float], known: Sequence[float]) -> str:
    """`1 to 4 and 6`: neighbours of the study's levels as a range."""
    runs: list[list[float]] = []
    for level in levels:
        if runs and list(known).index(level) == list(known).index(runs[-1][-1]) + 1:
            runs[-1].append(level)
        else:
            runs.append([level])
    parts = [
        f"{run[0]:g} to {run[-1]:g}" if len(run) > 2 else " and ".join(f"{x:g}" for x in run) for run in runs
    ]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _table(summary: Summary, ladder: Ladder) -> Table:
    has_horizons = any(curve.horizon for curve in ladder.curves)
    name = one_line(ladder.level_name)
    header = ["variant", "seeds", *(["predicted horizon", "measured"] if has_horizons else ["solved"])]
    header += [f"{name} {level:g} [%]" for level in ladder.levels]
    by_variant = {row.variant: row for row in summary.rows}
    rows: list[list[str | Cell]] = []
    for curve in ladder.curves:
        row = by_variant[curve.variant]
        cells: list[str | Cell] = [f"`{curve.variant}`", f"{row.finished} of {row.planned}"]
        cells += _horizon(curve.horizon, ladder) if has_horizons else [_solved(curve, ladder)]
        for level, accuracy in zip(ladder.levels, curve.accuracy, strict=True):
            cells.append(Cell(estimate(accuracy, seeds=row.finished), strong=level in curve.solved))
        rows.append(cells)
    caption = f"Top-1 of `{summary.record.name}` by {name}: mean over seeds ± 95 % interval over seeds, uncorrected."
    if ladder.halfway is not None:
        caption += f" Bold: solved, which is above {ladder.halfway:g} %, half-way from chance to 100 %."
    if has_horizons:
        caption += f" Measured: the largest {name} solved [95 % of resamples of seeds and clips lie between]."
    fold = f"{plural(len(rows), 'row')} by {name}" if summary.sweep else ""
    return Table(header=header, rows=rows, words=(0,), label="levels", caption=caption, fold=fold)


def _horizon(horizon: Horizon | None, ladder: Ladder) -> list[str]:
    if horizon is None:
        return ["-", "-"]
    predicted = "not stated" if horizon.predicted is None else f"{horizon.predicted}"
    mark = " ≠" if horizon.agrees is False else ""
    return [predicted, f"{_measured(horizon, ladder)}{_resampled(horizon)}{mark}"]


def _measured(horizon: Horizon, ladder: Ladder) -> str:
    """The largest level tried is a horizon that may be larger."""
    return _or_more(horizon.measured, ladder)


def _or_more(level: float, ladder: Ladder) -> str:
    return f"{'≥ ' * (level == ladder.levels[-1])}{level:g}"


def _resampled(horizon: Horizon) -> str:
    return "" if horizon.low is None or horizon.high is None else f" [{horizon.low:g}, {horizon.high:g}]"


def _solved(curve: LevelCurve, ladder: Ladder) -> str:
    return levels_in_words(curve.solved, ladder.levels) if curve.solved else "none"


def _note(ladder: Ladder) -> str:
    note = (
        "Top-1 on the validation clips of each level; n where it is not the row's number of finished seeds. "
        "± is a 95 % t interval over seeds, each for itself, [ ] where it is cut at 0 or 100 %. "
        "There is none with fewer than three seeds, or where all gave the same number. "
    )
    if ladder.halfway is None:
        return note + "What chance is on these clips is not known, so nothing is called solved."
    note += (
        f"Solved (bold): the mean is above {ladder.halfway:g} %, half-way from chance ({ladder.chance:g} %) to 100 %, "
        "and the lower end of its resamples above chance."
    )
    if any(curve.horizon for curve in ladder.curves):
        note += (
            " The predicted horizon is the sum of the operators' reach to both sides, of causal ones to one. "
            "It is at most a frame less than a clip has. "
            f"The measured one is the largest {ladder.level_name} solved; ≥ marks the largest that was tried. "
            "[ ]: 95 % of 1,000 resamples of seeds and clips together lie between. ≠: not the predicted one."
        )
    return note


def _mismatches(ladder: Ladder) -> str:
    words = []
    for curve in ladder.mismatches:
        horizon = curve.horizon
        assert horizon is not None
        measured = f"{_measured(horizon, ladder)}{_resampled(horizon)}"
        words.append(f"`{curve.variant}` measured {measured}, predicted {horizon.predicted}")
    return f"Not as predicted: {'; '.join(words)}."


def _blind(summary: Summary) -> str:
    """Which rows cannot tell a motion from its reverse, whatever their reach."""
    known = {variant: operator_facts(summary.record, variant) for variant in summary.record.variants}
    found = [f"`{variant}` ({facts.blind})" for variant, facts in known.items() if facts and facts.blind]
    if not found:
        return ""
    return f"Which way something moves, these cannot tell, however far they look: {', '.join(found)}."


def _swapped(ladder: Ladder) -> str:
    """Rows that are as far below chance as those that solve a level are above it."""
    if ladder.halfway is None or ladder.chance is None:
        return ""
    lowest = 2 * ladder.chance - ladder.halfway
    found = [
        f"`{curve.variant}` at {ladder.level_name} {level:g} ({estimate(accuracy, ' %', seeds=accuracy.n)})"
        for curve in ladder.curves
        for level, accuracy in zip(ladder.levels, curve.accuracy, strict=True)
        if accuracy.mean < lowest and accuracy.high is not None and accuracy.high < ladder.chance
    ]
    if not found:
        return ""
    return (
        f"Far below chance: {', '.join(found)}. "
        "Such a row does tell these clips apart, and gives them each other's name."
    )


def _solvers(summary: Summary, ladder: Ladder) -> list[Block]:
    shown = [(one, one.widest) for one in ladder.solvers if one.widest]
    if not shown:
        return []
    name = one_line(ladder.level_name)
    rows = [
        [
            f"{one.level:g}",
            listed(one.variants),
            f"`{gap.variant}` - `{gap.other}`: {bare_points(gap)}",
            p_value(one.p_holm),
            no_larger(summary.record.margin) if one.alike else "not shown",
        ]
        for one, gap in shown
    ]
    caption = (
        f"Rows of `{summary.record.name}` that solve a {name}: the difference hardest to hold within the margin "
        f"[95 % interval for {covered(gap for _, gap in shown)}], corrected over the levels (Holm)."
    )
    header = [name, "solved by", "the pair hardest to show [points]", "p (Holm)", "verdict"]
    table = Table(header=header, rows=rows, words=(1, 2, 4), label="solvers", caption=caption)
    return [Heading(3, f"Rows that solve a {name}"), table, Paragraph(ALIKE, "note")]


def _horizons_sentence(ladder: Ladder) -> list[str]:
    known = [
        (curve, curve.horizon)
        for curve in ladder.curves
        if curve.horizon and curve.horizon.agrees is not None
    ]
    if not known:
        return []
    if not ladder.mismatches:
        groups = itertools.groupby(
            sorted(known, key=lambda pair: pair[1].measured), lambda pair: pair[1].measured
        )
        reached = "; ".join(
            f"{_measured(same[0][1], ladder)}: {listed(curve.variant for curve, _ in same)}"
            for same in (list(group) for _, group in groups)
        )
        return [f"Every measured horizon is the predicted one ({reached}).{_left_open(known)}"]
    agree = len(known) - len(ladder.mismatches)
    sentence = f"Of {len(known)} rows, the measured horizon of {agree} is the predicted one"
    short = [curve.variant for curve, horizon in known if horizon.measured < (horizon.expected or 0.0)]
    far = [curve.variant for curve in ladder.mismatches if curve.variant not in short]
    for word, variants in (("smaller", short), ("larger", far)):
        if variants:
            names = listed(variants) if len(variants) <= NAMED else "named below their table"
            sentence += f"; of {len(variants)} it is {word} ({names})"
    return [f"{sentence}.{_left_open(known)}"]


def _left_open(known: Sequence[tuple[LevelCurve, Horizon]]) -> str:
    """Of which rows other seeds and clips might have told the opposite."""
    found = [f"`{curve.variant}`{_resampled(horizon)}" for curve, horizon in known if horizon.open]
    if not found:
        return ""
    who = ", ".join(found) if len(found) <= NAMED else f"{len(found)} of them (intervals in their table)"
    return f" Resamples of seeds and clips leave that open for {who}."


def _cheapest_reach(summary: Summary, ladder: Ladder) -> list[str]:
    """Of the rows that reach farthest, the one that adds, or in all takes, the fewest multiply-adds."""
    verb = "adds" if summary.one_network else "takes"
    known = {curve.variant: curve.horizon for curve in ladder.curves if curve.horizon}
    farthest = max((horizon.measured for horizon in known.values()), default=0.0)
    reach = {v: horizon for v, horizon in known.items() if farthest and horizon.measured == farthest}
    rows = [row for row in summary.rows if row.variant in reach]
    costs = {row.variant: many for row in rows if (many := summary.macs(row)) is not None}
    if len(costs) < 2 or len(set(costs.values())) < 2:
        return []

    def named(variant: str) -> str:
        return f"`{variant}`{_resampled(reach[variant]) if reach[variant].open else ''}"

    fewest, most = min(costs, key=lambda v: costs[v]), max(costs, key=lambda v: costs[v])
    where = " (counted in the networks under Cost, not in those trained)" if trained_instead(summary) else ""
    return [
        f"Of those that reach {ladder.level_name} {farthest:g}, {named(fewest)} {verb} the fewest multiply-adds, "
        f"{macs(costs[fewest])}, and {named(most)} the most, {macs(costs[most])}{where}."
    ]


def _alike_sentence(summary: Summary, ladder: Ladder) -> list[str]:
    tested: list[Solvers] = [one for one in ladder.solvers if one.widest]
    if not tested:
        return []
    alike = [one.level for one in tested if one.alike]
    unsure = [one.level for one in tested if not one.alike]
    name, margin = ladder.level_name, summary.record.margin
    apart = f"{margin:g} point{'s' * (margin != 1)}"
    if not alike:
        return [f"At no {name} is it shown that the rows that solve it are no more than {apart} apart."]
    sentence = (
        f"At {name} {levels_in_words(alike, ladder.levels)}, the rows that solve it are shown to be no more than "
        f"{apart} apart"
    )
    rest = f"; at {name} {levels_in_words(unsure, ladder.levels)} that is not shown" if unsure else ""
    return [f"{sentence}{rest}."]
