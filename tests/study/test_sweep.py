"""A sweep: every variant becomes a row at each value of one setting, and what is wrong with one is one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders.place import TINY
from builders.study_files import change, ids, load, refusal

CLIPS = "data.dataset.train_clips"
SHORT = {CLIPS: [16, 48]}
LONG = [{CLIPS: 16, "train.epochs": 6}, {CLIPS: 48, "train.epochs": 2}]
ROWS = ["tsn@16", "tsn@48", "ks13@16", "ks13@48"]


def swept(sweep: Any, **more: Any) -> dict[str, Any]:
    return {**TINY, "sweep": sweep, **more}


def test_every_variant_is_a_row_at_each_value(tmp_path: Path) -> None:
    study = load(tmp_path, swept(SHORT))
    assert list(study.variants) == ROWS
    assert [one.data.source().train_clips for one in study.variants.values()] == [16, 48, 16, 48]
    assert {one.data.source().val_clips for one in study.variants.values()} == {16}  # the rest stays
    assert {one.train.epochs for one in study.variants.values()} == {1}
    assert study.baseline == "tsn@16"
    assert study.variants["ks13@48"].model == load(tmp_path, TINY).variants["ks13"].model


def test_other_settings_may_change_along(tmp_path: Path) -> None:
    study = load(tmp_path, swept(LONG))
    assert list(study.variants) == ROWS
    clips_shown = {one.train.epochs * one.data.source().train_clips for one in study.variants.values()}
    assert clips_shown == {96}


def test_a_row_is_the_trial_that_a_study_without_a_sweep_has(tmp_path: Path) -> None:
    rows = ids(load(tmp_path, swept(LONG)))
    alone = ids(load(tmp_path, TINY, overrides=[f"{CLIPS}=48", "train.epochs=2"]))
    assert (rows["tsn@48"], rows["ks13@48"]) == (alone["tsn"], alone["ks13"])
    assert len(set(rows.values())) == len(ROWS)


def test_records_keep_which_row_is_which_variant_at_which_value(tmp_path: Path) -> None:
    assert load(tmp_path, TINY).sweep is None
    record = load(tmp_path, swept(LONG)).sweep.record()
    assert json.loads(json.dumps(record)) == {
        "key": CLIPS,
        "values": [16, 48],
        "rows": {"tsn": {"16": "tsn@16", "48": "tsn@48"}, "ks13": {"16": "ks13@16", "48": "ks13@48"}},
    }


def test_numbers_in_names_are_written_as_one_reads_them(tmp_path: Path) -> None:
    study = load(tmp_path, swept({"train.lr": ["1e-3", 0.02, 1]}), overrides=["seeds=[3]"])
    assert list(study.variants)[:3] == ["tsn@0.001", "tsn@0.02", "tsn@1"]
    assert study.variants["tsn@0.001"].train.lr == 0.001


def test_statements_name_rows(tmp_path: Path) -> None:
    study = load(tmp_path, swept(SHORT, hypotheses=["ks13@48 > ks13@16"], pairs=["tsn@16 vs ks13@16"]))
    assert study.hypotheses == ("ks13@48 > ks13@16",)
    text = refusal(tmp_path, swept(SHORT, hypotheses=["ks13 > tsn"]))
    assert text.startswith("tiny.yaml: hypotheses[0]: no variant 'ks13'; did you mean 'ks13@")


def test_a_variant_is_chosen_with_all_its_rows_or_by_the_row(tmp_path: Path) -> None:
    study = load(tmp_path, swept(SHORT))
    assert study.rows(["ks13"]) == {"ks13@16", "ks13@48"}
    assert study.rows(["tsn@48", "ks13@16"]) == {"tsn@48", "ks13@16"}
    assert {"tsn", "tsn@16"} <= set(study.names)


def test_a_sweep_is_replaced_whole(tmp_path: Path) -> None:
    assert load(tmp_path, swept(SHORT), overrides=["sweep={}"]).sweep is None
    study = load(tmp_path, swept(SHORT), overrides=["sweep={train.epochs: [2, 3]}"])
    assert list(study.variants) == ["tsn@2", "tsn@3", "ks13@2", "ks13@3"]
    assert {one.data.source().train_clips for one in study.variants.values()} == {32}


WRONG: dict[str, tuple[Any, str]] = {
    "no such setting of the data set": (
        {"data.dataset.train_clip": [16, 48]},
        "data.dataset.train_clip: generated has no such setting; did you mean 'train_clips'?",
    ),
    "no such setting of training": (
        {"train.epoch": [1, 2]},
        "train.epoch: unknown key; did you mean 'epochs'?",
    ),
    "a key that trials do not have": (
        {"seeds": [1, 2]},
        "seeds: unknown key; known: model..., data..., train...",
    ),
    "a whole section": ({"train": [1, 2]}, "train: unknown key; known: model..., data..., train..."),
    "one value": ({CLIPS: [16]}, f"{{'{CLIPS}': [16]}} has fewer than two values; without a sweep, set it "),
    "no value": ({CLIPS: []}, f"{{'{CLIPS}': []}} has fewer than two values; "),
    "a value twice": ({CLIPS: [16, 48, 16.0]}, f"{CLIPS}: 16 is given twice"),
    "a value of the wrong type": (
        {CLIPS: [16, 48.5]},
        "data.dataset.train_clips: 48.5 is not a whole number",
    ),
    "a value that cannot be": ({"train.lr": [0, 0.1]}, "train.lr: 0.0 is not above 0"),
    "words": ({"train.optimizer": ["sgd", "adamw"]}, "train.optimizer: 'sgd' is not a number"),
    "no list": (
        {CLIPS: 16},
        f"{{'{CLIPS}': 16}}: one setting with a list of values varies over rows; write ",
    ),
    "two settings that do not change together": (
        {CLIPS: [16, 48], "train.epochs": [6, 2]},
        f"{{'{CLIPS}': [16, 48], 'train.epochs': [6, 2]}}: one setting with a list of values varies over rows; ",
    ),
    "a nested key": ({"train": {"epochs": [1, 2]}}, "{'train': {'epochs': [1, 2]}}: one setting with a list"),
    "a number": (3, "3 is no sweep; write "),
    "a list of numbers": ([16, 48], "[16, 48] is no sweep; write "),
    "mappings with other keys": (
        [{CLIPS: 16, "train.epochs": 6}, {CLIPS: 48}],
        f"{{'{CLIPS}': 48}}: every mapping has the keys of the first one, in its order: {CLIPS}, train.epochs",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_sweep_is_one_line(case: str, tmp_path: Path) -> None:
    sweep, expected = WRONG[case]
    assert refusal(tmp_path, swept(sweep)).startswith(f"tiny.yaml: sweep: {expected}")


@pytest.mark.parametrize(
    "own", [{CLIPS: 64}, {"data.dataset": {"name": "generated"}}, {"train": {"epochs": 3}}]
)
def test_a_variant_cannot_set_what_is_swept(own: dict[str, Any], tmp_path: Path) -> None:
    study = change("variants/ks13", {**TINY["variants"]["ks13"], **own}) | {"sweep": LONG}
    text = refusal(tmp_path, study)
    assert text.startswith("tiny.yaml: variants.ks13: sets ")
    assert text.endswith(", and so does the sweep; leave one of them out")


def test_an_override_cannot_set_what_is_swept(tmp_path: Path) -> None:
    for override, key in (("train.epochs=3", "train.epochs"), ("data.dataset={name: generated}", CLIPS)):
        expected = f"--set {override}: the sweep sets {key} itself; change it in the file"
        assert refusal(tmp_path, swept(LONG), overrides=[override]) == expected


def test_a_name_cannot_be_taken_for_a_row(tmp_path: Path) -> None:
    study = change("variants/ks13@16", {"model.operator": {"name": "shift"}})
    assert refusal(tmp_path, study).startswith("tiny.yaml: variants: 'ks13@16' is no name; use letters, ")
