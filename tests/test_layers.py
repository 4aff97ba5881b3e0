"""Imports go one way, and each outside package has one door. Read from the source, nothing is run."""

from __future__ import annotations

import sys

import pytest
from house import circles, floors, graph, imports, modules, room_of, rooms

MODULES = modules()
ARROWS = graph()

ORDER = [  # from the ground up: a room may know those on lines before its own
    {"harness.shapes"},
    {
        "operators",
        "harness.errors",
        "harness.seeds",
        "harness.records",
        "harness.metrics",
        "harness.shipped",
    },
    {
        "harness.console",
        "harness.files",
        "harness.machine",
        "harness.published",
        "harness.plots",
        "harness.units",
    },
    {"harness.outside", "harness.signals"},
    {"harness.model", "harness.options", "harness.stats"},
    {"harness.data", "harness.analysis"},
    {"harness.train"},
    {"harness.cost"},
    {"harness.study", "harness.bench"},
    {"harness.tracking", "harness.gpu"},
    {"harness.report", "harness.predict", "harness.export"},
    {"harness.run", "harness.served", "harness.ui", "harness.results"},
    {"commands"},
]

DOORS = {  # package -> the modules that may import it
    "ray": {"harness.run.schedule", "harness.run.actor", "harness.run.nodes"},
    "mlflow": {
        "harness.tracking.connection",
        "harness.tracking.recorder",
        "harness.tracking.models",
        "harness.tracking.network",
        "harness.tracking.trained",
        "harness.tracking.writing",
    },
    "sqlalchemy": {"harness.tracking.connection"},
    "decord": {"harness.data.video"},
    "PIL": {
        "harness.data.pictures",
        "harness.data.sources.extraction",
        "harness.bench.loading",
        "harness.data.generated.sheet",
        "harness.data.strip",
    },
    "av": {
        "harness.data.generated.making",
        "harness.data.video",
        "harness.data.container",
        "harness.data.pictures",
    },
    "simplejpeg": {"harness.data.pictures"},
    "scipy": {"harness.stats.distributions"},
    "matplotlib": {
        "harness.plots.style",
        "harness.plots.roofline",
        "harness.plots.accuracy",
        "harness.plots.details",
        "harness.plots.ladder",
    },
    "safetensors": {"harness.model.weights"},
    "onnxruntime": {"harness.export.forms"},
    "onnxscript": {"harness.export.forms"},
    "pandas": {"harness.results"},
    "rich": {"harness.console"},
    "timm": {"harness.model.packages"},
    "torchvision": {"harness.model.packages"},
    "triton": {"operators.stencil.triton", "operators.stencil.kernels"},
}


def place(room: str) -> int:
    """The line of a room in ORDER."""
    found = [line for line, names in enumerate(ORDER) if room in names]
    assert found, f"{room} has no place in ORDER: which rooms may it know?"
    return found[0]


@pytest.mark.parametrize("room", sorted(set(map(room_of, MODULES)) - {"harness"}))
def test_a_room_knows_only_those_below_it(room: str) -> None:
    for other in rooms(ARROWS).get(room, ()):
        assert place(other) < place(room), f"{room} imports {other}"


def test_there_is_no_circle_between_modules_nor_between_rooms() -> None:
    assert circles(ARROWS) == []
    assert circles(rooms(ARROWS)) == []


def test_circles_and_floors_are_found() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"e"}, "e": set[str]()}
    assert circles(arrows) == [["a", "b", "c"]]
    assert floors({"d": {"e"}, "e": set(), "f": {"d", "e"}}) == {"d": 2, "e": 1, "f": 3}


@pytest.mark.parametrize("package", DOORS)
def test_an_outside_package_has_one_door(package: str) -> None:
    users = {
        module
        for module, path in MODULES.items()
        if package in {imported.split(".")[0] for imported in imports(path, MODULES)}
    }
    assert users <= DOORS[package]


def test_operators_know_torch_and_nothing_of_the_harness() -> None:
    for module, path in MODULES.items():
        if room_of(module) == "operators":
            known = {name.split(".")[0] for name in imports(path, MODULES)} - sys.stdlib_module_names
            assert known <= {"torch", "operators", "triton"}, module


def test_the_training_loop_knows_neither_the_scheduler_nor_the_store() -> None:
    seen: set[str] = set()
    waiting = ["harness.train.trial"]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += ARROWS[module]
    known = set(map(room_of, seen))
    assert known.isdisjoint({"harness.run", "harness.tracking", "harness.study"})


def test_there_is_no_room_for_odds_and_ends() -> None:
    odds = ("utils", "helpers", "common", "misc")
    assert not [module for module in MODULES if module.split(".")[-1] in odds]
