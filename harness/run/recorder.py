"""What is kept of a run: its plan and its trials in the tracking store, and until then the trials' folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from harness.cost.counting import has_own_code
from harness.data.dataset import DataSet
from harness.files import set_aside
from harness.model.build import build
from harness.records import LAG, CostRecord, StudyRecord, TrialRecord
from harness.run.plan import Plan
from harness.study import costed
from harness.study.protocol import protocol
from harness.study.study import Study
from harness.tracking.recorder import Recorder
from harness.train.result import DamagedError, discard, saved_result
from harness.train.settings import plain
from harness.train.trial import Job, failed


def study_record(
    plan: Plan,
    costs: dict[str, CostRecord],
    environment: dict[str, str],
    tuning: dict[str, Any] | None = None,
) -> StudyRecord:
    """The plan as the store keeps it, all results empty but those of tuning; its data must be there."""
    study = plan.study
    first = plan.data[next(iter(study.variants))]
    assert first is not None
    return StudyRecord(
        name=study.name,
        question=study.question,
        source=study.source,
        reference=study.reference,
        baseline=study.baseline,
        variants=list(study.variants),
        seeds=plan.seeds,
        settings={name: plain(settings) for name, settings in study.variants.items()},
        differs=study.differs(),
        protocol=protocol(study, first),
        classes=first.classes,
        groups=first.groups,
        trials=planned(plan),
        costs=costs,
        environment=environment,
        twins=[list(pair) for pair in first.twins],
        margin=study.margin,
        hypotheses=list(study.hypotheses),
        pairs=list(study.pairs),
        file=_as_typed(study.path),
        preset=study.preset,
        part=study.part,
        level_name=first.level_name,
        chance=first.chance,
        horizons=_horizons(study) if first.level_name == LAG else {},
        sweep=study.sweep.record() if study.sweep else {},
        clips=study.report.clips,
        tuning=tuning or {},
        costed=costed.counted(study),
    )


def planned(plan: Plan) -> list[TrialRecord]:
    """All trials of a plan, without results."""
    return [
        TrialRecord(trial_id=trial.trial_id, variant=trial.variant, seed=trial.seed, status="missing")
        for trial in plan.trials
    ]


def _horizons(study: Study) -> dict[str, int | None]:
    """How far apart each variant's network can relate two frames, from its shapes alone; None where an operator of
    the user's own, that nobody checked, fails to say its reach."""
    found: dict[str, int | None] = {}
    for name, settings in study.variants.items():
        model = settings.model.drawn()
        try:
            with torch.device("meta"):
                found[name] = build(model, settings.data.num_frames, num_classes=2).horizon()
        except (Exception, SystemExit):
            if not has_own_code(model):
                raise
            found[name] = None
    return found


def left_behind(jobs: Sequence[Job], *, force: bool) -> tuple[list[tuple[Job, TrialRecord]], list[str]]:
    """Results in the folders of trials: a run was killed before it could track them.

    Args:
        force: forget them, and the checkpoints of trials that were under way.

    Returns:
        The results that are as they were saved; and a line for each that is not, which was set aside.
    """
    found, lines = [], []
    for job in jobs:
        if force:
            discard(job.folder)
        try:
            record = saved_result(job.folder)
        except DamagedError as error:
            lines.append(f"{_damaged(job, error)}; the trial is run again")
            continue
        if record is not None:
            found.append((job, record))
    return found, lines


def whole(job: Job, record: TrialRecord) -> TrialRecord:
    """A record as it can be kept: of a result whose files are not as they were saved, a failure."""
    if record.status != "done":
        return record
    try:
        saved_result(job.folder)
    except DamagedError as error:
        reason = f"{_damaged(job, error)}; give the same command to run the trial again"
        return failed(job, reason, record.environment)
    return record


def _damaged(job: Job, error: DamagedError) -> str:
    aside = set_aside(job.folder)
    return f"{job.variant} seed={job.seed}: its result was not as it was saved ({error}): it is {aside} now"


class RunRecorder:
    """Keeps what happens to a study's trials."""

    def __init__(self, recorder: Recorder, plan: Plan, costs: Mapping[str, CostRecord]) -> None:
        self._recorder, self._plan, self._costs = recorder, plan, costs

    def started(self, job: Job) -> None:
        """Open the trial's run in the store."""
        self._recorder.start_trial(
            job.trial_id,
            job.variant,
            job.seed,
            plain(job.settings),
            self._costs[job.variant],
            job.environment,
            self._data_input(job.variant),
        )

    def epoch(self, job: Job, entry: dict[str, float]) -> bool:
        """Add an epoch to it. False where an earlier run did."""
        return self._recorder.log_epoch(job.trial_id, entry)

    def ended(self, job: Job, record: TrialRecord) -> None:
        """Add the result; its folder, which serves going on, is needed no more."""
        classes = self._data(job.variant).classes
        network = plain(job.settings) if self._keeps_network(job) else None
        self._recorder.end_trial(record, job.folder, classes, network)
        if record.status == "done":
            discard(job.folder)

    def _keeps_network(self, job: Job) -> bool:
        networks = self._plan.request.networks
        return networks == "all" or (networks == "first" and job.seed == self._plan.seeds[0])

    def _data(self, variant: str) -> DataSet:
        data = self._plan.data[variant]
        assert data is not None  # what is run has been opened
        return data

    def _data_input(self, variant: str) -> dict[str, Any]:
        """What the store's list of data sets says of a variant's data."""
        data = self._data(variant)
        return {
            "name": self._plan.study.variants[variant].data.dataset_name,
            "fingerprint": data.fingerprint,
            "classes": len(data.classes),
            "training clips": len(data.split("train")),
            "validation clips": len(data.split("val")),
        }


def _as_typed(path: Path) -> str:
    """A study file as one names it here. A place outside the working directory is nobody else's business."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.name
