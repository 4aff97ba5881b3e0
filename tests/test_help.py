"""`--help` of every command: at once, in sentences, with examples to copy, and long lists of options in groups."""

from __future__ import annotations

import re
import subprocess
import sys

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
