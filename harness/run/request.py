"""What one call of `harness.run` asks for, read from the command line once. Light: --help must answer at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from harness.files import default_data_dir
from harness.options import STORE, Parser, names


@dataclass(frozen=True, kw_only=True)
class Request:
    """The words of a command line, each as its type; what they name is checked later.

    seeds, variants, parts: run these alone; all where empty.
    overrides: `key=value`, as given to --set.
    unchecked: train operators that were not held to the contract.
    networks: which trained networks the store keeps: "first" (of the first seed), "all" or "none".
    data_dir: absolute.
    list: print what there is instead. quiet: print only what must be said.
    wait_for_store: minutes for which the tracking store may be away while trials go on.
    tracking_uri, address: "" for the usual store, and for this machine without a cluster.
    """

    study: str
    preset: str
    parts: tuple[str, ...]
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    overrides: tuple[str, ...]
    dry_run: bool
    serial: bool
    force: bool
    unchecked: bool
    remeasure: bool
    networks: str
    data_dir: Path
    tracking_uri: str
    address: str
    wait_for_store: float
    list: bool = False
    quiet: bool = False


def read(argv: Sequence[str] | None = None) -> Request:
    """Read a command line, by default this process's own.

    Raises:
        SystemExit: it cannot be read (code 2, one line on stderr), or asks for help.
    """
    parser = _parser()
    given = vars(parser.parse_args(argv))
    if not given["study"] and not given["list"]:
        parser.error("which study? name its file, as in studies/kernel_sizes.yaml")
    overrides, data_dir = tuple(given.pop("set")), given.pop("data_dir").expanduser().absolute()
    return Request(**given, overrides=overrides, data_dir=data_dir)


_DESCRIPTION = (
    "Train and compare the variants of a study. Trials that are done are not run again; an interrupted study goes on "
    "where it stopped."
)


_EXAMPLES = (
    "python -m harness.run smoke            # does it all work here? a few minutes",
    "python -m harness.run my.yaml --dry-run      # what it would do, cost and need",
    "python -m harness.run my.yaml --variants tsn,ks3 --seeds 0      # a part of it",
    "python -m harness.run my.yaml --set train.epochs=2    # a setting changed once",
    "python -m harness.run --list         # operators, data sets and what else is there",
)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m harness.run", description=_DESCRIPTION, examples=_EXAMPLES)
    yes = "store_true"
    add = parser.add_argument
    add("study", nargs="?", default="", help="a study file, or the name of one that comes with the project")
    add("--list", action=yes, help="print what studies can be made of, and the studies that are there")

    add = parser.add_argument_group("which trials").add_argument
    variants = "run only these variants; in a sweep ks3 is all of its rows, ks3@96 one of them"
    add("--variants", type=names, default=(), metavar="A,B,...", help=variants)
    seeds = "run only these seeds; new ones join the study's"
    add("--seeds", type=_seeds, default=(), metavar="0,1,...", help=seeds)
    parts = "run only these parts of a study that has parts"
    add("--parts", type=names, default=(), metavar="A,B,...", help=parts)
    add("--preset", default="", metavar="NAME", help="the study at another scale, as its file describes it")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting: train.epochs=2")
    add("--force", action=yes, help="run again what is done; an old result goes when the new one is there")
    add("--profile", type=_renamed, nargs="?", const="", default=argparse.SUPPRESS, help=argparse.SUPPRESS)

    add = parser.add_argument_group("how they are run").add_argument
    add("--dry-run", action=yes, help="print the plan, its costs and what is missing here; train nothing")
    add("--serial", action=yes, help="one trial after the other, without Ray")
    add("--address", default="", help="an existing Ray cluster; needs --data-dir where all nodes can read it")
    remeasure = "measure latencies again; without it those that are known are kept, unless they are doubtful"
    add("--remeasure", action=yes, help=remeasure)
    unchecked = "train operators without trying first whether they keep the contract; the report says so"
    add("--unchecked", action=yes, help=unchecked)
    add("-q", "--quiet", action=yes, help="print warnings, failures and the final table only")

    add = parser.add_argument_group("where things lie").add_argument
    data_dir = "data sets, caches, checkpoints (default: %(default)s)"
    add("--data-dir", type=Path, default=default_data_dir(), metavar="DIR", help=data_dir)
    add("--tracking-uri", **STORE)
    networks = "which trained networks MLflow keeps: those of the first seed (default), all, or none"
    add("--networks", choices=("first", "all", "none"), default="first", help=networks)
    waits = "how long the store may be away while trials go on; results wait on the disk (default: 10)"
    add("--wait-for-store", type=_minutes, default=10.0, metavar="MIN", help=waits)
    return parser


def _renamed(name: str) -> NoReturn:
    words = "a study at another scale is called a preset now"
    raise argparse.ArgumentTypeError(f"{words}: --preset {name or 'NAME'}")


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes, 0 or more")
    return minutes


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(name) for name in names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, as in 0,1,2") from None
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r}: give each seed once, none below 0, as in 0,1,2")
    return seeds
