"""What a person sees while a study runs. Every event goes to the store first."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.console import BarColumn, Progress, TextColumn, console, duration
from harness.records import TrialRecord
from harness.train.result import discard, saved_result
from harness.train.settings import plain
from harness.train.trial import Job

if TYPE_CHECKING:
    from harness.run.plan import Plan
    from harness.tracking.recorder import Recorder


class Watch:
    """The observer of a run: saves what happens, prints a line per finished trial, draws live bars on a terminal.

    Use it as a context manager around the schedule.

    Args:
        stop_if_asked: called after every epoch; raises where a signal asked for an end.
    """

    def __init__(self, plan: Plan, recorder: Recorder, stop_if_asked: Callable[[], None]) -> None:
        self._plan, self._recorder, self._stop_if_asked = plan, recorder, stop_if_asked
        self._jobs = {job.trial_id: job for job in plan.jobs()}
        self._ended: set[str] = set()
        self._epochs: dict[str, int] = {}  # done, by trial
        self._trained = 0  # of these, the ones that this call trained
        self._begin = time.monotonic()
        self._classes = plan.classes()
        self._bars = Progress(
            TextColumn("{task.description:<26}"), BarColumn(), TextColumn("{task.fields[text]}"),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._tasks = {"": self._bars.add_task("all trials", total=self._total_epochs(), text="")}

    def __enter__(self) -> Watch:
        self._bars.start()
        for job in self._jobs.values():  # finished by a run that was killed before it could track them
            record = saved_result(job.folder)
            if record is not None:
                self.started(job)
                self.ended(job, record)
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def jobs(self) -> list[Job]:
        """The jobs that are not ended yet."""
        return [job for job in self._jobs.values() if job.trial_id not in self._ended]

    def started(self, job: Job) -> None:
        self._recorder.start_trial(
            job.trial_id,
            job.variant,
            job.seed,
            plain(job.settings),
            self._plan.costs[job.variant],
            job.environment,
            self._plan.data_card(job.variant),
        )
        name = f"{job.variant} seed={job.seed}"
        self._tasks[job.trial_id] = self._bars.add_task(name, total=job.settings.train.epochs, text="starts")

    def epoch(self, job: Job, entry: dict[str, float]) -> None:
        self._trained += self._recorder.log_epoch(job.trial_id, entry)
        done = int(entry["epoch"])
        self._epochs[job.trial_id] = done
        text = f"epoch {done}/{job.settings.train.epochs}  top1 {entry['val/top1']:.1f} %"
        self._bars.update(self._tasks[job.trial_id], completed=done, text=text)
        self._bars.update(self._tasks[""], completed=sum(self._epochs.values()), text=self._left())
        self._stop_if_asked()

    def ended(self, job: Job, record: TrialRecord) -> None:
        network = plain(job.settings) if self._plan.keeps_network(job) else None
        self._recorder.end_trial(record, job.folder, self._classes, network)
        if record.status == "done":  # the store has it all; what is left in the folder is for going on
            discard(job.folder)
        self._ended.add(job.trial_id)
        self._epochs[job.trial_id] = job.settings.train.epochs
        self._bars.remove_task(self._tasks.pop(job.trial_id))
        count = f"[{len(self._ended)}/{len(self._jobs)}]"
        result = (
            f"top1 {record.last['top1']:5.1f} %  {duration(record.seconds):>7}"
            if record.last
            else record.reason
        )
        name = f"{count} {job.variant} seed={job.seed}"
        console.print(f"{name:<28} {record.status:<7} {result}   {self._left()}".rstrip(), soft_wrap=True)

    def unfinished(self) -> int:
        """Trials that were to run and did not end."""
        return len(self._jobs) - len(self._ended)

    def _total_epochs(self) -> int:
        return sum(job.settings.train.epochs for job in self._jobs.values())

    def _left(self) -> str:
        """The remaining time, at the pace of the epochs that this call trained."""
        left = self._total_epochs() - sum(self._epochs.values())
        if self._trained == 0 or left <= 0:
            return ""
        return f"{duration((time.monotonic() - self._begin) * left / self._trained)} left"
