"""An earlier state of the eager path beside today's, in one process: before and after, by turns."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from harness.errors import DataError
from operators.stencil import op

NAME = "eager_before"
FILE = "operators/stencil/eager.py"
CHECKOUT = Path(__file__).parent.parent.parent


@contextmanager
def earlier(commit: str) -> Iterator[list[str]]:
    """The eager path as it was at a commit is one more path of the stencil meanwhile; no commit, no path.

    Returns:
        Its name, in a list.

    Raises:
        DataError: git has no such file of such a commit here.
    """
    if not commit:
        yield []
        return
    name, known = f"operators.stencil.{NAME}", op.PATHS
    module = ModuleType(name)
    exec(compile(_source(commit), f"{commit}:{FILE}", "exec"), module.__dict__)
    sys.modules[name], op.PATHS = module, (*known, NAME)
    try:
        yield [NAME]
    finally:
        op.PATHS = known
        del sys.modules[name]


def _source(commit: str) -> str:
    if commit.startswith("-"):  # git would take it for an option
        raise DataError(f"--before: {commit!r} is no commit")
    try:
        done = subprocess.run(
            ["git", "show", f"{commit}:{FILE}"], cwd=CHECKOUT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise DataError(
            f"--before {commit}: git finds no {FILE} of that commit here; name one of this checkout's history"
        ) from None
    return done.stdout
