"""Equal tuning as a study file has it: what is tried, with which clips and which seed, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from builders.place import TINY
from builders.study_files import ids, load, refusal

from harness.errors import StudyError
from harness.records import TrialRecord
from harness.study import tuning

RATES = {"train.lr": [0.003, "1e-2", 0.03]}


def tuned(tune: Any = RATES, **more: Any) -> dict[str, Any]:
    return {**TINY, "tune": tune, **more}


def test_every_row_is_tried_at_every_value_with_a_seed_of_its_own_on_held_out_clips(tmp_path: Path) -> None:
    trying = load(tmp_path, tuned()).trying()
    assert list(trying.variants) == [
        f"{row}@{lr}" for row in ("tsn", "ks13") for lr in ("0.003", "0.01", "0.03")
    ]
    assert [one.train.lr for one in trying.variants.values()] == [0.003, 0.01, 0.03] * 2
    assert {one.data.holdout for one in trying.variants.values()} == {0.2}
    assert set(trying.seeds) == {1_000_000}
    trials = trying.trials(dict.fromkeys(trying.variants, "f"))
    assert len({trial.trial_id for trial in trials}) == 6


def test_the_chosen_values_make_an_ordinary_study(tmp_path: Path) -> None:
    """Its trials are those of a study whose variants say so themselves: asked twice, they run once."""
    study = load(tmp_path, tuned())
    assert {trial.trial_id for trial in study.trials({"tsn": "f", "ks13": "f"})} == {""}  # not known yet
    chosen = study.tuned({"tsn": "0.01", "ks13": "0.03"})
    variants = {
        "tsn": {**TINY["variants"]["tsn"], "train.lr": 0.01},
        "ks13": {**TINY["variants"]["ks13"], "train.lr": 0.03},
    }
    assert ids(chosen) == ids(load(tmp_path, {**TINY, "variants": variants}))
    assert chosen.tune is None


def test_a_study_that_tunes_nothing_has_the_ids_that_it_had(tmp_path: Path) -> None:
    plain = ids(load(tmp_path, TINY))
    assert ids(load(tmp_path, tuned({}))) == plain
    assert ids(load(tmp_path, {**TINY, "data": {**TINY["data"], "holdout": 0.0}})) == plain
    assert ids(load(tmp_path, {**TINY, "data": {**TINY["data"], "holdout": 0.2}})) != plain


def test_rows_of_a_sweep_are_tuned_each_for_itself(tmp_path: Path) -> None:
    sweep = {"data.dataset.train_clips": [16, 48]}
    trying = load(tmp_path, tuned({"train.lr": [0.01, 0.03]}, sweep=sweep)).trying()
    assert list(trying.variants)[:3] == ["tsn@16@0.01", "tsn@16@0.03", "tsn@48@0.01"]
    assert len(trying.variants) == 8


def trial(top1: float | None, loss: float = 1.0) -> TrialRecord:
    last = {} if top1 is None else {"top1": top1, "loss": loss}
    status = "failed" if top1 is None else "done"
    return TrialRecord(trial_id="t", variant="v", seed=0, status=status, reason="diverged", last=last)


@pytest.mark.parametrize(
    ("scores", "value"),
    [
        ([trial(50.0), trial(70.0), trial(60.0)], "0.01"),
        ([trial(70.0, 0.9), trial(70.0, 0.5), trial(60.0, 0.1)], "0.01"),  # of equals the lower loss
        ([trial(70.0), trial(70.0), trial(60.0)], "0.003"),  # and then the first
        ([trial(None), trial(20.0), trial(None)], "0.01"),
        ([trial(math.nan), trial(20.0), trial(20.0, math.nan)], "0.01"),  # of another version, or edited
    ],
)
def test_the_value_with_the_highest_top1_is_chosen(
    tmp_path: Path, scores: list[TrialRecord], value: str
) -> None:
    tune = load(tmp_path, tuned()).tune
    names = [f"{row}@{lr}" for row in ("tsn", "ks13") for lr in tune.values]
    found = tuning.record(tune, dict(zip(names, scores * 2, strict=True)))
    assert found["chosen"] == {"tsn": value, "ks13": value}


def test_a_row_that_fails_at_every_value_is_one_line(tmp_path: Path) -> None:
    tune = load(tmp_path, tuned()).tune
    trials = {f"tsn@{lr}": trial(60.0) for lr in tune.values} | {
        f"ks13@{lr}": trial(None) for lr in tune.values
    }
    with pytest.raises(StudyError, match=r"tune: ks13 failed at every train\.lr, .* chosen: diverged"):
        tuning.record(tune, trials)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "one value": (
        {"tune": {"train.lr": [0.1]}},
        "tune: {'train.lr': [0.1]} does not say what to try; write {",
    ),
    "two settings": ({"tune": {"train.lr": [1, 2], "model.dropout": [0, 0.5]}}, "does not say what to try; "),
    "no list": ({"tune": {"train.lr": 0.1}}, "tune: {'train.lr': 0.1} does not say what to try; "),
    "words": (
        {"tune": {"train.optimizer": ["sgd", "adamw"]}},
        "tune: train.optimizer: 'sgd' is not a number",
    ),
    "a value twice": ({"tune": {"train.lr": [0.1, "1e-1"]}}, "tune: train.lr: 0.1 is given twice"),
    "the data": ({"tune": {"data.num_frames": [4, 8]}}, "data.num_frames: is no setting of model or train; "),
    "no such setting": ({"tune": {"train.rate": [1, 2]}}, "tune: train.rate: unknown key"),
    "a value that cannot be": ({"tune": {"train.lr": [0, 0.1]}}, "tune: train.lr: 0.0 is not above 0"),
    "what the sweep sets": (
        {"tune": RATES, "sweep": {"train.lr": [0.1, 0.2]}},
        "tune: train.lr: the sweep sets it too; leave it out of one of them",
    ),
    "what a variant sets": (
        {"tune": RATES, "variants": {"tsn": {"model.operator": {"name": "identity"}, "train.lr": 0.1}}},
        "variants.tsn: sets train.lr, and so does the tuning; leave one of them out",
    ),
    "its own seed": (
        {"tune": RATES, "seeds": [0, 1_000_000]},
        "seeds: 1000000 is the seed with which values are tried; use others",
    ),
    "clips that the report is about": (
        {"tune": RATES, "data": {**TINY["data"], "holdout": 0.5}},
        "tune: tries values on clips that data.holdout reports on; leave one out",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_tuned_is_one_line(tmp_path: Path, name: str) -> None:
    changes, words = WRONG[name]
    assert words in refusal(tmp_path, {**TINY, **changes})


def test_set_cannot_give_what_is_tuned(tmp_path: Path) -> None:
    text = refusal(tmp_path, tuned(), overrides=["train.lr=0.1"])
    assert text == "--set train.lr=0.1: the tuning sets train.lr itself; change it in the file"
    assert load(tmp_path, tuned(), overrides=["tune={}"]).tune is None
