"""Two studies side by side, or one study on two devices or commits: `python -m harness.report --compare A B`."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import plots
from harness.analysis.summary import Row, Summary, summarize
from harness.errors import StudyError
from harness.plots import Point
from harness.records import StudyRecord
from harness.report import export
from harness.report.document.blocks import Block, Document, Figure, Heading, Items, Paragraph, Table, one_line
from harness.report.format import bare_points, covered, estimate, listed, milliseconds, plural
from harness.report.sections.training import environment
from harness.stats.clips import Hits, hits, pair_clips
from harness.stats.differences import Difference, correct, paired_difference
from harness.stats.estimates import Quartiles, finite
from harness.units import macs

RESULTS = "comparison.json"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two studies and what they share.

    labels: their names; with device or commit where the names are the same.
    differs: (what, in the first, in the second) of protocol, environment and settings.
    obstacle: why accuracies cannot be subtracted, "" where they can.
    gaps: second minus first by variant, paired by seed, corrected together (Holm); empty with an obstacle.
    """

    name: str
    labels: tuple[str, str]
    summaries: tuple[Summary, Summary]
    shared: list[str]
    differs: list[tuple[str, str, str]]
    obstacle: str
    gaps: dict[str, Difference]


def compare_studies(first: StudyRecord, second: StudyRecord) -> Comparison:
    """Compute all that the page says.

    Raises:
        StudyError: the two have no variant in common, or name a reference table that does not exist.
    """
    shared = [variant for variant in first.variants if variant in second.variants]
    if not shared:
        raise StudyError(
            f"--compare: {first.name} and {second.name} have no variant in common: {', '.join(first.variants)}; "
            f"{', '.join(second.variants)}"
        )
    obstacle = _obstacle(first, second)
    gaps = {}
    if not obstacle:
        gaps = dict(zip(shared, correct([_gap(first, second, v) for v in shared]), strict=True))
    labels = _labels(first, second)
    return Comparison(
        name="-vs-".join(re.sub(r"[^\w.-]+", "-", label).strip("-") for label in labels),
        labels=labels,
        summaries=(summarize(first), summarize(second)),
        shared=shared,
        differs=_differences(first, second),
        obstacle=obstacle,
        gaps=gaps,
    )


def write_files(compared: Comparison, folder: Path) -> None:
    """The page as HTML and Markdown, its tables as LaTeX and CSV, its numbers as JSON, its figure."""
    (folder / "figures").mkdir()
    figures = _draw(compared, folder / "figures")
    export.write_pages(_document(compared, figures), folder)
    numbers = {
        "labels": compared.labels,
        "obstacle": compared.obstacle,
        "gaps": {variant: dataclasses.asdict(gap) for variant, gap in compared.gaps.items()},
        "differs": compared.differs,
        "studies": [export.results(summary) for summary in compared.summaries],
    }
    text = export.json_text(export.null_for_nan(numbers), depth=4)
    (folder / RESULTS).write_text(text + "\n", encoding="utf-8")
    rows = [_numbers(compared, variant) for variant in compared.shared]
    export.write_csv(folder / "comparison.csv", rows)


def _obstacle(first: StudyRecord, second: StudyRecord) -> str:
    """Accuracies on other clips are not of one thing. Of another protocol they are: it is listed as a difference."""
    if first.classes != second.classes:
        return f"they have different classes ({len(first.classes)} and {len(second.classes)})"
    prints = [_fingerprint(record) for record in (first, second)]
    if None not in prints and prints[0] != prints[1]:
        return f"they are on different data (fingerprints {prints[0]} and {prints[1]})"
    if first.dataset_name != second.dataset_name:
        return f"they are on different data sets, `{first.dataset_name}` and `{second.dataset_name}`"
    return ""


def _fingerprint(record: StudyRecord) -> str | None:
    found = re.search(r"fingerprint (\w+)", record.protocol.get("data set", ""))
    return found[1] if found else None


def _labels(first: StudyRecord, second: StudyRecord) -> tuple[str, str]:
    if first.name != second.name:
        return first.name, second.name
    one, other = dict(environment(first)), dict(environment(second))
    for key in ("device", "commit", "torch", "cpu"):
        if one.get(key) != other.get(key):
            return tuple(f"{first.name} ({one_line(e.get(key, 'unknown'))})" for e in (one, other))  # type: ignore[return-value]
    return f"{first.name} (first)", f"{second.name} (second)"


