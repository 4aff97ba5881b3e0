"""A study that is like another one says what differs, and shares the trials that do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from builders.place import ROOT, TINY
from builders.study_files import ids, load, refusal

from harness.study.load import load_study


def test_what_a_study_leaves_out_is_that_of_the_one_that_it_is_like(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(TINY | {"margin": 2}, sort_keys=False))
    tsm = {"model.operator": {"name": "shift"}}
    study = load(
        tmp_path, {"like": "other.yaml", "question": "And costs?", "seeds": [7], "variants": {"tsm": tsm}}
    )
    other = load_study(tmp_path / "other.yaml")
    assert (study.question, study.seeds, study.margin) == ("And costs?", (7,), 2)
    assert study.name == "tiny"
    assert list(study.variants) == [*TINY["variants"], "tsm"]
    assert ids(study) == ids(other) | {"tsm": ids(study)["tsm"]}


@pytest.mark.parametrize(
    ("like", "words"),
    [
        (
            "../other.yaml",
            "tiny.yaml: like: '../other.yaml' is no file beside this one, as in like: reach.yaml",
        ),
        (
            ["other.yaml"],
            "tiny.yaml: like: ['other.yaml'] is no file beside this one, as in like: reach.yaml",
        ),
        ("othr.yaml", "tiny.yaml: like: no study file othr.yaml; did you mean 'other'?"),
        ("other.yaml", "tiny.yaml: like: other.yaml is itself like third.yaml; name that one"),
    ],
)
def test_a_study_that_is_like_nothing_that_can_be_read_says_so(
    tmp_path: Path, like: object, words: str
) -> None:
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"like": "third.yaml"}))
    assert refusal(tmp_path, {"like": like, "question": "Whose?"}) == words


def test_the_zoo_has_the_trials_of_reach_and_costs_of_its_own() -> None:
    zoo, reach = (load_study(ROOT / "studies" / f"{name}.yaml") for name in ("zoo", "reach"))
    assert ids(zoo) == ids(reach)
    assert zoo.seeds == reach.seeds
    assert (zoo.cost.latency, reach.cost.latency) == (True, False)
