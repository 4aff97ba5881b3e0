"""Study files to be read: the tiny one, changed, and what is refused in it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.place import TINY
from harness.errors import StudyError
from harness.study.load import load_study
from harness.study.study import trial_id


def change(path: str, value: Any, study: dict[str, Any] = TINY) -> dict[str, Any]:
    """The tiny study with one setting changed; `path` uses / because names may hold dots."""
    study = copy.deepcopy(study)
    *above, last = path.split("/")
    place = study
    for key in above:
        place = place.setdefault(key, {})
    place[last] = value
    return study


def load(folder: Path, study: dict[str, Any] | str, **options: Any) -> Any:
    path = folder / "tiny.yaml"
    path.write_text(study if isinstance(study, str) else yaml.safe_dump(study, sort_keys=False))
    return load_study(path, **options)


def refusal(folder: Path, study: dict[str, Any] | str, **options: Any) -> str:
    """The error's text, without the folder's name."""
    (line,) = refusals(folder, study, **options)
    return line


def refusals(folder: Path, study: dict[str, Any] | str, **options: Any) -> list[str]:
    """The same where several things are wrong, a line each."""
    with pytest.raises(StudyError) as error:
        load(folder, study, **options)
    return str(error.value).replace(f"{folder}/", "").splitlines()


def ids(study: Any, fingerprint: str = "f") -> dict[str, str]:
    """Of every variant's trial with seed 0."""
    return {name: trial_id(settings, 0, fingerprint) for name, settings in study.variants.items()}
