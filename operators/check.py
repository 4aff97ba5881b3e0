"""python -m operators.check: every promise of the contract, tried on one operator.

Exit code: 0 every promise is kept, 1 one is broken, 2 the operator was not found or refuses its settings.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from operators.base import find_operator, make_operator
from operators.contract import Outcome, outcomes
from operators.promises import in_a_line


def main(argv: Sequence[str] | None = None) -> int:
    """Read a command line, by default this process's own; print every promise.

    Returns:
        The exit code.
    """
    args = _parser().parse_args(argv)
    sys.path.insert(0, "")  # an operator in the working directory is found, however this was started
    settings = dict(args.set)
    try:
        make_operator(args.operator, args.channels, args.frames, **settings)
        operator = find_operator(args.operator)
    except (Exception, SystemExit) as error:  # also whatever a user's own file does when imported
        words = in_a_line(error)
        ours = type(error) is ValueError and words.startswith("ValueError: ")
        words = words.removeprefix("ValueError: ") if ours else f"{args.operator}: {words}"
        print(f"error: {words}", file=sys.stderr)
        return 2
    kept_ones: list[bool] = []
    said: set[str] = set()
    untried = 0
    try:
        for outcome in outcomes(operator, channels=args.channels, frames=args.frames, **settings):
            again = outcome.found in said - {""}
            lines = [f"✗ {outcome.promise}", "    found: the same"] if again else _lines(outcome)
            print("\n".join(lines), flush=True)  # the next one may end this process, or hang
            said.add(outcome.found)
            kept_ones.append(outcome.kept)
            untried += outcome.kept and outcome.tried.startswith("nothing")
    except (Exception, SystemExit) as error:  # of its `reach`, which is asked before all promises
        print(f"error: {args.operator}: {in_a_line(error)}", file=sys.stderr)
        return 2
    broken = kept_ones.count(False)
    kept = f"{len(kept_ones) - broken} of {len(kept_ones)} promises kept"
    without = f"; of {untried} nothing was tried" if untried else ""
    print(f"{operator.__name__}: {kept}, with {args.channels} channels and {args.frames} frames{without}")
    return 1 if broken else 0


def _lines(outcome: Outcome) -> list[str]:
    if outcome.kept:
        return [f"✓ {outcome.promise}", f"    tried: {outcome.tried}"]
    return [f"✗ {outcome.promise}", f"    found: {outcome.found}", f"    do:    {outcome.remedy}"]


class _Parser(argparse.ArgumentParser):
    """Complains in one line; --help has the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see python -m operators.check --help\n")


def _version() -> str:
    try:
        return version("mixtbench")
    except PackageNotFoundError:
        return "of a checkout that is not installed"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m operators.check",
        description="Try every promise of the contract on an operator, and print what was tried, or what was found and "
        "what to do about it.",
        epilog="examples:\n"
        "  python -m operators.check depthwise --set kernel_size=5\n"
        "  python -m operators.check my_op.MyOperator --channels 32",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mixtbench {_version()}")
    parser.add_argument("operator", help="a name of the zoo, or a dotted path such as my_op.MyOperator")
    parser.add_argument("--channels", type=_count, default=64, help="C (default: %(default)s)")
    parser.add_argument("--frames", type=_count, default=8, help="T (default: %(default)s)")
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the operator: kernel_sizes=[1,3]",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    named = {"true": True, "false": False, "null": None}
    try:
        return key, named[value] if value in named else ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value  # a word


if __name__ == "__main__":
    sys.exit(main())
