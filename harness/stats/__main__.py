"""python -m harness.stats --calibrate: are the statistics calibrated? Simulated studies say."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Print the calibration table. Exit code 0, or 2 for a request that cannot be carried out."""
    from harness.stats.calibration import calibrate

    parser = argparse.ArgumentParser(prog="python -m harness.stats", description="Check the statistics.")
    parser.add_argument("--calibrate", action="store_true", required=True, help="simulate studies")
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="with few clips; only tests the code")
    args = parser.parse_args(argv)
    if args.studies < 1:
        parser.error(f"--studies {args.studies} is below 1")
    print(calibrate(args.studies, quick=args.quick))
    return 0


if __name__ == "__main__":
    sys.exit(main())
