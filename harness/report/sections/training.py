"""How a study was trained, what is missing from it, and how to recompute its numbers."""

from __future__ import annotations

import shlex
from typing import Any

from harness.analysis.summary import Summary
from harness.records import StudyRecord
from harness.report.document.blocks import Block, Code, Items, Paragraph, Table, one_line
from harness.report.format import listed, plural


def training(record: StudyRecord) -> list[Block]:
    described: dict[str, Any] = {"source": record.source} if record.source else {}
    described |= {"data set": f"`{record.dataset_name}`", "seeds": ", ".join(map(str, record.seeds))}
    described |= record.protocol
    facts = [[one_line(key), _words(value)] for key, value in described.items()]
    facts += [[one_line(key), one_line(value)] for key, value in environment(record)]
    keys = list(dict.fromkeys(key for one in record.differs.values() for key in one))
    blocks: list[Block] = [Table(header=["what", "how"], rows=facts, words=range(2))]
    if keys:
        header = ["variant", *(f"`{key}`" for key in keys)]
        rows = [
            [f"`{variant}`", *(_setting(record.differs.get(variant, {}).get(key)) for key in keys)]
            for variant in record.variants
        ]
        blocks.append(Paragraph("All variants are trained alike but for:"))
        blocks.append(Table(header=header, rows=rows, words=range(len(header))))
    blocks.append(Paragraph("The resolved settings of every variant are in `results.json`."))
    return blocks


def environment(record: StudyRecord) -> list[tuple[str, str]]:
    """Where and with what trials ran; a value that differs between them is given as all it was.

    What the study was last asked with counts only where no trial says otherwise: asking again trains nothing.
    """
    found: dict[str, dict[str, None]] = {}
    for trial in record.trials:
        for key, value in trial.environment.items():
            found.setdefault(key, {})[str(value)] = None
    for key, value in record.environment.items():
        found.setdefault(key, {str(value): None})
    return [(key, _all_values(list(values))) for key, values in found.items()]


def _all_values(values: list[str]) -> str:
    try:
        numbers = sorted(values, key=float)
    except ValueError:
        return "; ".join(values)
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 2 else "; ".join(numbers)


def missing(summary: Summary) -> list[Block]:
    lines = []
    for trial in summary.missing:
        reason = f": {one_line(trial.reason)}" if trial.reason else ""
        word = {"missing": "not run", "running": "not finished"}.get(trial.status, trial.status)
        lines.append(f"`{trial.variant}` seed {trial.seed}: {word}{reason}")
    for variant, seed in summary.unusable:
        lines.append(f"`{variant}` seed {seed}: finished, but its top-1 is not a number, so it is in no mean")
    for what, absent in (
        ("cost not measured", [row.variant for row in summary.rows if row.cost is None]),
        (
            "MACs not stated by its operator",
            [row.variant for row in summary.rows if row.cost and row.cost.macs_added is None],
        ),
        (
            "latency not measured",
            [row.variant for row in summary.rows if row.cost and row.latency_ms is None],
        ),
    ):
        if absent:
            lines.append(f"{what}: {listed(absent)}")
    lines += _skipped(summary.record)
    if lines:
        return [Items(lines)]
    trials = sum(row.planned for row in summary.rows)
    return [Paragraph(f"Nothing: all {plural(trials, 'trial')} of the plan finished.")]


IDS_SHOWN = 10
"""Clips that a page names; `results.json` names all."""


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
            if not ids:
                continue
            who = "all finished trials" if len(trials) == len(done) else ", ".join(trials)
            named = ", ".join("`{}`".format(one_line(id_).replace("`", "'")) for id_ in ids[:IDS_SHOWN])
            more = f" and {len(ids) - IDS_SHOWN:,} more" if len(ids) > IDS_SHOWN else ""
            lines.append(
                f"{plural(len(ids), words)} could not be read and took no part ({who}): {named}{more}"
            )
        if split == "val" and len(found) > 1:
            lines.append("not all trials were tested on the same clips: compare their accuracies with care")
    return lines


def recompute(record: StudyRecord) -> list[Block]:
    return [
        Paragraph("From the beginning, where the study file is still the same:"),
        Code(f"{_command(record)}\npython -m harness.report --out reports/ --study {record.name}"),
        Paragraph(
            "From the data beside this page, without training and without a tracking store: `results.json` "
            "holds every trial, `trials.csv` one row a trial, `results.csv` one row a variant with all numbers "
            "at full precision, `tables.tex` the tables for a paper."
        ),
        Code(
            "from pathlib import Path\n"
            "from harness.report import read_record, write_study\n\n"
            f'write_study(read_record(Path("reports/{record.name}/results.json")), Path("reports/"))',
            "python",
        ),
    ]


def _command(record: StudyRecord) -> str:
    """What runs the study again. A record from before files were kept tells its file only by a name without hyphens:
    others may hold a preset's name and a part's."""
    words = ["python", "-m", "harness.run"]
    words.append(record.file or ("STUDY" if "-" in record.name else f"studies/{record.name}.yaml"))
    words += ["--preset", record.preset] if record.preset else []
    words += ["--parts", record.part] if record.part else []
    return shlex.join(words)


def _words(value: Any) -> str:
    """A protocol's words: their backticks mark settings."""
    return " ".join(str(value).split())


def _setting(value: Any) -> str:
    if value is None:
        return "-"
    return one_line(", ".join(map(str, value)) if isinstance(value, list | tuple) else value)
