"""How to recompute a study's numbers: from the beginning, or from the data beside its page."""

from __future__ import annotations

import shlex

from harness.records import StudyRecord
from harness.report.document.blocks import Block, Code, Heading, Paragraph


def section(record: StudyRecord) -> list[Block]:
    again = (
        "from pathlib import Path\n"
        "from harness.report import read_record, write_study\n\n"
        'write_study(read_record(Path("results.json")), Path("again"))'
    )
    files = (
        "Or from the files beside this page, in its folder, without training and without a tracking store. "
        "`results.json` holds every trial. `trials.csv` has a row for each trial, `results.csv` a row for each variant "
        "with all numbers at full precision, `tables.tex` the tables for a paper."
    )
    beginning = "From the beginning, where the study file is still the same:"
    command = (
        f"{_command(record)}\npython -m harness.report --out reports/ --study {shlex.quote(record.name)}"
    )
    if record.predictions:
        beginning, command = "From the files, where they are still the same:", _of_predictions(record)
    return [
        Heading(2, "How to recompute"),
        Paragraph(beginning),
        Code(command),
        Paragraph(files),
        Code(again, "python"),
    ]


def _of_predictions(record: StudyRecord) -> str:
    words = ["python", "-m", "harness.report", "--predictions", *record.predictions]
    words += ["--baseline", record.baseline, "--name", record.name]
    words += ["--margin", f"{record.margin:g}"] if record.margin else []
    return shlex.join(words)


def _command(record: StudyRecord) -> str:
    """What runs the study again. A record from before files were kept tells its file only by a name without hyphens:
    others may hold a preset's name and a part's."""
    words = ["python", "-m", "harness.run"]
    words.append(record.file or ("STUDY" if "-" in record.name else f"studies/{record.name}.yaml"))
    words += ["--preset", record.preset] if record.preset else []
    words += ["--parts", record.part] if record.part else []
    return shlex.join(words)
