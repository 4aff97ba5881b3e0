"""The plan of the house, measured from its imports: rooms, floors, arrows and circles.

    python tests/house.py [CHECKOUT]

Every import counts: lazy ones, and those for type checkers alone. Nothing of the house is run.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = ("operators", "harness")


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for folder in OURS
        for path in sorted((root / folder).rglob("*.py"))
    }


def imports(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Every module that a file imports, wherever the import stands: an outside one by its dotted name, one of ours
    by the longest name that is a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (_longest(alias.name, known) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: write imports in full"
            for alias in node.names:
                yield _longest(f"{node.module}.{alias.name}", known)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "importlib.import_module",
            "__import__",
        ):
            hidden = bool(node.args) and isinstance(node.args[0], ast.Constant)
            assert not hidden, f"{path}: hides an import"


def _longest(name: str, known: Mapping[str, Path]) -> str:
    if name.split(".")[0] not in OURS:
        return name
    while name not in known:
        name = name.rpartition(".")[0]
    return name


def graph(root: Path = ROOT) -> dict[str, set[str]]:
    """Who imports whom, among our modules. An import of a package's face counts as one of that face."""
    known = modules(root)
    return {
        module: {name for name in imports(path, known) if name in known} - {module}
        for module, path in known.items()
    }


def room_of(module: str) -> str:
    """The folder that a module stands in, or the file on the ground floor. Commands, which nobody imports, are a room
    of their own: each may use whatever the house has."""
    parts = module.split(".")
    if parts[-1] == "__main__":
        return "commands"
    return parts[0] if parts[0] == "operators" else ".".join(parts[:2])


def rooms(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same between rooms."""
    found: dict[str, set[str]] = {}
    for module, imported in arrows.items():
        room = room_of(module)
        found.setdefault(room, set()).update({room_of(name) for name in imported} - {room, "harness"})
    return found


def circles(arrows: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The groups of more than one that reach each other, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in arrows.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            place = stack.index(node)
            group = stack[place:]
            del stack[place:]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return found


def floors(arrows: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """1 for what imports nothing of ours, else one above the highest that it imports; circles must not be."""
    found: dict[str, int] = {}

    def floor(node: str) -> int:
        if node not in found:
            found[node] = 0  # within a circle: do not go around for ever
            found[node] = 1 + max((floor(other) for other in arrows.get(node, ())), default=0)
        return found[node]

    for node in sorted(arrows):
        floor(node)
    return found


def main(root: Path) -> None:
    arrows = graph(root)
    between = rooms(arrows)
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in modules(root).values())
    print(f"modules {len(arrows)}, lines {lines:,}, circles of modules {len(circles(arrows))}")
    arrow_count = sum(map(len, between.values()))
    print(f"rooms {len(between)}, floors {max(floors(between).values())}, arrows {arrow_count}, "
          f"circles of rooms {len(circles(between))}")  # fmt: skip
    for group in [*circles(arrows), *circles(between)]:
        print("circle  " + ", ".join(group))
    heights = floors(between)
    for height in sorted(set(heights.values()), reverse=True):
        print(f"floor {height:2}  " + ", ".join(sorted(room for room in heights if heights[room] == height)))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
