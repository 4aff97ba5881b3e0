"""What names a result stays what it is: an id that changes throws every earlier result of its trial away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import training
from builders.place import ROOT

from harness.study.load import load_studies
from harness.study.study import ADDED_SINCE, COMPILED_VERSION, trial_id

KNOWN = json.loads((ROOT / "tests/golden/trial_ids.json").read_text())
"""Of the shipped studies; data fingerprints all zeros. The paper's presets are as they were before the house had rooms
(commit 17242e5); studies on generated videos are written down anew when they change."""


def ids(path: Path, preset: str) -> dict[str, dict[str, str]]:
    return {
        study.name: {
            f"{trial.variant} seed={trial.seed}": trial.trial_id
            for trial in study.trials(dict.fromkeys(study.variants, "0" * 64))
        }
        for study in load_studies(path, preset=preset)
    }


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_shipped_study_has_the_ids_that_it_had(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIXTBENCH_WEIGHTS", raising=False)
    stem, *_ = name.split("-")
    found = ids(ROOT / "studies" / f"{stem}.yaml", "paper" if f"{name}-".startswith(f"{stem}-paper-") else "")
    assert found[name] == KNOWN[name]


def test_a_setting_added_since_is_no_part_of_an_id_until_it_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual, other = training.settings(gamma=0.1), training.settings(gamma=0.2)
    before = [trial_id(settings, 0, "0") for settings in (usual, other)]
    monkeypatch.setitem(ADDED_SINCE, "train.gamma", 0.1)
    after = [trial_id(settings, 0, "0") for settings in (usual, other)]
    assert after[0] not in before
    assert after[1] == before[1]


def test_the_version_of_compiled_trials_is_part_of_their_ids_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, compiled = training.settings(), training.settings(compile=True)
    before = [trial_id(settings, 0, "0") for settings in (plain, compiled)]
    assert before[1] != "a7307b2cd166bfab"  # as it was when their operators took the form for exported files
    monkeypatch.setattr("harness.study.study.COMPILED_VERSION", COMPILED_VERSION + 1)
    after = [trial_id(settings, 0, "0") for settings in (plain, compiled)]
    assert after[0] == before[0]
    assert after[1] != before[1]
