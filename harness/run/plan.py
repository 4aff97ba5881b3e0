"""What one call of `harness.run` will do: the study's trials, which of them are done, their costs and their jobs."""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from harness import cost, machine
from harness.console import bar, console
from harness.data import DataSet, find_data, located, missing_data, open_data
from harness.errors import StudyError
from harness.machine import environment
from harness.model import weights
from harness.outside import operator_source
from harness.records import CostRecord, StudyRecord, TrialRecord
from harness.report.terminal import final_table, time_spent
from harness.study.protocol import protocol
from harness.study.study import Study, Trial
from harness.train.result import discard
from harness.train.settings import Settings, plain
from harness.train.trial import Job
from harness.units import geometry

try:
    import fcntl
except ImportError:  # Windows: nobody watches for a second process
    fcntl = None  # type: ignore[assignment]


class Plan:
    """A study, its data and its trials; made by `make_plan`."""

    def __init__(
        self,
        study: Study,
        args: argparse.Namespace,
        data: dict[str, DataSet | None],
        done: Collection[str],
        how: str,
    ) -> None:
        self.study = study
        self.data_dir: Path = args.data_dir
        self.resources = study.resources.resolved()
        self.seeds = sorted({*study.seeds, *(args.seeds or [])})
        self.force: bool = args.force
        self._networks: str = args.networks
        self.costs: dict[str, CostRecord] = {}
        self.environment = environment()
        self._allocator = how
        self.data = data
        fingerprints = {name: one.fingerprint if one else "" for name, one in data.items()}
        self.trials = study.trials(fingerprints, self.seeds)
        chosen_seeds, chosen = args.seeds or self.seeds, args.variants or list(study.variants)
        self._chosen = [t for t in self.trials if t.seed in chosen_seeds and t.variant in chosen]
        self.done = {t.trial_id for t in self.trials if t.trial_id in done}

    @property
    def pending(self) -> list[Trial]:
        """Trials that this call is to run."""
        return [t for t in self._chosen if self.force or t.trial_id not in self.done]

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Meanwhile no other process runs one of the pending trials, under whatever study or store.

        Raises:
            StudyError: another one does.
        """
        with (self.data_dir / "trials.lock").open("w") as file:
            for trial in self.pending if fcntl else ():
                try:  # one file for all trials: a byte's place is its trial's id
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(trial.trial_id[:15], 16))
                except (BlockingIOError, PermissionError):
                    raise StudyError(
                        f"{trial.variant} seed={trial.seed} is being run by another process; wait for it, or "
                        "choose others with --variants or --seeds"
                    ) from None
            yield

    def show(self) -> None:
        """Print what the study asks and what will be run."""
        study, r = self.study, self.resources
        print(f"study    {study.name}: {study.question}")
        trials = f"{len(study.variants)} variants x {len(self.seeds)} seeds = {len(self.trials)} trials"
        left_out = len(self.trials) - len(self._chosen)
        rest = f", {left_out} left out by --variants or --seeds" if left_out else ""
        print(f"plan     {trials}; {len(self.done)} done before, {len(self.pending)} to run{rest}")
        first = next(iter(study.variants.values()))
        data = next(iter(self.data.values()))
        made = f"{data.fingerprint[:12]}" if data else "not made yet"
        place = f"({made}) in {self.data_dir}" if not missing_data(first.data) else "(not on this machine)"
        print(f"data     {first.data.dataset_name} {place}")
        together = f" in {r.ranks} processes" if r.ranks != 1 else ""
        print(
            f"each     {r.cpus:g} cpu, {r.gpus:g} gpu{together}, {first.train.epochs} epochs of "
            f"{first.model.backbone}"
        )

    def measure_costs(self) -> None:
        """Take what every variant costs, alone on the device before any trial starts, and profiles if asked for."""
        study = self.study
        variants = {name: (s.model, s.data.num_frames) for name, s in study.variants.items()}
        device = torch.device("cuda" if self.resources.gpus else "cpu")
        begin = time.monotonic()
        if study.cost.latency:
            print(
                f"cost     measuring {len(variants)} networks of {study.cost.backbone}, unless kept from before"
            )
        with bar("cost", "rounds") as advance:
            self.costs = cost.costs(
                study.cost,
                variants,
                {name: operator_source(s.model.operator["name"]) for name, s in study.variants.items()},
                device,
                self.data_dir / "cost",
                channels_last=next(iter(study.variants.values())).train.channels_last,
                allocator=self._allocator,
                profiles=self.profiles,
                progress=advance,
            )
        for warning in cost.warnings(self.costs):
            print(f"warning  cost of {warning}")
        print(f"cost     {geometry([next(iter(self.costs.values()))])}, {time.monotonic() - begin:.0f} s")

    @property
    def profiles(self) -> Path | None:
        """Where the study's traces stand; None where it asks for none."""
        return self.data_dir / "profiles" / self.study.name if self.study.profile else None

    def record(self) -> StudyRecord:
        """The plan as the store keeps it, all results empty."""
        study = self.study
        if not self.costs:  # nothing pending: the latencies are those kept from before, if any
            self.measure_costs()
        first = next(iter(study.variants))
        data = self.data[first]
        assert data is not None
        return StudyRecord(
            name=study.name, question=study.question, source=study.source, reference=study.reference,
            baseline=study.baseline, variants=list(study.variants), seeds=list(self.seeds),
            settings={name: plain(s) for name, s in study.variants.items()},
            differs=study.differs(), protocol=protocol(study, data), classes=data.classes, groups=data.groups,
            trials=[
                TrialRecord(trial_id=t.trial_id, variant=t.variant, seed=t.seed, status="missing")
                for t in self.trials
            ],
            costs=self.costs, environment=self.environment, twins=[list(pair) for pair in data.twins],
            margin=study.margin, hypotheses=list(study.hypotheses), pairs=list(study.pairs),
            file=_as_typed(study.path), preset=study.preset, part=study.part,
        )  # fmt: skip

    def jobs(self) -> list[Job]:
        """The pending trials with where and on what to run them."""
        paths = tuple(dict.fromkeys([str(self.study.path.parent), os.getcwd()]))
        jobs = []
        for t in self.pending:
            settings, start = _with_weights_file(t.settings)
            settings = dataclasses.replace(settings, data=located(settings.data))
            jobs.append(Job(
                trial_id=t.trial_id, variant=t.variant, seed=t.seed, settings=settings,
                data_dir=self.data_dir, folder=self.data_dir / "trials" / t.trial_id,
                cpus=self.resources.cpus, gpus=self.resources.gpus, ranks=self.resources.ranks, import_paths=paths,
                environment=self.environment | start,
            ))  # fmt: skip
        if self.force:
            for job in jobs:
                discard(job.folder)
        return jobs

    def classes(self) -> list[str]:
        """Names of the classes."""
        data = next(iter(self.data.values()))
        assert data is not None
        return data.classes

    def keeps_network(self, job: Job) -> bool:
        """Whether a trial's trained network goes to the store."""
        return self._networks == "all" or (self._networks == "first" and job.seed == self.seeds[0])

    def data_card(self, variant: str) -> dict[str, Any]:
        """What the store's list of data sets says of a variant's data."""
        data = self.data[variant]
        assert data is not None
        return {
            "name": self.study.variants[variant].data.dataset_name,
            "fingerprint": data.fingerprint,
            "classes": len(data.classes),
            "training clips": len(data.split("train")),
            "validation clips": len(data.split("val")),
        }

    def scratch(self) -> Path:
        """A folder for the scheduler's own state."""
        return self.data_dir / "ray" / f"{self.study.name}-{os.getpid()}"

    def show_results(self, record: StudyRecord, stopped: int) -> int:
        """Print the comparison and the next step. Returns the exit code."""
        table, lines = final_table(record)
        print()
        console.print(table)
        print("\n".join(lines))
        trials = [t for t in record.trials if t.trial_id in {c.trial_id for c in self._chosen}]
        failed = sum(t.status == "failed" for t in trials)
        missing = sum(t.status not in ("done", "failed") for t in trials)
        if line := time_spent(trials):
            print(f"time     {line}")
        if stopped:
            count = f"{len(trials) - failed - missing} done, {failed} failed, {missing} still to run"
            print(f"stopped  {count}; the same command goes on from here")
            return stopped
        print("next     python -m harness.report --out reports/   or browse: make ui")
        return 1 if failed or missing else 0


