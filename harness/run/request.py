"""What one call of `harness.run` asks for, read from the command line once. Light: --help must answer at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from harness.files import default_data_dir


@dataclass(frozen=True, kw_only=True)
class Request:
    """The words of a command line, each as its type; what they name is checked later.

    seeds, variants, parts: run these alone; all where empty.
    overrides: `key=value`, as given to --set.
    unchecked: train operators that were not held to the contract.
    networks: which trained networks the store keeps: "first" (of the first seed), "all" or "none".
    data_dir: absolute.
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
    networks: str
    data_dir: Path
    tracking_uri: str
    address: str


def read(argv: Sequence[str] | None = None) -> Request:
    """Read a command line, by default this process's own.

    Raises:
        SystemExit: it cannot be read (code 2, one line on stderr), or asks for help.
    """
    given = vars(_parser().parse_args(argv))
    overrides, data_dir = tuple(given.pop("set")), given.pop("data_dir").expanduser().absolute()
    return Request(**given, overrides=overrides, data_dir=data_dir)


class _Parser(argparse.ArgumentParser):
    """Complains in one line; --help has the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see python -m harness.run --help\n")


_DESCRIPTION = (
    "Train and compare the variants of a study. Trials that are done are not run again; an interrupted study goes on "
    "where it stopped."
)
_VARIANTS = "run only these variants; in a sweep ks3 is all of its rows, ks3@96 one of them"
_FORCE = "run again what is done; an old result goes when the new one is there"
_UNCHECKED = "train operators without trying first whether they keep the contract; the report says so"
_NETWORKS = "which trained networks MLflow keeps as models: those of the first seed (default), all, or none"
_TRACKING_URI = "MLflow store (default: $MLFLOW_TRACKING_URI, or sqlite:///mlflow.db)"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m harness.run", description=_DESCRIPTION)
    add, yes = parser.add_argument, "store_true"
    add("study", help="a study file, such as studies/kernel_sizes.yaml")
    add("--dry-run", action=yes, help="print the plan, its costs and what is missing here; train nothing")
    add("--serial", action=yes, help="one trial after the other, without Ray")
    add(
        "--seeds",
        type=_seeds,
        default=(),
        metavar="0,1,...",
        help="run only these seeds; new ones join the study's",
    )
    add("--variants", type=_names, default=(), metavar="A,B,...", help=_VARIANTS)
    add(
        "--parts",
        type=_names,
        default=(),
        metavar="A,B,...",
        help="run only these parts of a study that has parts",
    )
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting: train.epochs=2")
    add("--preset", default="", metavar="NAME", help="the study at another scale, as its file describes it")
    add("--profile", type=_renamed, nargs="?", const="", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    add("--force", action=yes, help=_FORCE)
    add("--unchecked", action=yes, help=_UNCHECKED)
    add("--networks", choices=("first", "all", "none"), default="first", help=_NETWORKS)
    data_dir = "data sets, caches, checkpoints (default: %(default)s)"
    add("--data-dir", type=Path, default=default_data_dir(), metavar="DIR", help=data_dir)
    add("--tracking-uri", default="", metavar="URI", help=_TRACKING_URI)
    add(
        "--address",
        default="",
        help="an existing Ray cluster; needs --data-dir on storage that all nodes share",
    )
    return parser


def _renamed(name: str) -> NoReturn:
    words = "a study at another scale is called a preset now"
    raise argparse.ArgumentTypeError(f"{words}: --preset {name or 'NAME'}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(name) for name in _names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, as in 0,1,2") from None
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r}: give each seed once, none below 0, as in 0,1,2")
    return seeds
