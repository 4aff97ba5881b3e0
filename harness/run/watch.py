"""The observer of a run: what happens is kept first, then shown; then a stop that was asked for is obeyed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from harness.records import TrialRecord
from harness.run.outbox import Outbox
from harness.run.printer import Printer
from harness.run.recorder import RunRecorder, left_behind, whole
from harness.signals import stop_if_asked
from harness.train.trial import Job


class Watch:
    """Tells a recorder and a printer of each trial."""

    def __init__(self, recorder: RunRecorder, printer: Printer, outbox: Outbox) -> None:
        self._recorder, self._printer, self._outbox = recorder, printer, outbox
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
        self._outbox.put(partial(self._recorder.started, job), None)
        self._printer.started(job)

    def epoch(self, job: Job, entry: dict[str, float]) -> None:
        new = self._outbox.put(partial(self._recorder.epoch, job, entry), True)
        self._printer.epoch(job, entry, new=new)
        stop_if_asked()

    def ended(self, job: Job, record: TrialRecord) -> None:
        record = whole(job, record)
        self._outbox.put(partial(self._recorder.ended, job, record), None)
        self._printer.ended(job, record)
        self.ended_ids.add(job.trial_id)

    def finish(self) -> None:
        """See that all is kept: a store that is away is waited for."""
        self._outbox.drain()
