"""python -m harness.run STUDY: plan a study, train what is not done yet, measure, track, compare.

Exit code: 0 all trials done, 1 some failed, 2 the request cannot be carried out, 130 or 143 stopped by a signal.
A dry run's is 0 also where something is missing: it lists what.
"""

from __future__ import annotations

import argparse
import io
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from harness.errors import UserError
from harness.files import default_data_dir
from harness.run.signals import interrupt, received, stop_code, stop_if_asked, terminate

if TYPE_CHECKING:
    from harness.run.plan import Plan
    from harness.tracking.recorder import Recorder
    from harness.tracking.store import Store


# torch, ray and mlflow are imported where they are needed: --help must answer at once.


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    received.clear()
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a log shows each line at once, whatever its encoding
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    try:
        return _run(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, SystemExit) as stop:
        code = stop_code(stop)
        print("stopped: no trial is under way; the same command starts again from here")
        return code


def _run(args: argparse.Namespace) -> int:
    from harness.run import dry
    from harness.run.plan import make_plan
    from harness.run.request import check_request

    studies = check_request(args)
    store = _store(args)
    codes = []
    for study in studies:
        plan = make_plan(study, args, store.done(study.name) if store else {})
        plan.show()
        if store is None or args.dry_run:
            dry.show(plan)
            codes.append(0)
        else:
            codes.append(_carry_out(plan, store, args))
        if codes[-1] > 128:  # stopped by a signal
            break
        if study is not studies[-1]:
            print()
    return max(codes)


def _carry_out(plan: Plan, store: Store, args: argparse.Namespace) -> int:
    """Run one study's pending trials and compare. Returns the exit code."""
    from harness.tracking.recorder import Recorder

    recorder = Recorder(store)
    with plan.claim():
        if plan.pending:
            plan.measure_costs()
        recorder.begin_study(plan.record())
        if plan.profiles is not None:
            recorder.attach_profiles(plan.study.name, plan.profiles)
        stopped = _train(plan, recorder, args) if plan.pending else 0
    return plan.show_results(store.load_study(plan.study.name), stopped)


def _store(args: argparse.Namespace) -> Store | None:
    from harness.tracking.connection import default_uri, sqlite_file
    from harness.tracking.store import Store

    uri = args.tracking_uri or default_uri()
    if args.dry_run and (file := sqlite_file(uri)) is not None and not file.exists():
        return None  # a dry run makes nothing, not even a store
    return Store.open(uri, create=not args.dry_run)


def _train(plan: Plan, recorder: Recorder, args: argparse.Namespace) -> int:
    """Run the pending trials. Returns 0, or the exit code of the signal that stopped them."""
    from harness.run import schedule
    from harness.run.watch import Watch

    watch = Watch(plan, recorder, stop_if_asked)
    try:
        with watch:
            if args.serial:
                schedule.run_serial(watch.jobs(), watch)
            elif watch.jobs():
                schedule.run_on_ray(watch.jobs(), watch, plan.scratch(), args.address)
    except (KeyboardInterrupt, SystemExit) as stop:
        return stop_code(stop)
    finally:
        recorder.stop_running()
    return 130 if watch.unfinished() else 0  # Ray's fit() returns normally after Ctrl-C


class _Parser(argparse.ArgumentParser):
    """Complains in one line; --help has the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see python -m harness.run --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m harness.run",
        description="Train and compare the variants of a study. Trials that are done are not run again; an "
        "interrupted study goes on where it stopped.",
    )
    add = parser.add_argument
    add("study", help="a study file, such as studies/kernel_sizes.yaml")
    add(
        "--dry-run",
        action="store_true",
        help="print the plan, its costs and what is missing here; train nothing",
    )
    add("--serial", action="store_true", help="one trial after the other in this process, without Ray")
    add("--seeds", type=_seeds, metavar="0,1,...", help="run only these seeds; new ones join the study's")
    add("--variants", type=_names, metavar="A,B,...", help="run only these variants")
    add("--parts", type=_names, metavar="A,B,...", help="run only these parts of a study that has parts")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting: train.epochs=2")
    add("--preset", default="", metavar="NAME", help="the study at another scale, as its file describes it")
    add("--profile", type=_renamed, nargs="?", const="", help=argparse.SUPPRESS)
    add(
        "--force",
        action="store_true",
        help="run again what is done; an old result goes when the new one is there",
    )
    add("--networks", choices=("first", "all", "none"), default="first", help="which trained networks MLflow keeps as "
        "models: those of the first seed (default), all, or none")  # fmt: skip
    add("--data-dir", type=Path, default=default_data_dir(), metavar="DIR", help="data sets, caches, checkpoints "
        "(default: %(default)s)")  # fmt: skip
    add("--tracking-uri", default="", metavar="URI", help="MLflow store (default: $MLFLOW_TRACKING_URI, or "
        "sqlite:///mlflow.db)")  # fmt: skip
    add(
        "--address",
        default="",
        help="an existing Ray cluster; needs --data-dir on storage that all nodes share",
    )
    return parser


def _renamed(name: str) -> NoReturn:
    raise argparse.ArgumentTypeError(
        f"a study at another scale is called a preset now: --preset {name or 'NAME'}"
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(name) for name in _names(text)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, as in 0,1,2") from None
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r}: give each seed once, none below 0, as in 0,1,2")
    return seeds


if __name__ == "__main__":
    sys.exit(main())
