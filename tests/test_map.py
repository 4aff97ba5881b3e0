"""`docs/code.md` is the map of the house: it is whole, and what it names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from house import ROOT, graph, modules

MAP = (ROOT / "docs" / "code.md").read_text(encoding="utf-8")


def tree() -> Iterator[tuple[str, str]]:
    """(path, words) of each line of the tree; a folder's own line is its `__init__.py`."""
    folder = ""
    for block in re.findall(r"^```text\n(.*?)^```", MAP, re.MULTILINE | re.DOTALL):
        for line in filter(str.strip, block.splitlines()):
            name, _, words = line.strip().partition(" ")
            if not line.startswith(" "):
                folder, name = name, "__init__.py"
            yield folder + name, words.strip()


def walks() -> dict[str, list[str]]:
    """The files of each way through the house, in its order."""
    part = MAP.partition("\n## Four ways through the house")[2].partition("\n## ")[0]
    return {
        title: [f"harness/{file}" for file in re.findall(r"`([\w/]+\.py)`", text)]
        for title, text in re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", part, re.MULTILINE | re.DOTALL)
    }


def test_every_file_stands_in_the_map_once_with_what_it_does() -> None:
    there = [path.relative_to(ROOT).as_posix() for path in modules().values()]
    assert sorted(path for path, _ in tree()) == sorted(there)
    assert [path for path, words in tree() if not words] == []


def test_every_path_that_the_map_names_is_there() -> None:
    named = re.findall(r"`((?:[\w.]+/)+[\w.]*|[\w./]+\.(?:py|md|yaml))`", MAP)
    assert len(named) > 60
    assert [path for path in named if not any((ROOT / top / path).exists() for top in ("", "harness"))] == []


def test_there_are_four_ways() -> None:
    assert len(walks()) == 4
    assert min(map(len, walks().values())) >= 7


@pytest.mark.parametrize("way", walks())
def test_each_file_of_a_way_knows_one_before_it_or_is_known_by_one(way: str) -> None:
    """Else the list names a file that the work does not go through."""
    names = {path.relative_to(ROOT).as_posix(): name for name, path in modules().items()}
    arrows = graph()
    for name, others in arrows.items():  # who asks for figures asks the files that draw them
        if "harness.plots" in others:
            arrows[name] = others | arrows["harness.plots"]
    walk = [names[path] for path in walks()[way]]
    for place, name in enumerate(walk[1:], start=1):
        before = set(walk[:place])
        assert arrows[name] & before or any(name in arrows[other] for other in before), name


def test_lines_of_the_map_fit_a_terminal() -> None:
    assert [line for line in MAP.splitlines() if len(line) >= 100] == []


def test_the_readme_and_the_guide_for_contributors_lead_to_the_map() -> None:
    assert "docs/code.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docs/code.md" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
