"""What is chosen for each row before its seeds run: the trials that try it, and what the store says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from harness.data.config import DataConfig
from harness.data.dataset import DataSet
from harness.records import CostRecord
from harness.run.plan import Plan, by_variant
from harness.run.recorder import planned
from harness.run.request import Request
from harness.study import tuning
from harness.study.study import Study
from harness.tracking.store import Store


def plan(
    study: Study, request: Request, get: Callable[[DataConfig], DataSet | None], done: Mapping[str, str]
) -> Plan:
    """The trials that tune: of all rows, whichever the request chooses; it chooses among what follows.

    Args:
        get: the data set of these settings.
    """
    trying = study.trying()
    asked = dataclasses.replace(request, variants=(), seeds=(), networks="none")
    return Plan(trying, asked, by_variant(trying, get), done)


def outcome(study: Study, trying: Plan, store: Store | None) -> dict[str, Any]:
    """As `StudyRecord.tuning` keeps it, from what the store has.

    Args:
        trying: the trials that tune.
        store: None where there is none.

    Raises:
        StudyError: a row failed at every value.
    """
    assert study.tune is not None
    trials = planned(trying)
    found = store.results(study.name, trials) if store else trials
    return tuning.record(study.tune, {trial.variant: trial for trial in found})


def settled(study: Study, found: dict[str, Any]) -> Study:
    """The study with what was chosen; as it is where a row's value is not known yet."""
    chosen = found["chosen"]
    return study.tuned(chosen) if len(chosen) == len(study.variants) else study


def by_row(study: Study, costs: Mapping[str, CostRecord]) -> dict[str, CostRecord]:
    """Costs of a study's rows, from those of the trials that tune."""
    assert study.tune is not None
    return {row: costs[tuning.name_of(row, study.tune.values[0])] for row in study.tune.tried}
