"""What the command lines share: help with examples, complaints in one line, --version. Light: it is read first."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn


def names(text: str) -> tuple[str, ...]:
    """`a,b, c` as ("a", "b", "c")."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def installed_version() -> str:
    """Of this package, in words."""
    try:
        return version("mixtbench")
    except PackageNotFoundError:
        return "of a checkout that is not installed"


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
