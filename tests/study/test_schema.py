"""The schema for editors: it is what the dataclasses say, knows every shipped study, and finds what is mistyped."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from builders.place import ROOT, TINY

from harness.study import schema

STUDIES = sorted(path for path in (ROOT / "studies").glob("*.yaml") if path.name != "paper_tables.yaml")
jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema.Draft7Validator.check_schema(schema.schema())
    return jsonschema.Draft7Validator(schema.schema())


def test_the_committed_schema_is_what_the_code_says() -> None:
    """To write it anew: python -c 'from harness.study import schema; print(schema.text(), end="")'."""
    assert (ROOT / "studies" / "schema.json").read_text(encoding="utf-8") == schema.text()


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_every_shipped_study_names_the_schema_first_and_fits_it(study: Any, validator: Any) -> None:
    content = study.read_text(encoding="utf-8")
    assert content.startswith(f"{schema.FIRST_LINE}\n")
    assert [error.message for error in validator.iter_errors(yaml.safe_load(content))] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("bassline", "tsn"),
        ("train/epoch", 3),
        ("train/epochs", "many"),
        ("model/backbone", "resnet51"),
        ("data/dataset", {"name": "generated", "val_clip": 4}),
        ("variants/ks13/epochs", 3),
        ("cost/size", "large"),
    ],
)
def test_what_is_mistyped_is_found(place: str, value: Any, validator: Any) -> None:
    study = copy.deepcopy(TINY)
    assert list(validator.iter_errors(study)) == []
    *above, last = place.split("/")
    inner = study
    for key in above:
        inner = inner[key]
    inner[last] = value
    assert list(validator.iter_errors(study))


def test_an_editor_shows_what_a_setting_means() -> None:
    sections = json.loads(schema.text())["definitions"]
    assert sections["train"]["properties"]["lr"]["default"] == 0.01
    model = sections["model"]["properties"]
    assert model["dropout"]["description"] == "before the classifier."
    assert "resnet50" in model["backbone"]["anyOf"][0]["enum"]