def _differences(first: StudyRecord, second: StudyRecord) -> list[tuple[str, str, str]]:
    facts: list[dict[str, str]] = []
    for record in (first, second):
        found = {"question": record.question, "baseline": record.baseline}
        found["seeds"] = ", ".join(map(str, record.seeds))
        found |= record.protocol | dict(environment(record))
        found |= {
            f"latency: {key}": str(value) for cost in record.costs.values() for key, value in cost.measured_on.items()
        }  # fmt: skip
        facts.append({one_line(key): one_line(value) for key, value in found.items()})
    keys = dict.fromkeys([*facts[0], *facts[1]])
    return [
        (key, facts[0].get(key, "-"), facts[1].get(key, "-"))
        for key in keys
        if facts[0].get(key) != facts[1].get(key)
    ]


def _gap(first: StudyRecord, second: StudyRecord, variant: str) -> Difference:
    """Second minus first, by seed and clip by clip; with a margin where both studies name the same."""
    margin = first.margin if first.margin == second.margin else 0.0
    (mine, my_clips), (other, other_clips) = (_results(record, variant) for record in (second, first))
    return paired_difference(mine, other, pair_clips(my_clips, other_clips), margin, names=(variant, variant))


def _results(record: StudyRecord, variant: str) -> tuple[dict[int, float], Hits | None]:
    done = [trial for trial in record.trials if trial.variant == variant and trial.status == "done"]
    top1 = {trial.seed: trial.last["top1"] for trial in done if finite(trial.last.get("top1"))}
    return top1, hits({trial.seed: trial.predictions for trial in done})


def _rows(compared: Comparison, variant: str) -> tuple[Row, Row]:
    first, second = (
        next(row for row in summary.rows if row.variant == variant) for summary in compared.summaries
    )
    return first, second


def _document(compared: Comparison, figures: list[Figure]) -> Document:
    one, other = compared.labels
    blocks: list[Block] = [Paragraph(_answer(compared), "answer")]
    blocks += [Heading(2, "Accuracy"), *_accuracy(compared), *figures]
    blocks += [Heading(2, "Cost"), *_cost(compared)]
    blocks.append(Heading(2, "What differs between the two"))
    if compared.differs:
        rows = [list(line) for line in compared.differs]
        blocks.append(Table(header=["what", one, other], rows=rows, words=range(3)))
    else:
        blocks.append(Paragraph("Nothing that was recorded."))
    blocks += [Heading(2, "What is missing"), _missing(compared)]
    return Document(f"{one} against {other}", blocks)


def _answer(compared: Comparison) -> str:
    one, other = compared.labels
    if compared.obstacle:
        return f"The accuracies of {one} and {other} stand side by side and are not subtracted: {compared.obstacle}."
    known = {variant: gap for variant, gap in compared.gaps.items() if gap.n}
    if not known:
        return (
            f"{one} and {other} share no finished seed of any variant: nothing can be said about differences."
        )
    words: dict[str, list[str]] = {}
    for variant, gap in known.items():
        words.setdefault(gap.words, []).append(variant)
    parts = "; ".join(f"{word}: {listed(variants)}" for word, variants in words.items())
    largest = max(known, key=lambda variant: abs(known[variant].mean))
    return (
        f"Of {plural(len(known), 'variant')} in both, {other} against {one} is, by verdict, {parts}. The largest "
        f"difference in top-1 is that of `{largest}`: {bare_points(known[largest])} points."
    )


