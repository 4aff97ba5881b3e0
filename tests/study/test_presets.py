"""Presets and parts: the same question at another scale, the same rows under other settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from builders.place import TINY
from builders.study_files import load, refusal

from harness.errors import StudyError
from harness.study.load import load_studies

PRESETS = {
    "long": {"train.epochs": 9, "seeds": [5], "variants": {"ks3": {"model.operator": {"name": "shift"}}}},
    "bad": {"train.epoch": 9},
    "empty": None,
}


def test_a_preset_is_the_same_question_at_another_scale(tmp_path: Path) -> None:
    study = load(tmp_path, {**TINY, "presets": PRESETS}, preset="long")
    assert study.name == "tiny-long"
    assert study.seeds == (5,)
    assert list(study.variants) == ["tsn", "ks13", "ks3"]
    assert {s.train.epochs for s in study.variants.values()} == {9}


PARTS = {"four": {"data.num_frames": 4}, "two": {"data.num_frames": 2, "reference": "mixtconv.table1.jester"}}


def test_a_part_is_the_same_rows_under_other_settings_and_a_study_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, "parts": PARTS}, sort_keys=False))
    four, two = load_studies(path)
    assert (four.name, two.name) == ("tiny-four", "tiny-two")
    assert list(four.variants) == list(two.variants) == ["tsn", "ks13"]
    assert {s.data.num_frames for s in two.variants.values()} == {2}
    assert (four.reference, two.reference) == ("", "mixtconv.table1.jester")
    assert [study.name for study in load_studies(path, parts=["two"])] == ["tiny-two"]
    (whole,) = load_studies(path, overrides=["data.num_frames=3"], parts=["four"])
    assert whole.variants["tsn"].data.num_frames == 3


def test_the_parts_of_a_preset_stand_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, "presets": {"long": {"parts": PARTS, "train.epochs": 9}}}))
    studies = load_studies(path, preset="long")
    assert [study.name for study in studies] == ["tiny-long-four", "tiny-long-two"]
    assert {study.variants["tsn"].train.epochs for study in studies} == {9}
    assert [study.name for study in load_studies(path)] == ["tiny"]


def test_a_part_may_have_some_of_the_rows_in_the_studys_order(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    more = {**TINY["variants"], "ks3": {"model.operator": {"name": "depthwise", "kernel_size": 3}}}
    parts = {"all": {}, "two": {"variants": ["ks3", "tsn"]}}
    path.write_text(yaml.safe_dump({**TINY, "variants": more, "parts": parts}, sort_keys=False))
    every, two = load_studies(path)
    assert list(every.variants) == ["tsn", "ks13", "ks3"]
    assert list(two.variants) == ["tsn", "ks3"]


def test_a_preset_may_be_without_the_parts_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, "parts": PARTS, "presets": {"whole": {"parts": {}}, "also": {}}}))
    assert [study.name for study in load_studies(path, preset="whole")] == ["tiny-whole"]
    assert [study.name for study in load_studies(path, preset="also")] == ["tiny-also-four", "tiny-also-two"]


@pytest.mark.parametrize(
    ("parts", "chosen", "expected"),
    [
        ({"a": {"dat.num_frames": 2}}, [], "parts.a: dat.num_frames: unknown key; did you mean 'data'?"),
        ({"a": {"parts": {}}}, [], "parts.a: parts: unknown key"),
        ({"a": {"variants": {}}}, [], "parts.a.variants: {} is not a list of the study's variants"),
        ({"a": {"variants": ["ks31"]}}, [], "parts.a.variants: no variant 'ks31'; did you mean 'ks13'?"),
        ({"a": {"variants": ["ks13"]}}, [], "baseline: no variant 'tsn'"),
        ({"a": {"data.num_frames": 0}}, [], "data.num_frames: 0 is too few; use 1 or more"),
        ({"a": 3}, [], "parts: a: 3 is not a mapping"),
        ({"a b": {}}, [], "parts: 'a b' is no name; use letters, digits, _ + -"),
        ({"jester": {}}, ["jesper"], "parts: no part 'jesper'; did you mean 'jester'?"),
        ({}, ["jester"], "parts: no part 'jester'; the study has none"),
    ],
)
def test_a_wrong_part_is_one_line(
    tmp_path: Path, parts: dict[str, Any], chosen: list[str], expected: str
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, "parts": parts}, sort_keys=False))
    with pytest.raises(StudyError) as error:
        load_studies(path, parts=chosen)
    assert str(error.value).startswith(f"{path}: {expected}")


def test_a_study_in_parts_is_not_read_as_one(tmp_path: Path) -> None:
    assert "parts: no part ''; known: four, two" in refusal(tmp_path, {**TINY, "parts": PARTS})


def test_a_wrong_preset_is_one_line(tmp_path: Path) -> None:
    study = {**TINY, "presets": PRESETS}
    assert (
        refusal(tmp_path, {**TINY, "profiles": PRESETS})
        == "tiny.yaml: profiles: a study at another scale is called a preset now: write presets"
    )
    assert (
        refusal(tmp_path, study, preset="lang")
        == "tiny.yaml: presets: no preset 'lang'; did you mean 'long'?"
    )
    assert (
        refusal(tmp_path, TINY, preset="long") == "tiny.yaml: presets: no preset 'long'; the study has none"
    )
    assert refusal(tmp_path, study, preset="bad").endswith("train.epoch: unknown key; did you mean 'epochs'?")
    assert refusal(tmp_path, study, preset="empty").startswith(
        "tiny.yaml: presets: empty: None is not a mapping"
    )
    unknown = {**TINY, "presets": {"long": {"trian": {}}}}
    assert refusal(tmp_path, unknown, preset="long").startswith("tiny.yaml: presets.long: trian: unknown key")
