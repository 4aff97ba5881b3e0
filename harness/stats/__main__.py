"""python -m harness.stats --calibrate: are the statistics calibrated? Simulated studies say."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness.console import bar
from harness.options import Parser, carried_out


def main(argv: Sequence[str] | None = None) -> int:
    """Print the calibration table. Exit code: 0 printed, 2 the request cannot be carried out, 130 stopped."""
    parser = Parser(
        prog="python -m harness.stats",
        description="Simulate studies whose truth is known, judge them as reports do, and count how often a verdict "
        "is wrong and an interval misses: the table of docs/statistics.md.",
        examples=["python -m harness.stats --calibrate", "python -m harness.stats --calibrate --studies 100"],
    )
    add = parser.add_argument
    add("--calibrate", action="store_true", required=True, help="simulate, and print the table")
    studies = "simulated for each row of the table; more take longer and tell more (default: %(default)s)"
    add("--studies", type=int, default=1000, metavar="N", help=studies)
    add("--quick", action="store_true", help="with few clips: seconds, and no result; only tests the code")
    args = parser.parse_args(argv)
    if args.studies < 1:
        parser.error(f"--studies {args.studies} is below 1")

    def work() -> int:
        from harness.stats.calibration import calibrate

        with bar("simulate", "kinds of study") as advance:
            tables = calibrate(args.studies, quick=args.quick, progress=advance)
        print(tables)
        return 0

    return carried_out(work, "no table: it needs all its rows")


if __name__ == "__main__":
    sys.exit(main())
