"""What one call of `harness.run` will do with a study: its trials, which of them are done, and the others' jobs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from harness.data.config import DataConfig
from harness.data.dataset import DataSet, located
from harness.model import weights
from harness.outside import changed_modules, file_of, named_sources
from harness.records import SOURCES, StudyRecord, TrialRecord
from harness.run.request import Request
from harness.study.resources import ResolvedResources
from harness.study.study import Study, Trial
from harness.train.settings import Settings
from harness.train.trial import Job

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Plan:
    """A study as a request asks for it.

    data: the data set of each variant; None where a dry run finds none.
    done: by trial id, the study in which a trial was finished; it need not be run again.
    """

    study: Study
    request: Request
    data: Mapping[str, DataSet | None]
    done: Mapping[str, str]

    @cached_property
    def resources(self) -> ResolvedResources:
        """What each trial gets."""
        return self.study.resources.resolved()

    @cached_property
    def seeds(self) -> list[int]:
        """The study's, and those that the request adds."""
        return sorted({*self.study.seeds, *self.request.seeds})

    @cached_property
    def trials(self) -> list[Trial]:
        """All of the study, also those that the request leaves out."""
        fingerprints = {name: data.fingerprint if data else "" for name, data in self.data.items()}
        return self.study.trials(fingerprints, self.seeds)

    @cached_property
    def chosen(self) -> list[Trial]:
        """Trials that this call is to see done."""
        seeds = self.request.seeds or self.seeds
        rows = self.study.rows(self.request.variants) if self.request.variants else set(self.study.variants)
        return [trial for trial in self.trials if trial.seed in seeds and trial.variant in rows]

    @cached_property
    def pending(self) -> list[Trial]:
        """Trials that this call is to run."""
        return [trial for trial in self.chosen if self.request.force or trial.trial_id not in self.done]

    def jobs(self, environment: Mapping[str, str]) -> list[Job]:
        """The pending trials with where and on what to run them.

        Args:
            environment: what every trial's record says of the code that ran it.
        """
        places = tuple(dict.fromkeys([str(self.study.path.parent), os.getcwd()]))
        jobs = []
        for trial in self.pending:
            settings, start = _with_weights_file(trial.settings)
            job = Job(
                trial_id=trial.trial_id,
                variant=trial.variant,
                seed=trial.seed,
                settings=dataclasses.replace(settings, data=located(settings.data)),
                data_dir=self.request.data_dir,
                folder=self.request.data_dir / "trials" / trial.trial_id,
                cpus=self.resources.cpus,
                gpus=self.resources.gpus,
                ranks=self.resources.ranks,
                import_paths=places,
                environment={**environment, **start, **_sources(settings)},
            )
            jobs.append(job)
        return jobs

    def changed_sources(self, before: Mapping[str, str]) -> dict[str, list[str]]:
        """Of variants that are to be run, the files of their operators that have changed since they last were.

        Args:
            before: the sources that each variant's operator had then.
        """
        pending = {trial.variant: _sources(trial.settings).get(SOURCES, "") for trial in self.pending}
        changed = {
            name: changed_modules(before[name], now) for name, now in pending.items() if before.get(name)
        }
        return {name: [file_of(module) for module in modules] for name, modules in changed.items() if modules}

    def results(self, record: StudyRecord) -> list[TrialRecord]:
        """Of the study's record, the trials that this call was to see done."""
        ids = {trial.trial_id for trial in self.chosen}
        return [trial for trial in record.trials if trial.trial_id in ids]


def by_variant(study: Study, get: Callable[[DataConfig], T]) -> dict[str, T]:
    """What `get` makes of each variant's data settings, asked once where they are the same."""
    made: dict[str, T] = {}
    for settings in study.variants.values():
        key = repr(settings.data)
        if key not in made:
            made[key] = get(settings.data)
    return {name: made[repr(settings.data)] for name, settings in study.variants.items()}


def _sources(settings: Settings) -> dict[str, str]:
    sources = named_sources(*settings.model.own_code)
    return {SOURCES: sources} if sources else {}


def _with_weights_file(settings: Settings) -> tuple[Settings, dict[str, str]]:
    """`imagenet` as the file that it means here: a worker's own environment may say something else."""
    model = settings.model
    files = {key: weights.find(*named) for key, named in model.starts().items()}
    named: dict[str, Any] = {key: str(path) for key, path in files.items()}
    model = dataclasses.replace(model, **named)
    found = {key: weights.describe(path) for key, path in files.items()}
    return dataclasses.replace(settings, model=model), found
