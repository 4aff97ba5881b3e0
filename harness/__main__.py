"""python -m harness, and `mixtbench` where the package is installed: every command, and the way to each.

`mixtbench run smoke` is `python -m harness.run smoke`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from harness.errors import nearest
from harness.options import installed_version

COMMANDS = {  # name: (module, what it does)
    "run": ("harness.run.__main__", "train and compare the variants of a study"),
    "report": ("harness.report.__main__", "write the reports of all studies"),
    "data": ("harness.data.__main__", "see whether a data set is whole; make it ready; show clips"),
    "cost": ("harness.cost.__main__", "measure what the variants of a study cost"),
    "bench": ("harness.bench.__main__", "time every operator against a plain copy"),
    "predict": ("harness.predict.__main__", "name the classes of videos by a trained network"),
    "export": ("harness.export.__main__", "write a trained network as a file for other programs"),
    "ui": ("harness.ui", "browse what was run, in MLflow or TensorBoard"),
    "stats": ("harness.stats.__main__", "simulate studies: do the verdicts keep their promise?"),
    "check": ("operators.check", "try every promise of an operator"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Hand the words after a command's name to it. Exit code: the command's; 2 where there is none of that name."""
    name, *rest = [*(sys.argv[1:] if argv is None else argv)] or ["--help"]
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name == "--version":
        print(f"mixtbench {installed_version()}")
        return 0
    if name not in COMMANDS:
        print(f"error: no command {name!r}{nearest(name, COMMANDS)}", file=sys.stderr)
        return 2
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does: a user's own operators lie there
    code: int = importlib.import_module(COMMANDS[name][0]).main(rest)
    return code


def _help() -> str:
    lines = [f"  {name:<8} {words}" for name, (_, words) in COMMANDS.items()]
    ways = [
        "usage: mixtbench COMMAND ...   (or python -m harness COMMAND ...)",
        "",
        *lines,
        "",
        "Begin with: mixtbench run smoke. `mixtbench COMMAND --help` explains a command.",
    ]
    return "\n".join(ways)


if __name__ == "__main__":
    sys.exit(main())
