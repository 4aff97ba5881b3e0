"""What the command lines share: help with examples, complaints in one line, --version, how they end. Light: it is
read first."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import select
import sys
import textwrap
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from harness.errors import DataError, UserError

# A command that has loaded torch would look for seconds through all that it is about to let go.
atexit.register(gc.freeze)

STORE: dict[str, Any] = {
    "default": "",
    "metavar": "URI",
    "help": "MLflow store (default: $MLFLOW_TRACKING_URI, or sqlite:///mlflow.db)",
}
"""How every command is told of the tracking store."""

NETWORK: dict[str, Any] = {
    "metavar": "RUN_OR_MODEL",
    "help": "a run's id, a model's address (models:/m-...), STUDY/VARIANT, STUDY/VARIANT/SEED, or a model's folder",
}
"""How a command is told of a trained network."""


def names(text: str) -> tuple[str, ...]:
    """`a,b, c` as ("a", "b", "c")."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def installed_version() -> str:
    """Of this package, in words."""
    try:
        return version("mixtbench")
    except PackageNotFoundError:
        return "of a checkout that is not installed"


def carried_out(
    work: Callable[[], int],
    stopped: str,
    *,
    answer: str = "stopping",
    full: str = "the same command begins again",
) -> int:
    """The exit code of a command: what `work` returns; 2 where whoever asked can mend something, said in a line; 130
    after Ctrl-C, 143 after SIGTERM, 141 where the program that reads its lines has ended. Anything else is raised.

    Args:
        stopped: what is said after a signal of what there is now.
        answer: what is said at once when one comes.
        full: what is said of a disk that fails, or is full, behind the path.
    """
    from harness.console import complain, say  # rich: --help does without it
    from harness.files import disk_error
    from harness.signals import obeyed, stop_code

    try:
        with obeyed(answer):
            code = work()
            sys.stdout.flush()  # what is still to be written may be what nobody reads
            return code
    except BaseException as error:  # the answer, which a thread gives, is out by now
        code = stop_code(error)
        if (code or isinstance(error, BrokenPipeError)) and _nobody_reads():  # Ctrl-C ends `| tee log` too
            return code or 141  # as a shell has it of SIGPIPE
        if code:
            say("stopped", stopped, must=True)
            return code
        disk = disk_error(error)
        if not isinstance(error, UserError) and not disk:
            raise
        complain(DataError(f"{disk}; {full}") if disk else error)
        return 2


def _nobody_reads() -> bool:
    """Whether what is printed goes to a program that has ended, as in `... | head`. Then nothing more is printed."""
    try:
        number, asked = sys.stdout.fileno(), select.poll()
    except (OSError, AttributeError):  # it is no file; Windows
        return False
    asked.register(number, 0)
    if not any(event & select.POLLERR for _, event in asked.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return True


class Parser(argparse.ArgumentParser):
    """Of one command."""

    def __init__(
        self, prog: str | None = None, description: str = "", examples: Sequence[str] = (), **others: Any
    ) -> None:
        """examples: lines to copy, each with what it does after a `#`."""
        lines = ["examples:", *(f"  {line}" for line in examples)] if examples else []
        super().__init__(
            prog=prog,
            description=description or None,
            epilog="\n".join(lines) or None,
            formatter_class=_Formatter,
            **others,
        )
        self.add_argument(
            "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="print the version"
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> None:
        print(f"mixtbench {installed_version()}")
        parser.exit()


class _Formatter(argparse.HelpFormatter):
    """Wraps prose, and leaves examples as they stand."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return text
        return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)
