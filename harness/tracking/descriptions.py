"""A study and a trial in words, as Markdown: what MLflow shows at the top of their pages."""

from __future__ import annotations

from typing import Any

from harness.files import markdown_text
from harness.records import StudyRecord, operator_words

NOTE = "mlflow.note.content"
"""The tag with what MLflow shows as a description."""

_STUDY = """\
**{question}**{source}

Baseline `{baseline}`; one run a variant with its mean over seeds, interval and verdict; \
one run a trial (variant x seed); and the run `summary` with the plan, the costs and the report.\
"""

_METRICS = """\
Metrics: `val/` and `train/` by epoch, `group/` and `class/` of the reported epoch, \
`cost/` of one clip, `time/`.\
"""


def describe_study(record: StudyRecord) -> str:
    source = f"\n\nSource: {markdown_text(record.source)}." if record.source else ""
    return _STUDY.format(question=markdown_text(record.question), source=source, baseline=record.baseline)


def describe_trial(variant: str, seed: int, settings: dict[str, Any]) -> str:
    model, data, train = settings["model"], settings.get("data", {}), settings.get("train", {})
    operator = dict(model["operator"])
    if "name" not in operator:  # by stage
        operator = {"name": operator_words(operator)}
    name = operator.pop("name")
    how = markdown_text(", ".join(f"{key} {value}" for key, value in operator.items()))
    lines = [f"**`{variant}`, seed {seed}**: operator `{name}`" + (f" ({how})" if how else "")]
    where = [str(model.get("backbone") or "")]
    where += [f"{data['num_frames']} frames" if "num_frames" in data else ""]
    where += [f"{train['epochs']} epochs" if "epochs" in train else ""]
    lines += [", ".join(word for word in where if word), _METRICS]
    return "\n\n".join(line for line in lines if line)
