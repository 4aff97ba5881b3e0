"""A study's trials: their order, and what decides their ids."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from builders.place import TINY
from builders.study_files import ids, load

from harness.study.load import load_study
from harness.study.study import RESULTS_VERSION, trial_id


@pytest.mark.parametrize(
    "override",
    [
        "train.lr=0.5",
        "train.epochs=2",
        "model.placement=inner",
        "model.dropout=0.1",
        "data.dataset.seed=1",
        "data.num_frames=5",
    ],
)
def test_a_changed_setting_changes_the_ids(tmp_path: Path, override: str) -> None:
    before, after = ids(load(tmp_path, TINY)), ids(load(tmp_path, TINY, overrides=[override]))
    assert set(before.values()).isdisjoint(after.values())


@pytest.mark.parametrize(
    "override",
    ["train.workers=2", "train.probes=false", "resources.cpus=2", "cost.size=64", "seeds=[0, 1, 2]"],
)
def test_what_cannot_change_a_result_keeps_the_ids(tmp_path: Path, override: str) -> None:
    assert ids(load(tmp_path, TINY)) == ids(load(tmp_path, TINY, overrides=[override]))


def test_seed_data_and_results_version_are_part_of_the_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(tmp_path, TINY).variants["tsn"]
    before = trial_id(settings, 0, "f")
    assert trial_id(settings, 1, "f") != before
    assert trial_id(settings, 0, "g") != before
    monkeypatch.setattr("harness.study.study.RESULTS_VERSION", RESULTS_VERSION + 1)
    assert trial_id(settings, 0, "f") != before


def test_ids_do_not_depend_on_names_of_studies_and_variants(tmp_path: Path) -> None:
    renamed = {**TINY, "baseline": "plain", "variants": {"plain": TINY["variants"]["tsn"]}}
    assert ids(load(tmp_path, renamed))["plain"] == ids(load(tmp_path, TINY))["tsn"]


def test_a_papers_name_names_the_same_trials(tmp_path: Path) -> None:
    variants = {"tsn": {"model.operator": {"name": "tsn"}}}
    named = {**TINY, "baseline": "tsn", "variants": variants}
    assert ids(load(tmp_path, named))["tsn"] == ids(load(tmp_path, TINY))["tsn"]


def test_the_number_of_processes_is_part_of_a_trials_id(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(copy.deepcopy(TINY)))
    ids = {
        ranks: [
            trial.trial_id
            for trial in load_study(path, overrides=[f"resources.ranks={ranks}", "resources.gpus=0"]).trials(
                {"tsn": "", "ks13": ""}
            )
        ]
        for ranks in ("auto", 1, 2)
    }
    assert ids["auto"] == ids[1]
    assert not set(ids[1]) & set(ids[2])


def test_trials_are_ordered_so_that_an_early_stop_leaves_whole_rows(tmp_path: Path) -> None:
    trials = load(tmp_path, {**TINY, "seeds": [0, 1]}).trials({"tsn": "f", "ks13": "f"})
    assert [(t.variant, t.seed) for t in trials] == [("tsn", 0), ("ks13", 0), ("tsn", 1), ("ks13", 1)]
