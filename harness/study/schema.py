"""The keys of a study file as a JSON schema, for editors that complete and check while one types.

Made from the dataclasses that read them, so that it cannot say anything else. `studies/schema.json` is this; a study
names it in its first line. Where an editor is content, a study may still be refused: rules stand beside the code.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import json
import re
import types
import typing
from typing import Any

from harness.cost.config import OWN
from harness.data.config import DATASETS
from harness.data.generated.tasks import TASKS
from harness.data.views import PROTOCOLS
from harness.model.config import CONSENSUSES, NAMES, PLACEMENTS
from harness.study.head import Head
from harness.train.recipe import PRECISIONS
from harness.train.settings import Settings
from operators.base import TemporalOp

FIRST_LINE = "# yaml-language-server: $schema=schema.json"
"""Of a study in the same folder."""

_CHOICES: dict[str, list[str]] = {
    "model.consensus": list(CONSENSUSES),
    "model.placement": list(PLACEMENTS),
    "cost.precision": list(PRECISIONS),
    "train.precision": list(PRECISIONS),
    "data.test.protocol": list(PROTOCOLS),
    "task": list(TASKS),
}
"""Settings that take one of some words."""


def schema() -> dict[str, Any]:
    """Of a whole study file."""
    hints = typing.get_type_hints(Settings)
    sections = {item.name: _object(hints[item.name], item.name) for item in dataclasses.fields(Settings)}
    head: dict[str, Any] = _object(Head, "")["properties"]
    once = {**head, **sections}  # what a variant, a part and a preset change as well
    shared: dict[str, Any] = {name: {"$ref": f"#/definitions/{name}"} for name in once}
    variant = {"type": ["object", "null"], **_keys({name: shared[name] for name in sections})}
    names = {"type": "array", "items": {"type": "string"}}
    shared["ablate"] = {"type": "object", "additionalProperties": {"type": ["string", "object"]}}
    definitions = {
        **once,
        "all_variants": {"type": "object", "additionalProperties": variant},
        "part": {"type": "object", **_keys({**shared, "variants": names})},
    }
    like = {"type": "string", "description": "a file beside this one, of which this one says what differs."}
    variants = {"$ref": "#/definitions/all_variants"}
    parts = {"type": "object", "additionalProperties": {"$ref": "#/definitions/part"}}
    every = {**shared, "variants": variants, "parts": parts}
    presets = {"type": "object", "additionalProperties": {"type": "object", **_keys(every)}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A study of mixtbench",
        "type": "object",
        "anyOf": [
            {"required": ["like"]},
            *({"required": ["question", "baseline", rows]} for rows in ("variants", "ablate")),
        ],
        **_keys({"like": like, **every, "presets": presets}),
        "definitions": definitions,
    }


def text() -> str:
    """As it stands in `studies/schema.json`."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _keys(properties: dict[str, Any]) -> dict[str, Any]:
    """These and no others, but for dotted names below them: `model.operator`."""
    nested = "|".join(name for name in properties)
    return {
        "properties": properties,
        "patternProperties": {rf"^({nested})\.": {}},
        "additionalProperties": False,
    }


def _object(kind: type, path: str) -> dict[str, Any]:
    words, hints = _described(kind), typing.get_type_hints(kind)
    properties = {}
    for item in dataclasses.fields(kind):
        place = f"{path}.{item.name}" if path else item.name
        one = _special(place) or _of(hints[item.name], place)
        properties[item.name] = _told(one, item, words)
    return {"type": "object", "description": _first_line(kind), **_keys(properties)}


def _special(place: str) -> dict[str, Any] | None:
    """What is wider than its annotation says."""
    if place in _CHOICES:
        return {"enum": _CHOICES[place]}
    if place.endswith(".backbone"):
        ours = [*NAMES, *([OWN] if place == "cost.backbone" else [])]
        return {"anyOf": [{"enum": ours}, {"type": "string", "pattern": "[./]"}]}  # or one from outside
    if place == "model.operator":
        names = {"anyOf": [{"enum": sorted(TemporalOp.registry)}, {"type": "string"}]}
        named = {"type": "object", "properties": {"name": names}, "required": ["name"]}
        own = {"patternProperties": {"^[1-4]$": {"anyOf": [names, named]}}, "additionalProperties": False}
        return {"anyOf": [named, {"type": "object", **own}]}
    if place == "data.dataset":
        forms = [_dataset(name, kind) for name, kind in DATASETS.items()]
        return {"anyOf": [{"enum": list(DATASETS)}, *forms]}
    return None


def _dataset(name: str, kind: type) -> dict[str, Any]:
    hints, words = typing.get_type_hints(kind), _described(kind)
    properties: dict[str, Any] = {"name": {"const": name}}
    for item in dataclasses.fields(kind):
        one = {"enum": _CHOICES["task"]} if item.name == "task" else _of(hints[item.name], item.name)
        properties[item.name] = _told(one, item, words)
    return {"type": "object", "properties": properties, "required": ["name"], "additionalProperties": False}


def _told(one: dict[str, Any], item: dataclasses.Field[Any], words: dict[str, str]) -> dict[str, Any]:
    """A setting with what its dataclass says of it, and its default."""
    if item.name in words:
        one = {"description": words[item.name], **one}
    if isinstance(item.default, bool | int | float | str | tuple):
        one = {**one, "default": [*item.default] if isinstance(item.default, tuple) else item.default}
    return one


def _of(kind: Any, place: str) -> dict[str, Any]:
    """A type as `reading.coerce` reads it."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _object(kind, place)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of(one, place) for one in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _of(arguments[0], place)}
    if origin in (dict, collections.abc.Mapping):
        return {"type": "object"}
    names = {float: "number", int: "integer", bool: "boolean", str: "string", types.NoneType: "null"}
    if kind is float:  # YAML reads 1e-3 as text
        return {
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$"}]
        }
    return {"type": names[kind]} if kind in names else {}


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _described(kind: type) -> dict[str, str]:
    """What the docstrings of a dataclass and those above it say of each field: `name: words`, whose later lines are
    indented."""
    found: dict[str, str] = {}
    names = {item.name for item in dataclasses.fields(kind)}
    current: list[str] = []
    docs = [
        inspect.cleandoc(one.__doc__ or "") for one in reversed(kind.__mro__) if dataclasses.is_dataclass(one)
    ]
    for line in "\n\n".join(docs).splitlines()[1:]:
        start = re.match(r"\s*((?:\w+, )*\w+): (.*)", line)
        if start and set(start[1].split(", ")) <= names:
            current = start[1].split(", ")
            found |= dict.fromkeys(current, start[2].strip())
        elif line.startswith("    ") and current:
            found |= {name: f"{found[name]} {line.strip()}" for name in current}
        else:
            current = []
    return found
