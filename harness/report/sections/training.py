"""How a study was trained: its protocol, where it ran, and in which settings its variants differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.analysis.operators import operator_facts, operator_settings
from harness.records import StudyRecord
from harness.report.document.blocks import Block, Heading, Paragraph, Table, one_line
from harness.report.format import listed, plural
from harness.units import duration

if TYPE_CHECKING:
    from operators.base import Facts

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
    facts += _time(record)
    return [
        Heading(2, "How it was trained"),
        Table(header=["what", "how"], rows=facts, words=range(2)),
        *_differing(record),
        *_papers(record),
        Paragraph("The resolved settings of every variant are in `results.json`."),
    ]


def _time(record: StudyRecord) -> list[list[str]]:
    """What the study cost to train: whoever repeats it asks, and the checklist of many a conference."""
    took = [trial.seconds for trial in record.trials if trial.status == "done" and trial.seconds > 0]
    if not took:
        return []
    shortest, longest, whole = map(duration, (min(took), max(took), sum(took)))
    each = shortest if shortest == longest else f"{shortest} to {longest}"
    words = (
        f"{each}, {plural(len(took), 'trial')} together {whole}; epochs alone, beside whatever else ran there"
    )
    return [["time of a trial", words]]


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


def _papers(record: StudyRecord) -> list[Block]:
    """Where operators were published; nothing where there are no two of the zoo."""
    row_of = {
        variant: row for row, there in record.sweep.get("rows", {}).items() for variant in there.values()
    }
    found: dict[Facts, list[str]] = {}
    for variant in record.variants:
        facts = operator_facts(record, variant)
        if facts and operator_settings(record, variant)["name"] != "identity":  # which any network may have
            found.setdefault(facts, []).append(row_of.get(variant, variant))
    if len(found) < 2:
        return []
    rows = [
        [one_line(facts.title), f"{facts.venue} {facts.year}", listed(dict.fromkeys(rows_there))]
        for facts, rows_there in sorted(found.items(), key=lambda one: (one[0].year, one[0].title))
    ]
    table = Table(
        header=["published as", "in", "rows" if record.sweep else "variants"],
        rows=rows,
        words=range(3),
        fold="papers of the operators",
    )
    return [table]


def _words(value: Any) -> str:
    """A protocol's words: their backticks mark settings."""
    return " ".join(str(value).split())


def _setting(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return one_line(", ".join(map(str, value)) if isinstance(value, list | tuple) else value)
