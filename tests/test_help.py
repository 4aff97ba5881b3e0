"""`--help` answers at once: no command line imports what takes seconds before it knows what is asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

HELP = """
import runpy, sys
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_module(sys.argv[0], run_name="__main__")
except SystemExit as end:
    assert end.code == 0
print("imported:", {"torch", "ray", "mlflow", "scipy", "matplotlib"} & set(sys.modules))
"""


@pytest.mark.parametrize("room", ["cost", "data", "export", "predict", "report", "run", "stats", "ui"])
def test_help_imports_nothing_heavy(room: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP, f"harness.{room}"], capture_output=True, text=True, check=True
    )
    assert "usage:" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported: set()"
