"""The only door to Ray: runs an explicit list of trials, several at once as their resources allow.

Ray Tune gets one dimension, the list. It schedules; it does not search, and it stops no trial early, because every
row of a study must have had the same training. What is complete is never judged from Ray's counters: an interrupted
`fit()` returns normally and calls trials terminated that never ran.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.errors import StudyError
from harness.records import TrialRecord, to_json
from harness.study.resources import ResolvedResources
from harness.train.loop import OnEpoch
from harness.train.trial import Job, run_trial


class Observer(Protocol):
    """Told of what happens to trials, in the driver process."""

    def started(self, job: Job) -> None: ...

    def epoch(self, job: Job, entry: dict[str, float]) -> None: ...

    def ended(self, job: Job, record: TrialRecord) -> None: ...


def run_serial(jobs: Sequence[Job], observer: Observer) -> None:
    """One trial after the other in this process, without Ray."""
    for job in jobs:
        observer.started(job)

        def on_epoch(entry: dict[str, float], job: Job = job) -> None:
            try:
                observer.epoch(job, entry)
            except Exception as error:
                raise _ObserverFailed(error) from None

        try:
            record = run_trial(job, on_epoch=on_epoch)
        except _ObserverFailed as failed:
            raise failed.error from None
        observer.ended(job, record)


class _ObserverFailed(BaseException):
    """What fails in the observer is no failure of the trial: it passes through `run_trial`."""

    def __init__(self, error: Exception) -> None:
        self.error = error


Train = Callable[[Job, OnEpoch], TrialRecord]


def run_on_ray(
    jobs: Sequence[Job], observer: Observer, scratch: Path, address: str = "", train: Train = run_trial
) -> None:
    """All trials under Ray Tune, here or on the cluster at `address`.

    A trial's CPUs and GPUs are one reservation on one machine; its ranks share them. Ray packs as many trials
    as fit: two of half a GPU share one, and see it alone.

    Args:
        scratch: an absolute folder for Tune's own state, removed afterwards.
        train: what is done for each job, in a process of its own.

    Raises:
        StudyError: a trial asks for more than there is, or there is no cluster at `address`.
    """
    _quiet()
    import ray
    from ray import tune

    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        _start(address)
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own prints a stack and aborts
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        there = ray.cluster_resources()
        each = ResolvedResources(cpus=jobs[0].cpus, gpus=jobs[0].gpus, ranks=jobs[0].ranks)
        each.check({"cpus": there.get("CPU", 0), "gpus": there.get("GPU", 0)})
        watcher = _watcher(jobs, observer)
        trainable = tune.with_resources(
            tune.with_parameters(_trainable, jobs=list(jobs), train=train),
            {"cpu": each.cpus, "gpu": each.gpus},
        )
        tuner = tune.Tuner(
            trainable,
            param_space={"index": tune.grid_search(list(range(len(jobs))))},
            tune_config=tune.TuneConfig(
                trial_name_creator=lambda trial: f"trial_{trial.trial_id}",
                trial_dirname_creator=lambda trial: f"trial_{trial.trial_id}",
            ),
            run_config=tune.RunConfig(
                storage_path=str(scratch),
                name="tune",
                verbose=0,
                callbacks=[watcher],
                stop=lambda trial_id, result: watcher.error is not None,
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        )
        tuner.fit()
        if watcher.error is not None:
            raise watcher.error
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def check_address(address: str) -> None:
    """Ray itself would try for minutes.

    Raises:
        StudyError: nobody answers at host:port.
    """
    host, _, port = address.rpartition("://")[2].partition(":")
    if port.isdecimal():  # not "auto"
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            raise StudyError(f"--address {address}: no Ray cluster there ({error})") from None


def _start(address: str) -> None:
    import ray

    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        else:
            ray.init(
                address="local",  # else Ray joins whatever cluster runs on this machine
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                object_store_memory=80 * 2**20,
            )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        what = f"--address {address}: no Ray cluster there" if address else "Ray does not start; try --serial"
        raise StudyError(f"{what} ({' '.join(str(error).split())[:200]})") from None


def _quiet() -> None:
    """No banners, no tables, no files of Ray's own, and the working directory stays the user's."""
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    for key, value in settings.items():
        os.environ.setdefault(key, value)


def _trainable(config: dict[str, Any], jobs: list[Job], train: Train) -> None:
    """Runs in a worker process of its own. A failed trial reports its record like any other."""
    from ray import tune

    record = train(jobs[config["index"]], lambda entry: tune.report({"entry": entry}))
    tune.report({"record": to_json(record)})


def _watcher(jobs: Sequence[Job], observer: Observer) -> Any:
    from ray import tune

    class Watcher(tune.Callback):
        """Passes on what Tune says of its trials. An error of ours stops the run and is raised after it."""

        def __init__(self) -> None:
            self.error: BaseException | None = None
            self.ended: set[int] = set()

        def __reduce__(self) -> Any:
            return object, ()  # Tune saves its set-up to restore it; ours starts anew from the store

        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self._pass(observer.started, jobs[trial.config["index"]])

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
        ) -> None:
            index = trial.config["index"]
            if "entry" in result:
                self._pass(observer.epoch, jobs[index], result["entry"])
            elif "record" in result:
                self.ended.add(index)
                self._pass(observer.ended, jobs[index], TrialRecord(**result["record"]))

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            index = trial.config["index"]
            if index in self.ended:
                return
            job = jobs[index]
            # Python exceptions come as records; what arrives here is a process that died.
            record = TrialRecord(
                trial_id=job.trial_id,
                variant=job.variant,
                seed=job.seed,
                status="failed",
                reason="its process died; the system may have been out of memory (see resources.cpus)",
                environment=dict(job.environment),
            )
            self.ended.add(index)
            self._pass(observer.ended, job, record)

        def _pass(self, call: Any, *args: Any) -> None:
            if self.error is not None:
                return
            try:
                call(*args)
            except Exception as error:
                self.error = error

    return Watcher()
