"""`--help` of every command: at once, in sentences, with examples to copy, and long lists of options in groups."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from builders.place import ROOT

HELP = """
import runpy, sys
sys.argv = sys.argv[1:] + ["--help"]
try:
    runpy.run_module(sys.argv[0], run_name="__main__")
except SystemExit as end:
    assert end.code == 0
print("imported:", {"torch", "ray", "mlflow", "scipy", "matplotlib"} & set(sys.modules))
"""

LIGHT = [
    *("harness.cost", "harness.data", "harness.data check", "harness.data prepare", "harness.data sheet"),
    *("harness.export", "harness.gpu", "harness.predict", "harness.report", "harness.run", "harness.stats"),
    "harness.ui",
]
TORCH = ["harness.bench", "operators.check"]
"""Commands whose options name what only the zoo knows."""

MANY = 6
"""Options that one list may have."""


def told(command: str) -> tuple[str, str]:
    """What a command prints of itself, and what it had imported by then."""
    done = subprocess.run(
        [sys.executable, "-c", HELP, *command.split()], cwd=ROOT, capture_output=True, text=True, check=True
    )
    printed, _, imported = done.stdout.rpartition("imported: ")
    return printed, imported.strip()


@pytest.mark.parametrize("command", LIGHT + TORCH)
def test_help_is_a_sentence_examples_and_options_in_groups_and_comes_at_once(command: str) -> None:
    printed, imported = told(command)
    usage, description, *rest = printed.split("\n\n")
    assert usage.startswith(f"usage: python -m {command} ")
    assert re.fullmatch(r"[A-Z].*\.", description, re.DOTALL), description
    assert f"\n  python -m {command} " in printed.partition("examples:")[2]
    options = next(part for part in rest if part.startswith("options:"))
    assert len(re.findall(r"^  -", options, re.MULTILINE)) <= MANY
    assert command in TORCH or imported == "set()"


BEGINS = """
import os, runpy, sys

class Heavy:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "mlflow", "ray", "scipy", "matplotlib"):
            os._exit(7)

sys.meta_path.insert(0, Heavy())
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("harness.run smoke --dry-run", "smoke"),
        ("harness.run --list", "what studies are made of"),
        ("harness.cost smoke", "smoke"),
        ("harness.report", "the tracking store"),
        ("harness.predict smoke/tsn a.mp4", "smoke/tsn"),
        ("harness.export smoke/tsn --to torch a.pt2", "smoke/tsn"),
        ("harness.ui", "the tracking store"),
    ],
)
def test_a_command_says_on_a_terminal_that_it_begins_before_anything_heavy_is_imported(
    command: str, what: str, tmp_path: Path
) -> None:
    (tmp_path / "mlflow.db").touch()
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", BEGINS, *command.split()],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=theirs,
            check=False,
        )
        said = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 7
    assert f"start    {what}" in said
