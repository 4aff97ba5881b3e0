"""What ends a run on a terminal: the table, the lines under it, and where its time went."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.summary import Row, Summary, summarize
from harness.console import Table
from harness.metrics import level_metric
from harness.records import StudyRecord, TrialRecord
from harness.report.format import estimate
from harness.report.sections.ladder import ceiling
from harness.report.sections.missing import UNTRIED, unchecked
from harness.units import geometry_of_macs, giga


def final_table(record: StudyRecord) -> tuple[Table, list[str]]:
    """The table at the end of a run, and the lines under it."""
    summary = summarize(record)
    parts = _parts(summary)
    table = Table("variant", box=None, pad_edge=False)
    for title in ("top1 [%]", *parts.values()):
        table.add_column(title, justify="right")
    table.add_column(f"vs {summary.against} [points]")
    table.add_column("MACs", justify="right")
    timed = any(row.latency_ms for row in summary.rows)
    if timed:
        table.add_column("latency [ms]", justify="right")
    for row in summary.rows:
        groups = [_mean(row, metric) for metric in parts]
        cells = [*groups, _difference(row), _macs(row, summary.one_network), *([_latency(row)] * timed)]
        table.add_row(row.variant, _accuracy(row), *cells)
    cost = next(iter(record.costs.values()), None)
    lines = [
        "± and [ ]: 95 % interval, paired by seed; the words are corrected for the rows of the table (Holm)"
    ]
    if cost is not None:
        device = f", latency on {cost.measured_on['device']}" if cost.measured_on else ""
        lines.append(f"MACs {geometry_of_macs(record.costs.values())}{device}")
    if any(row.doubtful for row in summary.rows):
        lines.append(
            "?: a doubtful latency (see the warnings); it is measured again when the study is run again"
        )
    if too_easy := ceiling(summary):
        lines.append(too_easy)
    if names := unchecked(record):
        lines.append(f"warning  {UNTRIED}: {', '.join(names)}")
    lines += [
        f"failed   {t.variant} seed={t.seed}: {t.reason}" for t in record.trials if t.status == "failed"
    ]
    return table, lines


def _parts(summary: Summary) -> dict[str, str]:
    """Titles of the accuracies that stand beside top-1, by metric: of levels where clips have them, else of groups."""
    if summary.ladder is None:
        return {metric: metric.split("/")[1] for metric in summary.metrics if metric.startswith("group/")}
    name, (first, *others) = summary.ladder.level_name, summary.ladder.levels
    titles = {level_metric(name, first): f"{name} {first:g}"}
    return titles | {level_metric(name, level): f"{level:g}" for level in others}


def _accuracy(row: Row) -> str:
    top1 = row.accuracy["top1"]
    return estimate(top1) if top1.n else f"none of {row.planned} done"


def _mean(row: Row, metric: str) -> str:
    value = row.accuracy[metric]
    return f"{value.mean:.1f}" if value.n else "-"


def _difference(row: Row) -> str:
    d = row.difference
    if d is None:
        return "baseline"
    if not d.n:
        return "nothing to compare"
    interval = f" [{d.low:.1f}, {d.high:.1f}]" if d.low is not None else f" (n={d.n})"
    return f"{d.mean:+.1f}{interval} {d.words}"


def _latency(row: Row) -> str:
    if row.latency_ms is None:
        return "not measured"
    return f"{row.latency_ms.median:.0f}{' ?' * row.doubtful}"


def _macs(row: Row, one_network: bool) -> str:
    if row.cost is None or row.cost.macs_total is None or row.cost.macs_added is None:
        return "not stated"
    if row.difference is None or not one_network:
        return giga(row.cost.macs_total, unit=" G")
    return giga(row.cost.macs_added, "+.2f", " G")


def time_spent(trials: Sequence[TrialRecord]) -> str:
    """What a trial's seconds went to, on average over those that say; the starting of its process is not in it."""
    spent = [trial.spent for trial in trials if trial.spent]
    if not spent:
        return ""
    total = {name: sum(one.get(name, 0.0) for one in spent) for name in spent[0]}
    whole = sum(total.values())
    parts = sorted(total.items(), key=lambda part: -part[1])
    words = ", ".join(f"{name} {100 * seconds / whole:.0f} %" for name, seconds in parts)
    return f"a trial takes {whole / len(spent):.1f} s: {words}"
