"""The reports of a tracking store.

python -m harness.report --out reports/
python -m harness.report --compare kernel_sizes other/reports/kernel_sizes
python -m harness.report --predictions mine.csv theirs.csv

Exit code: 0 all written, 2 something could not be, 130 or 143 stopped by a signal.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.console import begins, complain, say, start
from harness.errors import StudyError, UserError
from harness.files import default_data_dir
from harness.options import STORE, Parser, carried_out
from harness.records import StudyRecord
from harness.report.write import NUMBERS, write_comparison, write_index, write_study

if TYPE_CHECKING:
    from harness.tracking.store import Store


def main(argv: Sequence[str] | None = None) -> int:
    args = _parse(argv)
    return carried_out(lambda: _run(args), "each report is the old one or the new one, whole")


def _run(args: argparse.Namespace) -> int:
    if args.predictions:
        return _report_predictions(args)
    start("the tracking store", "MLflow")
    if args.compare:
        first, second = (_record(name, args.tracking_uri) for name in args.compare)
        begins("compare", " with ".join(args.compare))
        folder = write_comparison(first, second, args.out)
        say("compared", str(folder / "index.html"))
        return 0
    return 0 if _write_all(_open(args.tracking_uri), args) else 2


def _write_all(store: Store, args: argparse.Namespace) -> bool:
    """Report every study that was asked for; one that cannot be does not keep the others from it."""
    names = [args.study] if args.study else store.studies()
    if not names:
        deleted = store.deleted()
        gone = f" but {', '.join(deleted)}, deleted in MLflow; restore it there, or" if deleted else ";"
        raise StudyError(
            f"the tracking store holds no study{gone} run one first: python -m harness.run studies/..."
        )
    from harness.report.variant_runs import variant_runs
    from harness.tracking.recorder import Recorder

    recorder, said = Recorder(store), set[str]()
    for name in names:
        begins("study", f"{name}: making its figures and pages")
        try:
            record = store.load_study(name)
            folder = write_study(record, args.out, args.data_dir)
            recorder.attach_report(name, folder)
            recorder.keep_variants(name, variant_runs(record))
            say("report", str(folder / "index.html"))
        except UserError as error:
            if str(error) not in said:  # that reports cannot be written here is the same of each
                complain(error)
            said.add(str(error))
    if any(args.out.glob(f"*/{NUMBERS}")):
        say("index", str(write_index(args.out)))
    return not said


def _report_predictions(args: argparse.Namespace) -> int:
    from harness.report.predictions import record_of

    record = record_of(args.predictions, name=args.name, baseline=args.baseline, margin=args.margin)
    folder = write_study(record, args.out)
    say("report", str(folder / "index.html"))
    say("index", str(write_index(args.out)))
    return 0


def _open(uri: str) -> Store:
    from harness.tracking.store import Store

    return Store.open(uri, create=False)


def _record(name: str, uri: str) -> StudyRecord:
    from harness.results import find_record

    return find_record(name, uri)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m harness.report",
        description="Write the report of every study in the tracking store, and an index of them; or compare two "
        "studies; or report predictions that any training code has written.",
        examples=[
            "python -m harness.report --out reports/         # every study of the store, and an index",
            "python -m harness.report --study smoke          # one of them",
            "python -m harness.report --compare here there   # two studies or reports side by side",
            "python -m harness.report --predictions a.csv b.csv      # of any training code",
        ],
    )
    add = parser.add_argument_group("which reports").add_argument
    add("--study", default="", metavar="NAME", help="only this study")
    add(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="two studies side by side instead: names in the store, "
        "or reports' folders (of another store, device or commit)",
    )
    given = parser.add_argument_group("predictions of any training code, instead of the store")
    columns = "clip, label, predicted, seed and, where clips are not independent, cluster"
    given.add_argument(
        "--predictions",
        nargs="+",
        type=Path,
        default=[],
        metavar="CSV",
        help=f"a variant each, with the columns {columns}",
    )
    given.add_argument("--baseline", default="", metavar="NAME", help="a variant (default: the first file's)")
    given.add_argument(
        "--margin", type=_points, default=0.0, metavar="POINTS", help="points that do not matter"
    )
    given.add_argument(
        "--name", type=_name, default="predictions", help="of the report (default: %(default)s)"
    )
    add = parser.add_argument_group("where things lie").add_argument
    add("--out", type=Path, default=Path("reports"), metavar="DIR", help="for reports (default: %(default)s)")
    add("--tracking-uri", **STORE)
    data_dir = "the run's, for reports that show clips (default: %(default)s)"
    add("--data-dir", type=Path, default=default_data_dir(), metavar="DIR", help=data_dir)
    return parser.parse_args(argv)


def _points(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0 <= points < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of points from 0 up")
    return points


def _name(text: str) -> str:
    if not re.fullmatch(r"[\w.-]+", text) or text.startswith("."):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a folder: use letters, digits, _ . -")
    return text


if __name__ == "__main__":
    sys.exit(main())
