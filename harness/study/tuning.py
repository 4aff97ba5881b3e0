"""Equal tuning: every row is tried at every value of one setting, before its seeds run at the value that suits it.

What decides are training clips that are held out of the trial, and a seed that no verdict uses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import StudyError
from harness.records import TrialRecord
from harness.stats.estimates import finite
from harness.study.reading import Source, overlap
from harness.study.sweep import Sweep, in_words
from harness.train.settings import Settings

SEED = 1_000_000
"""Of every trial that tunes, and of no other."""

HOLDOUT = 0.2
"""Part of the training clips that a trial that tunes is not trained on, but scored on."""

_SECTIONS = ("model", "train")
_FORM = "write {train.lr: [0.003, 0.01, 0.03]}: one setting of model or train, and two or more numbers"


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What is tried.

    key: the setting, with its dotted name.
    tried: the settings of each row at each value, by the value in words; of trials with the study's seeds.
    """

    key: str
    tried: dict[str, dict[str, Settings]]

    @property
    def values(self) -> list[str]:
        """In the file's order."""
        return list(next(iter(self.tried.values())))


def name_of(row: str, value: str) -> str:
    """What the trials that try a row at a value are called."""
    return f"{row}@{value}"


def choose(trials: Mapping[str, TrialRecord]) -> str:
    """The value with the highest top-1, by value; of equals the one with the lower loss, of those the first. ""
    where there is none."""
    done = {value: trial.last for value, trial in trials.items() if trial.status == "done"}
    scored = {value: last for value, last in done.items() if finite(last.get("top1"))}
    return max(scored, key=lambda value: (scored[value]["top1"], -_loss(scored[value])), default="")


def _loss(last: Mapping[str, float]) -> float:
    loss = last.get("loss")
    return loss if finite(loss) else math.inf


def record(tuning: Tuning, trials: Mapping[str, TrialRecord]) -> dict[str, Any]:
    """As `StudyRecord.tuning` keeps it.

    Args:
        trials: by the names of `name_of`.

    Raises:
        StudyError: all trials of a row failed.
    """
    tried, chosen = {}, {}
    for row, there in tuning.tried.items():
        of_row = {value: trials[name_of(row, value)] for value in there}
        tried[row] = {
            value: {"trial_id": one.trial_id, "status": one.status, "reason": one.reason}
            | {key: one.last[key] for key in ("top1", "loss") if key in one.last}
            for value, one in of_row.items()
        }
        if all(one.status == "failed" for one in of_row.values()):
            why = next(iter(of_row.values())).reason
            raise StudyError(f"tune: {row} failed at every {tuning.key}, so no value can be chosen: {why}")
        if all(one.status in ("done", "failed") for one in of_row.values()) and (best := choose(of_row)):
            chosen[row] = best
    return {
        "key": tuning.key,
        "values": tuning.values,
        "seed": SEED,
        "holdout": HOLDOUT,
        "tried": tried,
        "chosen": chosen,
    }


def read_tuning(
    raw: Any, seeds: tuple[int, ...], sweep: Sweep | None, source: Source
) -> tuple[str, dict[str, Any]]:
    """What stands under `tune:`: the setting, and its values by the value in words; "" and none where nothing does.

    Raises:
        StudyError: it cannot be used. Whether the setting exists is known when rows are made of it.
    """
    if raw is None or raw == {}:
        return "", {}
    place = source("tune")
    key, values = next(iter(raw.items())) if isinstance(raw, dict) and len(raw) == 1 else ("", None)
    if not isinstance(values, list) or len(values) < 2:
        raise StudyError(f"{place}: {raw!r} does not say what to try; {_FORM}")
    key = str(key)
    if key.split(".")[0] not in _SECTIONS or "." not in key:
        raise StudyError(f"{place}: {key}: is no setting of model or train; {_FORM}")
    by_value: dict[str, Any] = {}
    for value in values:
        words = in_words(value)
        if not words:
            raise StudyError(f"{place}: {key}: {value!r} is not a number")
        if words in by_value:
            raise StudyError(f"{place}: {key}: {words} is given twice")
        by_value[words] = value
    if sweep and any(overlap(key, swept) for swept in sweep.keys):
        raise StudyError(f"{place}: {key}: the sweep sets it too; leave it out of one of them")
    if SEED in seeds:
        raise StudyError(f"{source('seeds')}: {SEED} is the seed with which values are tried; use others")
    return key, by_value


def check_not_held_out(variants: Mapping[str, Settings], source: Source) -> None:
    """A value must not be chosen on the very clips that the seeds are scored on.

    Raises:
        StudyError: the study itself is scored on training clips that are held out.
    """
    if any(settings.data.holdout for settings in variants.values()):
        raise StudyError(
            f"{source('tune')}: tries values on clips that data.holdout reports on; leave one out"
        )
