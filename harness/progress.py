"""What a person sees while a study runs, and the comparison at its end. Every event goes to the store first."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from harness.records import StudyRecord, TrialRecord
from harness.summary import Row, summarize
from harness.training import plain
from harness.trial import Job, discard, saved_result

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.tracking import Store

# Judged by the stream alone: a CI server that asks for colours still keeps a log, which has no edge to fold at.
_on_terminal = sys.stdout.isatty()
console = Console(
    highlight=False, markup=False, force_terminal=_on_terminal, width=None if _on_terminal else 300
)


class Watch:
    """The observer of a run: saves what happens, prints a line per finished trial, draws live bars on a terminal.

    Use it as a context manager around the schedule.

    Args:
        stop_if_asked: called after every epoch; raises where a signal asked for an end.
    """

    def __init__(self, plan: Plan, store: Store, stop_if_asked: Callable[[], None]) -> None:
        self._plan, self._store, self._stop_if_asked = plan, store, stop_if_asked
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
        self._store.start_trial(
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
        self._trained += self._store.log_epoch(job.trial_id, entry)
        done = int(entry["epoch"])
        self._epochs[job.trial_id] = done
        text = f"epoch {done}/{job.settings.train.epochs}  top1 {entry['val/top1']:.1f} %"
        self._bars.update(self._tasks[job.trial_id], completed=done, text=text)
        self._bars.update(self._tasks[""], completed=sum(self._epochs.values()), text=self._left())
        self._stop_if_asked()

    def ended(self, job: Job, record: TrialRecord) -> None:
        network = plain(job.settings) if self._plan.keeps_network(job) else None
        self._store.end_trial(record, job.folder, self._classes, network)
        if record.status == "done":  # the store has it all; what is left in the folder is for going on
            discard(job.folder)
        self._ended.add(job.trial_id)
        self._epochs[job.trial_id] = job.settings.train.epochs
        self._bars.remove_task(self._tasks.pop(job.trial_id))
        count = f"[{len(self._ended)}/{len(self._jobs)}]"
        result = (
            f"top1 {record.last['top1']:5.1f} %  {_duration(record.seconds):>7}"
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
        return f"{_duration((time.monotonic() - self._begin) * left / self._trained)} left"


class bar:  # noqa: N801 - used like a function
    """`with bar("data", "clips") as advance: ... advance(done, total)`: a progress bar on a terminal; of the data,
    which may take minutes, a log has a line before and after."""

    def __init__(self, label: str, unit: str) -> None:
        self._label, self._unit = label, unit
        self._bar = Progress(
            TextColumn(f"{label:<8}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task(label, total=None, start=False)

    def __enter__(self) -> bar:
        self._bar.start()
        self._begin = time.monotonic()
        self._total = 0
        return self

    def __call__(self, done: int, total: int) -> None:
        if self._label == "data" and not self._total and not console.is_terminal:
            print(f"data     preparing {total:,} {self._unit}, once")
        self._total = total
        self._bar.start_task(self._task)
        self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        elapsed = time.monotonic() - self._begin
        if self._label == "data" and self._total and error[0] is None:
            print(f"data     {self._total:,} {self._unit} ready, {elapsed:.0f} s")


def comparison(record: StudyRecord) -> tuple[Table, list[str]]:
    """The table at the end of a run, and the lines under it."""
    summary = summarize(record)
    table = Table("variant", box=None, pad_edge=False)
    for title in ("top1 [%]", *(m.split("/")[1] for m in summary.metrics if m.startswith("group/"))):
        table.add_column(title, justify="right")
    table.add_column(f"vs {record.baseline} [points]")
    table.add_column("MACs", justify="right")
    table.add_column("latency [ms]", justify="right")
    for row in summary.rows:
        groups = [_mean(row, m) for m in summary.metrics if m.startswith("group/")]
        table.add_row(
            row.variant, _accuracy(row), *groups, _difference(row, record), _macs(row, record),
            f"{row.latency_ms.median:.0f}" if row.latency_ms else "not measured",
        )  # fmt: skip
    cost = next(iter(record.costs.values()), None)
    lines = [
        "± and [ ]: 95 % interval, paired by seed; the words are corrected for the rows of the table (Holm)"
    ]
    if cost is not None:
        g = cost.geometry
        device = f", latency on {cost.measured_on['device']}" if cost.measured_on else ""
        lines.append(f"MACs at {g['backbone']}, {g['size']}x{g['size']}, {g['num_frames']} frames{device}")
    lines += [
        f"failed   {t.variant} seed={t.seed}: {t.reason}" for t in record.trials if t.status == "failed"
    ]
    return table, lines


def _accuracy(row: Row) -> str:
    top1 = row.accuracy["top1"]
    if not top1.n:
        return f"none of {row.planned} done"
    spread = f" ± {top1.half_width:.1f}" if top1.half_width is not None else ""
    return f"{top1.mean:.1f}{spread} (n={top1.n})"


def _mean(row: Row, metric: str) -> str:
    value = row.accuracy[metric]
    return f"{value.mean:.1f}" if value.n else "-"


def _difference(row: Row, record: StudyRecord) -> str:
    if row.variant == record.baseline:
        return "baseline"
    d = row.difference
    if d is None or not d.n:
        return "nothing to compare"
    interval = f" [{d.low:.1f}, {d.high:.1f}]" if d.low is not None else f" (n={d.n})"
    return f"{d.mean:+.1f}{interval} {d.words}"


def _macs(row: Row, record: StudyRecord) -> str:
    if row.cost is None or row.cost.macs_total is None or row.cost.macs_added is None:
        return "not stated"
    if row.variant == record.baseline:
        return f"{row.cost.macs_total / 1e9:.2f} G"
    return f"+{row.cost.macs_added / 1e9:.2f} G"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
