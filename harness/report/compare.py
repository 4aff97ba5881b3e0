"""Two studies side by side, or one study on two devices or commits: what they share and where they differ."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harness.analysis.summary import Row, Summary, summarize
from harness.errors import StudyError
from harness.records import StudyRecord
from harness.report import export
from harness.report.document.blocks import one_line
from harness.report.sections.training import environment
from harness.stats.clips import Hits, hits, pair_clips
from harness.stats.differences import Difference, correct, paired_difference
from harness.stats.estimates import finite

NUMBERS = "comparison.json"
"""The file that holds both studies' records and numbers; a folder with it is a comparison."""


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

    def rows(self, variant: str) -> tuple[Row, Row]:
        """A variant's row in the first study and in the second."""
        first, second = (
            next(row for row in summary.rows if row.variant == variant) for summary in self.summaries
        )
        return first, second


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


def numbers(compared: Comparison) -> dict[str, Any]:
    """What both studies' reports hold, and what was computed from the two; null where there is no number."""
    data = {
        "labels": compared.labels,
        "obstacle": compared.obstacle,
        "gaps": compared.gaps,
        "differs": compared.differs,
        "studies": [export.numbers(summary) for summary in compared.summaries],
    }
    return dict(export.null_for_nan(data))


def variant_numbers(compared: Comparison, variant: str) -> dict[str, Any]:
    numbers: dict[str, Any] = {"variant": variant}
    for name, row in zip(("first", "second"), compared.rows(variant), strict=True):
        top1 = row.accuracy["top1"]
        numbers |= {f"{name}_top1_mean": top1.mean if top1.n else None, f"{name}_n": top1.n}
        numbers |= {f"{name}_top1_low": top1.low, f"{name}_top1_high": top1.high}
        numbers[f"{name}_macs_added"] = row.cost.macs_added if row.cost else None
        numbers[f"{name}_latency_ms_median"] = row.latency_ms.median if row.latency_ms else None
    gap = compared.gaps.get(variant)
    numbers |= {"difference": gap.mean if gap and gap.n else None, "difference_n": gap.n if gap else None}
    numbers |= {f"difference_{end}": getattr(gap, end) if gap else None for end in ("low", "high")}
    return numbers | {"verdict": gap.words if gap else None}


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
        here, there = one.get(key, "unknown"), other.get(key, "unknown")
        if here != there:
            return f"{first.name} ({one_line(here)})", f"{second.name} ({one_line(there)})"
    return f"{first.name} (first)", f"{second.name} (second)"


def _differences(first: StudyRecord, second: StudyRecord) -> list[tuple[str, str, str]]:
    facts, others = _facts(first), _facts(second)
    keys = dict.fromkeys([*facts, *others])
    return [
        (key, facts.get(key, "-"), others.get(key, "-")) for key in keys if facts.get(key) != others.get(key)
    ]


def _facts(record: StudyRecord) -> dict[str, str]:
    facts = {"question": record.question, "baseline": record.baseline}
    facts["seeds"] = ", ".join(map(str, record.seeds))
    facts |= record.protocol | dict(environment(record))
    for cost in record.costs.values():
        facts |= {f"latency: {key}": str(value) for key, value in cost.measured_on.items()}
    return {one_line(key): one_line(value) for key, value in facts.items()}


def _gap(first: StudyRecord, second: StudyRecord, variant: str) -> Difference:
    """Second minus first, by seed and clip by clip; with a margin where both studies name the same."""
    margin = first.margin if first.margin == second.margin else 0.0
    (mine, my_clips), (other, other_clips) = (_top1_and_hits(record, variant) for record in (second, first))
    return paired_difference(mine, other, pair_clips(my_clips, other_clips), margin, names=(variant, variant))


def _top1_and_hits(record: StudyRecord, variant: str) -> tuple[dict[int, float], Hits | None]:
    done = [trial for trial in record.trials if trial.variant == variant and trial.status == "done"]
    top1 = {trial.seed: trial.last["top1"] for trial in done if finite(trial.last.get("top1"))}
    return top1, hits({trial.seed: trial.predictions for trial in done})