def make_plan(study: Study, args: argparse.Namespace, done: Collection[str]) -> Plan:
    """See to the study's data (a dry run makes none) and list its trials.

    Args:
        done: ids of trials that need not be run.

    Raises:
        DataError: the data cannot be used.
    """
    how = machine.keep_freed_memory()
    data: dict[str, DataSet | None] = {}
    opened: dict[str, DataSet | None] = {}
    for name, settings in study.variants.items():
        key = repr(settings.data)
        if key not in opened:
            if args.dry_run:
                opened[key] = find_data(settings.data, args.data_dir)
            else:
                with bar("data", "clips") as advance:
                    opened[key] = open_data(settings.data, args.data_dir, progress=advance)
        data[name] = opened[key]
    return Plan(study, args, data, done, how)


def _as_typed(path: Path) -> str:
    """A study file as one names it here. A place outside the working directory is nobody else's business."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.name


def _with_weights_file(settings: Settings) -> tuple[Settings, dict[str, str]]:
    """`imagenet` as the file that it means here: a worker's own environment may say something else."""
    model = settings.model
    if not model.weights:
        return settings, {}
    path = weights.find(model.weights, model.backbone)
    model = dataclasses.replace(model, weights=str(path))
    return dataclasses.replace(settings, model=model), {"weights": weights.describe(path)}
