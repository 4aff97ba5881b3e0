"""How a study was trained: its protocol, where it ran, and in which settings its variants differ."""

from __future__ import annotations

from typing import Any

from harness.records import StudyRecord
from harness.report.document.blocks import Block, Heading, Paragraph, Table, one_line

IN_WORDS = {"peak_memory_mib": "peak memory of a trial [MiB]"}
"""Keys of a trial's environment as a page names them."""


def section(record: StudyRecord) -> list[Block]:
    if record.predictions:
        files = [[f"`{file}`", words] for file, words in record.protocol.items()]
        return [
            Heading(2, "Where the predictions come from"),
            Paragraph("They were read from files; how they were made is not known here."),
            Table(header=["file", "what it holds"], rows=files, words=range(2)),
        ]
    described: dict[str, Any] = {"source": record.source} if record.source else {}
    described |= {"data set": f"`{record.dataset_name}`", "seeds": ", ".join(map(str, record.seeds))}
    described |= record.protocol
    facts = [[one_line(key), _words(value)] for key, value in described.items()]
    facts += [[one_line(IN_WORDS.get(key, key)), one_line(value)] for key, value in environment(record)]
    return [
        Heading(2, "How it was trained"),
        Table(header=["what", "how"], rows=facts, words=range(2)),
        *_differing(record),
        Paragraph("The resolved settings of every variant are in `results.json`."),
    ]


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


def _differing(record: StudyRecord) -> list[Block]:
    """The settings in which variants differ."""
    keys = list(dict.fromkeys(key for one in record.differs.values() for key in one))
    if not keys:
        return []
    header = ["variant", *(f"`{key}`" for key in keys)]
    rows = [
        [f"`{variant}`", *(_setting(record.differs.get(variant, {}).get(key)) for key in keys)]
        for variant in record.variants
    ]
    return [
        Paragraph("All variants are trained alike but for:"),
        Table(header=header, rows=rows, words=range(len(header))),
    ]


def _words(value: Any) -> str:
    """A protocol's words: their backticks mark settings."""
    return " ".join(str(value).split())


def _setting(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return one_line(", ".join(map(str, value)) if isinstance(value, list | tuple) else value)
