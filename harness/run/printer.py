"""What a person sees of a run: its plan, its costs, bars and a line for each trial, the comparison."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.console import bars, say, show
from harness.cost import cache
from harness.data.dataset import missing_data
from harness.files import default_data_dir
from harness.records import NOTE, CostRecord, StudyRecord, TrialRecord
from harness.report.format import plural
from harness.report.terminal import final_table, time_spent
from harness.run.plan import Plan
from harness.run.request import Request
from harness.study.study import Study, Trial
from harness.study.tuning import HOLDOUT, SEED
from harness.tracking.connection import without_secrets
from harness.train.trial import Job
from harness.units import duration, geometry


def show_plan(plan: Plan, sources: Mapping[str, str]) -> None:
    """Print what the study asks and what will be run.

    Args:
        sources: of each variant's operator of the user's own, as they were when it was last run.
    """
    study, each = plan.study, plan.resources
    say("study", f"{study.name}: {study.question}")
    rows = plural(len(study.variants), "variant")
    if study.sweep:
        rows = f"{plural(len(study.sweep.rows), 'variant')} x {len(study.sweep.changes)} {study.sweep.axis}"
    size = f"{rows} x {plural(len(plan.seeds), 'seed')} = {plural(len(plan.trials), 'trial')}"
    say("plan", f"{size}; {_counts(plan)}")
    sources_of = [plan.done[trial.trial_id] for trial in _kept(plan)]
    if reused := Counter(source for source in sources_of if source != study.name):
        words = ", ".join(f"{many} of `{name}`" for name, many in reused.items())
        say("reused", f"{words}: the same trials, done there")
    for variant, files in plan.changed_sources(sources).items():
        since = f"{', '.join(files)} since {variant} was last run"
        say("changed", f"{since}: its earlier results no longer count, its trials are run again")
    first = next(iter(study.variants.values()))
    made = dict.fromkeys(data.fingerprint[:12] if data else "not made yet" for data in plan.data.values())
    several = f", {len(made)} sets" if len(made) > 1 else ""
    place = f"({', '.join(made)}) in {plan.request.data_dir}"
    if missing_data(first.data):
        place = "(not on this machine)"
    say("data", f"{first.data.dataset_name}{several} {place}")
    together = f" in {each.ranks} processes" if each.ranks != 1 else ""
    epochs = sorted({settings.train.epochs for settings in study.variants.values()})
    networks = dict.fromkeys(settings.model.backbone for settings in study.variants.values())
    most = plural(epochs[-1], "epoch")
    work = f"{most if len(epochs) == 1 else f'{epochs[0]} to {most}'} of {', '.join(networks)}"
    say("each", f"{each.cpus:g} cpu, {each.gpus:g} gpu{together}, {work}")


def show_tuning(study: Study, plan: Plan) -> None:
    """Print what every row is tried at before anything else, and how much of that is to be run.

    Args:
        plan: of the trials that tune.
    """
    assert study.tune is not None
    key, values = study.tune.key, ", ".join(study.tune.values)
    rows = f"{len(study.variants)} rows x {key} {values} = {len(plan.trials)} trials with seed {SEED}"
    say("tune", f"{study.name}: {rows}, scored on {100 * HOLDOUT:g} % of the training clips; {_counts(plan)}")


def show_chosen(tuning: Mapping[str, Any]) -> None:
    """Print the value of each row, and what could not be trained."""
    rows = ", ".join(f"{row} {value}" for row, value in tuning["chosen"].items())
    say("chosen", f"{tuning['key']}: {rows or 'none yet; what follows is planned as the study stands'}")
    for row, there in tuning["tried"].items():
        for value, one in there.items():
            if one["status"] == "failed":
                say("failed", f"{row} with {tuning['key']} {value}: {one['reason']}")


def _kept(plan: Plan) -> list[Trial]:
    """Trials that this call was to see done, and that are."""
    pending = {trial.trial_id for trial in plan.pending}
    return [trial for trial in plan.chosen if trial.trial_id not in pending]


def _counts(plan: Plan) -> str:
    """What becomes of all trials; the numbers add up to them."""
    chosen = {trial.trial_id for trial in plan.chosen}
    left_out = [trial for trial in plan.trials if trial.trial_id not in chosen]
    again = " again (--force)" if plan.request.force else ""
    words = f"{len(_kept(plan))} done before, {len(plan.pending)} to run{again}"
    if left_out:
        done = sum(trial.trial_id in plan.done for trial in left_out)
        words += f", {len(left_out)} left out by --variants or --seeds"
        words += f" ({done} of them done)" if done else ""
    return words


def announce_costs(backbone: str, measured: int, doubtful: int) -> None:
    """Print that measuring begins.

    Args:
        measured: networks that are timed. doubtful: those of them whose latency from before is doubtful.
    """
    before = f"; {doubtful} of them again: what was measured before is doubtful" if doubtful else ""
    say("cost", f"measuring {plural(measured, 'network')} of {backbone}{before}")


def show_costs(costs: Mapping[str, CostRecord], seconds: float) -> None:
    """Print where costs were taken, how long that took, and what is doubtful."""
    for warning in cache.warnings(costs):
        say("warning", f"cost of {warning}", must=True)
    say("cost", f"{geometry(costs.values())}, {seconds:.0f} s")


def show_results(
    record: StudyRecord, results: Sequence[TrialRecord], request: Request, *, stopped: bool
) -> None:
    """Print the comparison and the next step.

    Args:
        results: of the trials that this call was to see done.
        request: what was asked for: the next step finds the same store and data.
        stopped: by a signal.
    """
    table, lines = final_table(record)
    print()
    show(table)
    for line in lines:
        say("", line, must=True)
    if line := time_spent(results):
        say("time", line)
    if stopped:
        done, failed = (sum(trial.status == status for trial in results) for status in ("done", "failed"))
        count = f"{done} done, {failed} failed, {len(results) - done - failed} still to run"
        say("stopped", f"{count}; the same command goes on from here", must=True)
    else:
        say("next", _next_step(record, request))


def _next_step(record: StudyRecord, request: Request) -> str:
    report, browse = "python -m harness.report --out reports/", "python -m harness.ui"
    if record.clips and request.data_dir != default_data_dir().absolute():
        report += f" --data-dir {shlex.quote(str(request.data_dir))}"
    if uri := request.tracking_uri:
        store = f" --tracking-uri {shlex.quote(without_secrets(uri, uri))}"
        report, browse = report + store, browse + store
    return f"{report}   or browse: {browse}"


class Printer:
    """Draws live bars on a terminal, and prints a line for each trial that ends.

    Use it as a context manager around the schedule.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._trials = len(jobs)
        self._epochs = sum(job.settings.train.epochs for job in jobs)
        self._ended = 0
        self._reached: dict[str, int] = {}  # epochs, by trial
        self._trained = 0  # of these, the ones that this call trained
        self._begin = time.monotonic()
        self._bars = bars("{task.description:<26}", "{task.fields[text]}")
        self._tasks = {"": self._bars.add_task("all trials", total=self._epochs, text="")}

    def __enter__(self) -> Printer:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def started(self, job: Job) -> None:
        """Add a bar."""
        name = f"{job.variant} seed={job.seed}"
        self._tasks[job.trial_id] = self._bars.add_task(name, total=job.settings.train.epochs, text="starts")

    def epoch(self, job: Job, entry: dict[str, float], *, new: bool) -> None:
        """Move the bars on.

        Args:
            new: trained by this call, not by the one that it goes on from.
        """
        self._trained += new
        done = int(entry["epoch"])
        self._reached[job.trial_id] = done
        text = f"epoch {done}/{job.settings.train.epochs}"
        if "val/top1" in entry:
            text += f"  top1 {entry['val/top1']:.1f} %"
        self._bars.update(self._tasks[job.trial_id], completed=done, text=text)
        self._bars.update(self._tasks[""], completed=sum(self._reached.values()), text=self._left())

    def ended(self, job: Job, record: TrialRecord) -> None:
        """Print its line, and take its bar away."""
        self._ended += 1
        self._reached[job.trial_id] = job.settings.train.epochs
        self._bars.remove_task(self._tasks.pop(job.trial_id))
        name = f"[{self._ended}/{self._trials}] {job.variant} seed={job.seed}"
        result, failed = record.reason, record.status == "failed"
        if record.last:
            result = f"top1 {record.last['top1']:5.1f} %  {duration(record.seconds):>7}"
        words = f"{record.status:<7} {result}   {self._left()}".rstrip()
        say(name, words, column=28, must=failed)

        if NOTE in record.environment:
            self.note(record.environment[NOTE])

    def note(self, text: str) -> None:
        """Print what else should be known."""
        say("note", text, must=True)

    def _left(self) -> str:
        """The remaining time, at the pace of the epochs that this call trained."""
        left = self._epochs - sum(self._reached.values())
        if self._trained == 0 or left <= 0:
            return ""
        return f"{duration((time.monotonic() - self._begin) * left / self._trained)} left"
