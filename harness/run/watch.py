"""The observer of a run: what happens is kept first, then shown; then a stop that was asked for is obeyed."""

from __future__ import annotations

from collections.abc import Sequence

from harness.records import TrialRecord
from harness.run.printer import Printer
from harness.run.recorder import RunRecorder, left_behind
from harness.run.signals import stop_if_asked
from harness.train.trial import Job


class Watch:
    """Tells a recorder and a printer of each trial."""

    def __init__(self, recorder: RunRecorder, printer: Printer) -> None:
        self._recorder, self._printer = recorder, printer
        self.ended_ids: set[str] = set()

    def take_over(self, jobs: Sequence[Job], *, force: bool) -> list[Job]:
        """Keep and show what a killed run left in the trials' folders. Returns the jobs that are still to run.

        Args:
            force: forget it instead.
        """
        found, lines = left_behind(jobs, force=force)
        for line in lines:
            self._printer.note(line)
        for job, record in found:
            self.started(job)
            self.ended(job, record)
        return [job for job in jobs if job.trial_id not in self.ended_ids]

    def started(self, job: Job) -> None:
        self._recorder.started(job)
        self._printer.started(job)

    def epoch(self, job: Job, entry: dict[str, float]) -> None:
        new = self._recorder.epoch(job, entry)
        self._printer.epoch(job, entry, new=new)
        stop_if_asked()

    def ended(self, job: Job, record: TrialRecord) -> None:
        self._printer.ended(job, self._recorder.ended(job, record))
        self.ended_ids.add(job.trial_id)
