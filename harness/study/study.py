"""A checked study and its trials, each with an id that names its result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cost.config import CostConfig
from harness.model import packages, weights
from harness.outside import own_source
from harness.records import flatten, with_name
from harness.study import tuning
from harness.study.resources import Resources
from harness.study.sweep import Sweep
from harness.study.tuning import Tuning
from harness.train.settings import Settings, plain

RESULTS_VERSION = 2
"""Part of every trial's id: raised when a change of the code changes results, so that old ones are not reused."""

COMPILED_VERSION = 1
"""Part of the ids of trials with `train.compile` alone: raised when a change of the code changes the results of these
and of no others. 1: operators take their own path there. Before, they took the form that is for exported files."""

_NOT_DECISIVE = {("train", key) for key in ("workers", "probes", "time_limit", "stall_limit", "retries")}
"""Settings, by section, that cannot change a result."""

ADDED_SINCE: dict[str, Any] = {
    "train.validate_every": 1,
    "train.label_smoothing": 0.0,
    "data.holdout": 0.0,
    "model.where": [],
    "model.weights_3d": "",
    "model.consensus": "average",
    "model.width": 1.0,
    "model.flow": 0,
}
"""Settings that came when there were results already, with the value that does what was done before. At that value a
setting is no part of a trial's id, and results of earlier versions still count."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Variant x seed, with the id that names its result."""

    trial_id: str
    variant: str
    seed: int
    settings: Settings


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What its report shows beyond the numbers.

    clips: frames of example clips, and of clips that the best variant loses. Off by default: a page travels further
        than a data set's licence may let its frames.
    """

    clips: bool = False


@dataclass(frozen=True, kw_only=True)
class Study:
    """A checked study.

    Attributes:
        path: the file, absolute; operators beside it can be imported.
        preset, part: which of the file's it is; "" for none.
        profile: write traces of a training step of every variant, beside its cost.
        variants: resolved settings by variant name, in the file's order. In a sweep each of the file's variants is
            there at each value, as `ks3@96`, and the baseline is its row at the first value.
        costed: networks that are never trained: what they cost at their own frames and size stands in the report.
        margin: a difference of so many points does not matter; 0 where none is named.
        hypotheses, pairs: as they stand in the file; checked.
        tune: what each row is tried at first. While it stands here, the values of the variants are not chosen yet.
    """

    path: Path
    preset: str
    part: str
    question: str
    source: str
    reference: str
    baseline: str
    seeds: tuple[int, ...]
    margin: float
    hypotheses: tuple[str, ...]
    pairs: tuple[str, ...]
    resources: Resources
    cost: CostConfig
    profile: bool
    report: ReportConfig
    sweep: Sweep | None
    tune: Tuning | None
    variants: dict[str, Settings]
    costed: dict[str, Settings] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's stem, and the names of the preset and of the part where there are such."""
        return "-".join(word for word in (self.path.stem, self.preset, self.part) if word)

    @property
    def names(self) -> list[str]:
        """Whatever --variants may name: rows, and in a sweep the file's variants too, each for all of its rows."""
        return [*self.variants, *(self.sweep.rows if self.sweep else ())]

    def rows(self, names: Collection[str]) -> set[str]:
        """The rows that are named so."""
        swept = self.sweep.rows if self.sweep else {}
        of_variants = {row for name in names for row in swept.get(name, {}).values()}
        return of_variants | {row for row in self.variants if row in names}

    def trying(self) -> Study:
        """The trials that tune, as a study: a row for each row and value."""
        assert self.tune is not None
        rows = {
            tuning.name_of(row, value): dataclasses.replace(
                settings,
                data=dataclasses.replace(settings.data, holdout=tuning.HOLDOUT),
                train=dataclasses.replace(settings.train, probes=False),
            )
            for row, there in self.tune.tried.items()
            for value, settings in there.items()
        }
        return dataclasses.replace(
            self,
            variants=rows,
            baseline=next(iter(rows)),
            seeds=(tuning.SEED,),
            cost=dataclasses.replace(self.cost, latency=False, step=False),
            profile=False,
            hypotheses=(),
            pairs=(),
            sweep=None,
            tune=None,
        )

    def tuned(self, chosen: Mapping[str, str]) -> Study:
        """With the value that was chosen for each row."""
        assert self.tune is not None
        rows = {row: self.tune.tried[row][value] for row, value in chosen.items()}
        return dataclasses.replace(self, variants=rows, tune=None)

    def trials(self, fingerprints: Mapping[str, str], seeds: Sequence[int] | None = None) -> list[Trial]:
        """Every variant with the first seed, then with the second, so that an early stop leaves whole rows.

        Ids are "" where values are not chosen yet.

        Args:
            fingerprints: of each variant's data set.
        """
        ranks = self.resources.resolved().ranks
        return [
            Trial(
                trial_id="" if self.tune else trial_id(settings, seed, fingerprints[name], ranks),
                variant=name,
                seed=seed,
                settings=settings,
            )
            for seed in (self.seeds if seeds is None else seeds)
            for name, settings in self.variants.items()
        ]

    def differs(self) -> dict[str, dict[str, Any]]:
        """For every variant, only the settings in which variants differ, under dotted names."""
        flat = {name: flatten(plain(settings)) for name, settings in self.variants.items()}
        every = sorted({key for one in flat.values() for key in one})
        varying = [key for key in every if len({json.dumps(one.get(key)) for one in flat.values()}) > 1]
        return {name: {key: one[key] for key in varying if key in one} for name, one in flat.items()}


def deciding(settings: Settings) -> dict[str, Any]:
    """The settings that can change a result, as plain values."""
    found = plain(settings)
    for section, key in _NOT_DECISIVE:
        found[section].pop(key, None)
    return found


def trial_id(settings: Settings, seed: int, fingerprint: str, ranks: int = 1) -> str:
    """A hash of all that decides a trial's result: the settings (see `ADDED_SINCE`), the seed, the data, the code's
    results version, the content of the weights that it starts from, the number of processes among which a batch is
    shared out (each takes batch norm over its own part), the source of an operator and of a backbone of the user's own,
    the version of the package that a backbone is from, and of a compiled trial `COMPILED_VERSION`."""
    decisive = deciding(settings)
    for name, as_before in ADDED_SINCE.items():
        section, key = name.split(".")
        if decisive[section].get(key) == as_before:
            del decisive[section][key]
    dataset = with_name(settings.data.dataset)
    dataset.pop("root", None)  # where the data lies decides nothing: its fingerprint does
    decisive["data"]["dataset"] = dataset["name"] if list(dataset) == ["name"] else dataset
    decisive["model"]["weights"] = weights.fingerprint(settings.model.weights, settings.model.backbone)
    if "weights_3d" in decisive["model"]:
        decisive["model"]["weights_3d"] = weights.fingerprint(settings.model.weights_3d, "resnet18")
    parts: dict[str, Any] = {
        "settings": decisive,
        "seed": seed,
        "data": fingerprint,
        "ranks": ranks,
        "results_version": RESULTS_VERSION,
        "operator": own_source(*settings.model.own_code),
    }
    if package := packages.version(settings.model.backbone):
        parts["package"] = package
    if settings.train.compile:
        parts["compiled"] = COMPILED_VERSION
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
