"""python -m harness.run STUDY: plan a study, train what is not done yet, measure, track, compare.

Exit code: 0 all trials done, 1 some failed, 2 the request cannot be carried out, 130 or 143 stopped by a signal.
A dry run's is 0 also where something is missing: it lists what.
"""

from __future__ import annotations

import gc
import io
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.console import bar, quieten, say, start
from harness.options import carried_out
from harness.run.request import Request, read
from harness.signals import received, stop_code, stop_if_asked

if TYPE_CHECKING:
    from harness.data.config import DataConfig
    from harness.data.dataset import DataSet
    from harness.records import CostRecord, StudyRecord
    from harness.run.plan import Plan
    from harness.run.recorder import RunRecorder
    from harness.study.study import Study
    from harness.tracking.store import Store
    from harness.train.trial import Job


T = TypeVar("T")

# torch, ray and mlflow are imported where they are needed: --help must answer at once.


def main(argv: Sequence[str] | None = None) -> int:
    request = read(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a log shows each line at once, whatever its encoding
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    quieten(request.quiet)
    return carried_out(
        lambda: _list() if request.list else _run(request),
        "no trial is under way; the same command starts again from here",
        answer="stopping; trials that are under way end at their last whole epoch: up to half a minute",
        full="what is tracked is safe, and the same command goes on from here",
    )


def _list() -> int:
    start("what studies are made of")
    from harness.run.listing import listing

    for name, words in listing():
        say(name, words, column=1, must=True)
    return 0


def _run(request: Request) -> int:
    from harness import machine
    from harness.shipped import study_file, taken
    from harness.study.reading import read_yaml
    from harness.train import apart

    file = study_file(request.study)
    read_yaml(file)  # a mistyped name is said before anything heavy is imported
    if file != Path(request.study):
        say("study", taken(request.study, file))
    start(request.study)
    machine.keep_freed_memory()
    if not request.dry_run:
        apart.prepare()
    studies = _checked(request)
    stop_if_asked()
    store = _store(request)
    codes = []
    for study in studies:
        done = _awaited(request, partial(store.done, study.name)) if store else {}
        if store is None or request.dry_run:
            codes.append(_dry_run(study, request, done, store))
        else:
            codes.append(_carry_out(study, request, done, store))
        if codes[-1] > 128:  # stopped by a signal
            break
        if study is not studies[-1]:
            print()
    return max(codes)


def _checked(request: Request) -> list[Study]:
    gc.disable()  # of what is imported nothing is ever freed: looking for it takes a third of a dry run
    try:
        from harness.run.checks import checked_studies

        return checked_studies(request)
    finally:
        if not gc.get_freeze_count():  # in a process that calls this again there is more than imports
            gc.freeze()
        gc.enable()


def _store(request: Request) -> Store | None:
    from harness.tracking.connection import default_uri
    from harness.tracking.sqlite import sqlite_file
    from harness.tracking.store import Store

    uri = request.tracking_uri or default_uri()
    if request.dry_run and (file := sqlite_file(uri)) is not None and not file.exists():
        return None  # a dry run makes nothing, not even a store
    return Store.open(uri, create=not request.dry_run)


def _dry_run(study: Study, request: Request, done: Mapping[str, str], store: Store | None) -> int:
    from harness.data.dataset import find_data
    from harness.run import dry, tuning
    from harness.run.plan import Plan, by_variant
    from harness.run.printer import show_chosen, show_plan, show_tuning

    def find(data: DataConfig) -> DataSet | None:
        return find_data(data, request.data_dir)

    if study.tune:
        trying = tuning.plan(study, request, find, done)
        show_tuning(study, trying)
        found = tuning.outcome(study, trying, store)
        show_chosen(found)
        study = tuning.settled(study, found)
    plan = Plan(study, request, by_variant(study, find), done)
    show_plan(plan, store.sources(study.name) if store else {})
    earlier = store.load_study(study.name) if store and study.name in store.studies() else None
    data = plan.data[study.baseline]
    dry.show(plan, earlier, store.alike(data.fingerprint) if store and data else ())
    return 0


def _carry_out(study: Study, request: Request, done: Mapping[str, str], store: Store) -> int:
    """Run one study's pending trials and compare. Returns the exit code."""
    from harness.report.variant_runs import variant_runs
    from harness.run import printer, tuning
    from harness.run.plan import Plan, by_variant
    from harness.run.recorder import study_record
    from harness.tracking.recorder import Recorder

    def opened(data: DataConfig) -> DataSet:
        return _open(data, request)

    found: dict[str, Any] = {}
    if study.tune:
        stopped, found = _tune(study, request, done, store)
        if stopped:
            return stopped
        study, done = tuning.settled(study, found), _awaited(request, partial(store.done, study.name))
    plan = Plan(study, request, by_variant(study, opened), done)
    printer.show_plan(plan, _awaited(request, partial(store.sources, study.name)))
    stopped = _run_pending(
        plan, store, lambda: _costs(plan), lambda costs, here: study_record(plan, costs, here, found)
    )
    record = _awaited(request, partial(store.load_study, study.name))
    _awaited(request, partial(Recorder(store).keep_variants, study.name, variant_runs(record)))
    results = plan.results(record)
    printer.show_results(record, results, request, stopped=bool(stopped))
    return stopped or int(any(trial.status != "done" for trial in results))


def _tune(
    study: Study, request: Request, done: Mapping[str, str], store: Store
) -> tuple[int, dict[str, Any]]:
    """Run what is pending of the trials that tune. Returns the code of the signal that stopped it, and what the
    store has of them."""
    from harness.run import costs, printer, tuning
    from harness.run.plan import Plan, by_variant
    from harness.run.recorder import study_record

    def opened(data: DataConfig) -> DataSet:
        return _open(data, request)

    trying = tuning.plan(study, request, opened, done)
    printer.show_tuning(study, trying)
    stopped = 0
    if trying.pending:
        whole = Plan(study, request, by_variant(study, opened), done)
        stopped = _run_pending(
            trying,
            store,
            lambda: costs.measure(trying, lambda measured, doubtful: None, lambda done, total: None),
            lambda found, here: study_record(whole, tuning.by_row(study, found), here),
        )
    found = _awaited(request, partial(tuning.outcome, study, trying, store))
    printer.show_chosen(found)
    if stopped:
        say("stopped", "the same command goes on from here")
    return stopped, found


def _run_pending(
    plan: Plan,
    store: Store,
    measure: Callable[[], dict[str, CostRecord]],
    record: Callable[[dict[str, CostRecord], dict[str, str]], StudyRecord],
) -> int:
    """Measure costs, write the study into the store, and run what is pending of a plan.

    Args:
        record: the study, from costs and what is known of this machine.

    Returns:
        0, or the exit code of the signal that stopped it.
    """
    from harness.machine import environment
    from harness.records import UNCHECKED
    from harness.run import costs
    from harness.run.claim import claimed
    from harness.run.recorder import RunRecorder
    from harness.tracking.recorder import Recorder
    from harness.tracking.sqlite import lock_file

    recorder, here = Recorder(store), environment()
    if plan.request.unchecked:
        here["contract"] = UNCHECKED
    locks = [plan.request.data_dir / "trials.lock"]
    if store.connection.file:
        locks.append(lock_file(store.connection.file))
    with claimed(plan.pending, locks):
        found = measure()
        _awaited(plan.request, partial(recorder.begin_study, record(found, here)))
        if traces := costs.profiles(plan):
            _awaited(plan.request, partial(recorder.attach_profiles, plan.study.name, traces))
        try:
            keeper = RunRecorder(recorder, plan, found)
            return _train(plan.jobs(here), keeper, plan) if plan.pending else 0
        finally:
            recorder.stop_running()


def _awaited(request: Request, call: Callable[[], T]) -> T:
    """What a call of the store returns; a store that is away is waited for, as while trials run."""
    from harness.run.outbox import insisted

    return insisted(call, 60 * request.wait_for_store, partial(say, "note", must=True))


def _open(config: DataConfig, request: Request) -> DataSet:
    from harness.data.dataset import open_data

    with bar("data", "clips") as advance:
        return open_data(config, request.data_dir, progress=advance)


def _costs(plan: Plan) -> dict[str, CostRecord]:
    from harness.run import costs, printer

    begin = time.monotonic()
    backbone = plan.study.cost.backbone
    with bar("cost", "rounds") as advance:
        found = costs.measure(plan, partial(printer.announce_costs, backbone), advance)
    printer.show_costs(found, time.monotonic() - begin)
    return found


def _train(jobs: Sequence[Job], recorder: RunRecorder, plan: Plan) -> int:
    """Run them. Returns 0, or the exit code of the signal that stopped them."""
    from harness.run import schedule
    from harness.run.outbox import Outbox
    from harness.run.printer import Printer
    from harness.run.watch import Watch

    request, printer = plan.request, Printer(jobs)
    watch = Watch(recorder, printer, Outbox(60 * request.wait_for_store, printer.note))
    try:
        with printer:
            left = watch.take_over(jobs, force=request.force)
            if request.serial:
                schedule.run_serial(left, watch)
            elif left:
                scratch = request.data_dir / "ray" / f"{plan.study.name}-{os.getpid()}"
                schedule.run_on_ray(left, watch, scratch, request.address)
            if not received:
                watch.finish()
    except (KeyboardInterrupt, SystemExit) as stop:
        if code := stop_code(stop):
            return code
        raise
    return 130 if len(watch.ended_ids) < len(jobs) else 0  # Ray's fit() returns normally after Ctrl-C


if __name__ == "__main__":
    sys.exit(main())
