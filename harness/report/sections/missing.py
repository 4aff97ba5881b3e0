"""What is missing from a study: trials without a result, costs that were not measured, clips that were left out."""

from __future__ import annotations

from harness.analysis.summary import Summary
from harness.records import StudyRecord
from harness.report.document.blocks import Block, Heading, Items, Paragraph, one_line
from harness.report.format import listed, plural

UNTRIED = "whether the operator keeps the contract was not tried (--unchecked), so it may mix clips"

IDS_SHOWN = 10
"""Clips that a page names; `results.json` names all."""


def section(summary: Summary) -> list[Block]:
    lines = [*_trials(summary), *_costs(summary), *_skipped(summary.record)]
    if names := unchecked(summary.record):
        lines.append(f"{UNTRIED}: {listed(names)}")
    if lines:
        return [Heading(2, "What is missing"), Items(lines)]
    words = f"Nothing: all {plural(len(summary.trials), 'trial')} of the plan finished."
    return [Heading(2, "What is missing"), Paragraph(words)]


def _trials(summary: Summary) -> list[str]:
    lines = []
    for trial in summary.missing:
        reason = f": {one_line(trial.reason)}" if trial.reason else ""
        word = {"missing": "not run", "running": "not finished"}.get(trial.status, trial.status)
        lines.append(f"`{trial.variant}` seed {trial.seed}: {word}{reason}")
    for variant, seed in summary.unusable:
        lines.append(f"`{variant}` seed {seed}: finished, but its top-1 is not a number, so it is in no mean")
    return lines


def unchecked(record: StudyRecord) -> list[str]:
    """Variants whose operators nobody held to the contract, because whoever ran them said so."""
    return list(dict.fromkeys(trial.variant for trial in record.trials if "contract" in trial.environment))


def _costs(summary: Summary) -> list[str]:
    if summary.record.predictions:  # nobody said that there would be any
        return []
    measured = [row for row in summary.rows if row.cost]
    found = {
        "cost not measured": [row for row in summary.rows if not row.cost],
        "MACs not stated by its operator": [r for r in measured if r.cost and r.cost.macs_added is None],
        "latency not measured": [row for row in measured if row.latency_ms is None],
    }
    every = len(summary.rows)
    return [
        f"{what}: {f'all {every} variants' if len(rows) == every > 1 else listed(row.variant for row in rows)}"
        for what, rows in found.items()
        if rows
    ]


def _skipped(record: StudyRecord) -> list[str]:
    """Clips that were left out because they cannot be read; trials that left out the same ones share a line."""
    done = [trial for trial in record.trials if trial.status == "done"]
    lines = []
    for split, words in (("val", "validation clip"), ("train", "training clip")):
        found: dict[tuple[str, ...], list[str]] = {}
        for trial in done:
            ids = tuple(trial.skipped.get(split, ()))
            found.setdefault(ids, []).append(f"`{trial.variant}` seed {trial.seed}")
        for ids, trials in found.items():
            if ids:
                who = "all finished trials" if len(trials) == len(done) else ", ".join(trials)
                many = plural(len(ids), words)
                lines.append(f"{many} could not be read and took no part ({who}): {_named(ids)}")
        if split == "val" and len(found) > 1:
            lines.append("not all trials were tested on the same clips: compare their accuracies with care")
    return lines


def _named(ids: tuple[str, ...]) -> str:
    more = f" and {len(ids) - IDS_SHOWN:,} more" if len(ids) > IDS_SHOWN else ""
    return listed(one_line(id_) for id_ in ids[:IDS_SHOWN]) + more
