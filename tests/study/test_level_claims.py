"""Hypotheses about a level: checked against the clips that a study names, before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from builders.place import TINY

from harness.errors import StudyError
from harness.study.load import load_study

STROBE = {"name": "generated", "task": "strobe", "levels": [1, 3], "train_clips": 8, "val_clips": 8}
WHOLE: dict[str, Any] = {"num_frames": 8, "short_side": 16, "crop": 16, "scales": [1.0]}


def write(folder: Path, hypothesis: str, dataset: dict[str, Any]) -> Path:
    data = {**WHOLE, "dataset": dataset} if "task" in dataset else {**TINY["data"], "dataset": dataset}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, "data": data, "hypotheses": [hypothesis]}))
    return path


def test_a_hypothesis_may_name_a_level_of_its_clips(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, "ks13 > tsn at lag 3", STROBE))
    assert study.hypotheses == ("ks13 > tsn at lag 3",)


@pytest.mark.parametrize(
    ("hypothesis", "dataset", "problem"),
    [
        ("ks13 > tsn at lag 2", STROBE, "ks13 has no such clips; known: lag 1, 3"),
        ("ks13 ~ tsn at noise 3 within 1", STROBE, "the level of its clips is called lag"),
        (
            "ks13 > tsn at lag 3",
            TINY["data"]["dataset"],
            "the clips of ks13 have no levels; state it without `at`",
        ),
    ],
)
def test_a_level_that_no_clip_has_is_one_line(
    hypothesis: str, dataset: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    path = write(tmp_path, hypothesis, dataset)
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}: hypotheses[0]: {hypothesis!r}: ")
    assert str(caught.value).endswith(problem)
