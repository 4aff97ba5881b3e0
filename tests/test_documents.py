"""The documents: reference pages are what the code says, and every page stands in the site's navigation."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from builders.place import ROOT

from harness.study.load import load_study

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_code_says(generate: ModuleType) -> None:
    for name, text in generate.pages().items():
        assert (DOCS / "reference" / name).read_text(encoding="utf-8") == text, "run python docs/generate.py"


def test_every_page_stands_in_the_navigation_once() -> None:
    (nav,) = re.findall(
        r"^nav:\n((?: .*\n)+)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE
    )
    named = re.findall(r": (\S+\.md)$", nav, re.MULTILINE)
    ours = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert sorted(name for name in named if not (ROOT / name).exists() and name != "index.md") == sorted(ours)


def test_the_row_that_is_explained_is_one_of_a_committed_report() -> None:
    (row,) = re.findall(
        r"^\| `ks1357` \|.*$", (DOCS / "verdicts.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    report = ROOT / "reports" / "reference" / "lips" / "README.md"
    assert row in report.read_text(encoding="utf-8").splitlines()


def test_every_study_of_a_page_can_be_read(tmp_path: Path) -> None:
    """Where it needs no more than this project; tests of their own have the others."""
    read = set()
    for page in DOCS.glob("*.md"):
        blocks = r"^```yaml\n((?:# [^\n]*\n)?question: .*?)^```"
        for block in re.findall(blocks, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            if "my_op." not in block and "timm/" not in block:
                (tmp_path / f"{page.stem}.yaml").write_text(block)
                read.add(load_study(tmp_path / f"{page.stem}.yaml").name)
    assert {"streaming", "studies"} <= read


def test_every_word_in_front_of_a_line_of_a_run_is_explained() -> None:
    files = [*(ROOT / "harness" / "run").glob("*.py"), ROOT / "harness" / "console.py"]
    said = {
        word for file in files for word in re.findall(r'\bsay\("([a-z]+)"', file.read_text(encoding="utf-8"))
    }
    table = (DOCS / "terminal.md").read_text(encoding="utf-8").partition("## The words in front")[2]
    explained = set(re.findall(r"`([a-z]+)`", " ".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE))))
    assert said - explained == set()
    assert {"plan", "detects", "stopped"} <= said


def test_every_line_of_a_page_fits_a_terminal() -> None:
    """Outside tables, code and what a command prints; a line that one link or picture fills may be longer."""
    long = []
    for path in [ROOT / "README.md", *DOCS.glob("*.md")]:
        made = r"^```.*?^```|^<!-- (?:table|written by).*?^<!-- end"
        prose = re.sub(made, "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        lines = (line for line in prose.splitlines() if not re.match(r"\||!\[| {4}|<!--", line))
        long += [f"{path.name}: {line}" for line in lines if len(re.sub(r"\]\([^)]*\)", "]", line)) >= 100]
    assert long == []