def _accuracy(compared: Comparison) -> list[Block]:
    one, other = compared.labels
    header = ["variant", f"{one}: top-1 [%]", f"{other}: top-1 [%]"]
    header += ["second minus first [points]", "verdict"] if compared.gaps else []
    header += ["against its baseline, first", "second"]
    rows = []
    for variant in compared.shared:
        pair = _rows(compared, variant)
        cells = [f"`{variant}`", *(estimate(row.accuracy["top1"]) for row in pair)]
        if compared.gaps:
            gap = compared.gaps[variant]
            cells += [bare_points(gap) if gap.n else "-", gap.words]
        cells += [row.difference.words if row.difference else "baseline" for row in pair]
        rows.append(cells)
    words = {0, 4, 5, 6} if compared.gaps else {0, 3, 4}
    covers = covered(compared.gaps.values())
    note = (
        f"Differences are paired by seed, [ ] is the 95 % interval{f' for {covers}' if covers else ''}, verdicts are "
        "corrected over the variants shown (Holm). Such a difference has every cause that the list of differences on "
        "this page names, and is exploratory."
        if compared.gaps
        else "Not subtracted: see above."
    )
    table = Table(
        header=header, rows=rows, words=words, label="comparison", caption=f"{one} and {other}.", notes=[note]
    )
    return [table]


def _cost(compared: Comparison) -> list[Block]:
    one, other = compared.labels
    header = ["variant", f"{one}: added MACs", f"{other}: added MACs", f"{one}: latency [ms]"]
    header += [f"{other}: latency [ms]", "second / first"]
    rows = []
    for variant in compared.shared:
        pair = _rows(compared, variant)
        rows.append(
            [
                f"`{variant}`",
                *(macs(row.cost.macs_added, sign="+") if row.cost else "not measured" for row in pair),
                *(milliseconds(row.latency_ms) for row in pair),
                _ratio(*(row.latency_ms for row in pair)),
            ]
        )
    note = (
        "Latency: median [quartiles] of one clip. Second / first: ratio of the medians, and in brackets from the "
        "second's "
        "lower quartile over the first's upper one to the reverse."
    )
    return [Table(header=header, rows=rows, label="comparison-cost", caption="Their costs.", notes=[note])]


def _ratio(first: Quartiles | None, second: Quartiles | None) -> str:
    if first is None or second is None or not first.q1 > 0:
        return "-"
    low, high = second.q1 / first.q3, second.q3 / first.q1
    return f"{second.median / first.median:.2f} [{low:.2f}, {high:.2f}]"


def _missing(compared: Comparison) -> Block:
    lines = []
    for label, summary in zip(compared.labels, compared.summaries, strict=True):
        trials = sum(row.planned for row in summary.rows)
        if summary.usable < trials:
            lines.append(f"{label}: {summary.usable} of {plural(trials, 'trial')} have a result")
        alone = [v for v in summary.record.variants if v not in compared.shared]
        if alone:
            lines.append(f"only in {label}: {listed(alone)}")
    return (
        Items(lines) if lines else Paragraph("Nothing: every variant is in both, and every trial finished.")
    )


def _draw(compared: Comparison, folder: Path) -> list[Figure]:
    pairs = []
    for variant in compared.shared:
        one, other = (row.accuracy["top1"] for row in _rows(compared, variant))
        if one.n and other.n:
            pairs.append(tuple(Point(variant, 0, e.mean, e.low, e.high) for e in (one, other)))
    if not pairs or compared.obstacle:
        return []
    plots.paired_points(folder / "both", pairs, compared.labels)  # type: ignore[arg-type]
    caption = "Top-1 of each variant in both studies, mean over its finished seeds, with 95 % t intervals."
    return [Figure("both", "The same variants in both", caption)]


def _numbers(compared: Comparison, variant: str) -> dict[str, Any]:
    numbers: dict[str, Any] = {"variant": variant}
    for name, row in zip(("first", "second"), _rows(compared, variant), strict=True):
        top1 = row.accuracy["top1"]
        numbers |= {f"{name}_top1_mean": top1.mean if top1.n else None, f"{name}_n": top1.n}
        numbers |= {f"{name}_top1_low": top1.low, f"{name}_top1_high": top1.high}
        numbers[f"{name}_macs_added"] = row.cost.macs_added if row.cost else None
        numbers[f"{name}_latency_ms_median"] = row.latency_ms.median if row.latency_ms else None
    gap = compared.gaps.get(variant)
    numbers |= {"difference": gap.mean if gap and gap.n else None, "difference_n": gap.n if gap else None}
    numbers |= {f"difference_{end}": getattr(gap, end) if gap else None for end in ("low", "high")}
    return numbers | {"verdict": gap.words if gap else None}
