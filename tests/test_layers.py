"""Imports go one way, and each outside package has one door. Read from the source, nothing is run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for room in ("operators", "harness")
    for path in sorted((ROOT / room).rglob("*.py"))
}

DOORS = {  # package -> the modules that may import it
    "ray": {"harness.schedule"},
    "mlflow": {"harness.tracking", "harness.cards"},
    "sqlalchemy": {"harness.tracking"},
    "decord": {"harness.data.video"},
    "PIL": {"harness.data.frames", "harness.data.extraction", "harness.loading"},
    "av": {"harness.data.generated", "harness.data.video"},
    "scipy": {"harness.distributions"},
    "matplotlib": {
        "harness.plots.style",
        "harness.plots.roofline",
        "harness.plots.accuracy",
        "harness.plots.details",
    },
    "safetensors": {"harness.weights"},
    "rich": {"harness.progress", "harness.dryrun", "harness.cost.__main__"},
    "triton": {"operators.stencil.triton", "operators.stencil.kernels"},
}

ORDER = [  # each may import those before it, and its own line
    {"operators"},
    {"harness.errors", "harness.reading", "harness.seeds", "harness.records", "harness.metrics"},
    {"harness.distributions"},
    {"harness.stats", "harness.clips", "harness.claims", "harness.calibration"},
    {"harness.weights", "harness.model", "harness.data"},
    {"harness.recipe", "harness.distributed", "harness.allocator"},
    {"harness.cost", "harness.evaluation", "harness.training", "harness.memory", "harness.probes"},
    {"harness.trial"},
    {"harness.study", "harness.reference", "harness.plots"},
    {"harness.breakdown", "harness.summary", "harness.schedule"},
    {"harness.document", "harness.words"},
    {"harness.markdown", "harness.html", "harness.latex"},
    {"harness.answer", "harness.tables", "harness.measured", "harness.evidence"},
    {"harness.cards", "harness.served"},
    {"harness.tracking", "harness.progress", "harness.page", "harness.figures", "harness.export"},
    {"harness.comparison", "harness.protocol", "harness.plan", "harness.dryrun"},
    {"harness.run", "harness.report", "harness.ui", "harness.bench", "harness.loading"},
    {"harness.data.__main__", "harness.cost.__main__"},
]


def imports(path: Path, *, types_too: bool = False) -> Iterator[str]:
    """Every module that a file imports, anywhere in it; those for type checkers alone only where asked."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    package = module.removesuffix(".__init__") if path.stem == "__init__" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not types_too:
            skipped |= {inner for statement in node.body for inner in ast.walk(statement)}
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = (
                ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            )
            base = ".".join(part for part in (above, node.module) if part)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "importlib.import_module",
            "__import__",
        ):
            assert not node.args or not isinstance(node.args[0], ast.Constant), f"{path}: hides an import"


def line_of(module: str) -> int | None:
    """The place of a module in ORDER, under the longest name there that it has; None for one that is not ours."""
    found = [
        (len(name), place)
        for place, line in enumerate(ORDER)
        for name in line
        if module == name or module.startswith(f"{name}.")
    ]
    return max(found)[1] if found else None


@pytest.mark.parametrize("module", [m for m in MODULES if m != "harness"])
def test_imports_go_one_way(module: str) -> None:
    own = line_of(module)
    assert own is not None, f"{module} has no place in ORDER: which rooms may it know?"
    for imported in imports(MODULES[module]):
        if imported.split(".")[0] in ("operators", "harness"):
            assert (line_of(imported) or 0) <= own, f"{module} imports {imported}"


@pytest.mark.parametrize("package", DOORS)
def test_an_outside_package_has_one_door(package: str) -> None:
    users = {
        module
        for module, path in MODULES.items()
        if package in {imported.split(".")[0] for imported in imports(path, types_too=True)}
    }
    assert users <= DOORS[package]


def test_operators_know_torch_and_nothing_of_the_harness() -> None:
    for module, path in MODULES.items():
        if module.split(".")[0] == "operators":
            known = {imported.split(".")[0] for imported in imports(path)} - sys.stdlib_module_names
            assert known <= {"torch", "operators", "triton"}, module


def test_the_training_loop_knows_neither_the_scheduler_nor_the_store() -> None:
    seen: set[str] = set()
    waiting = ["harness.trial"]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        waiting += [m for m in imports(MODULES[module], types_too=True) if m in MODULES]
    assert seen.isdisjoint({"harness.schedule", "harness.tracking", "harness.run", "harness.study"})


def test_there_is_no_room_for_odds_and_ends() -> None:
    assert not [
        module for module in MODULES if module.split(".")[-1] in ("utils", "helpers", "common", "misc")
    ]
