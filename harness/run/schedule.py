"""The only door to Ray: runs an explicit list of trials in its order, several at once as their resources allow.

Ray Tune gets one dimension, the list. It schedules; it does not search, and it stops no trial early, because every
row of a study must have had the same training. What is complete is never judged from Ray's counters: an interrupted
`fit()` returns normally and calls trials terminated that never ran.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.errors import StudyError
from harness.records import TrialRecord
from harness.study.resources import ResolvedResources
from harness.train import apart
from harness.train.trial import Job, record_of, work_of

_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


class Observer(Protocol):
    """Told of what happens to trials, in the driver process."""

    def started(self, job: Job) -> None: ...

    def epoch(self, job: Job, entry: dict[str, float]) -> None: ...

    def ended(self, job: Job, record: TrialRecord) -> None: ...


def run_serial(jobs: Sequence[Job], observer: Observer) -> None:
    """One trial after the other, each in a process of its own, without Ray."""
    for job in jobs:
        observer.started(job)
        with contextlib.closing(apart.run(work_of(job))) as told:
            for said in told:
                _pass_on(job, said, observer)


def _pass_on(job: Job, said: apart.Said, observer: Observer) -> None:
    if "entry" in said:
        observer.epoch(job, said["entry"])
    else:
        observer.ended(job, record_of(job, said))


def run_on_ray(
    jobs: Sequence[Job], observer: Observer, scratch: Path, address: str = "", run: apart.Run = apart.run
) -> None:
    """All trials under Ray Tune, here or on the cluster at `address`: whichever place is free takes the next one.

    A trial's CPUs and GPUs are one reservation on one machine; its ranks share them. Ray packs as many trials
    as fit: two of half a GPU share one, and see it alone.

    Args:
        scratch: an absolute folder for Tune's own state, removed afterwards.
        run: what a worker does with the work of a trial.

    Raises:
        StudyError: a trial asks for more than there is, or there is no cluster at `address`.
    """
    _quiet()
    _alone(here=not address)
    apart.close()  # each worker of Ray has a server of its own
    import ray
    from ray import tune

    from harness.run.actor import Actor

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
            tune.with_parameters(Actor, works=[work_of(job) for job in jobs], run=run),
            {"cpu": each.cpus, "gpu": each.gpus},
        )
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                num_samples=len(jobs),  # which one is which job is said when it starts
                reuse_actors=True,  # nothing of a trial is left in one
                trial_name_creator=lambda trial: f"trial_{trial.trial_id}",
                trial_dirname_creator=lambda trial: f"trial_{trial.trial_id}",
            ),
            run_config=tune.RunConfig(
                storage_path=str(scratch),
                name="tune",
                verbose=0,
                callbacks=[watcher],
                stop=lambda trial_id, result: watcher.error is not None,
                failure_config=tune.FailureConfig(
                    max_failures=max(job.settings.train.retries for job in jobs)  # of workers and nodes
                ),
                # Tune's own, of an actor that keeps nothing: asked for one, it would fail and not be used again.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
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


def _alone(here: bool) -> None:
    """Before Ray is imported: on this machine alone it is to be reached from nowhere else, and nobody else on it is to
    read the token that lets in.

    Ray has no setting for the first; the one by which it keeps to the loopback address on other systems does it here.
    """
    if not here:
        os.environ.pop(_CLUSTERS, None)
        return
    os.environ[_CLUSTERS] = "0"
    token = (
        Path.home() / ".ray" / "auth_token"
    )  # where Ray looks for it, and else would write it for all to read
    with contextlib.suppress(OSError):
        token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if token.exists():
            token.chmod(0o600)
        else:
            with open(os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_hex(32))


def _lost(error: Exception | None) -> str:
    """However a trial's own process ends, it is said; this is the end of the worker of Ray that watches it."""
    words = " ".join(str(error).split())
    if re.search(r"\b(its|the) node (has )?(died|was)\b", words):
        return "node lost: the machine that it ran on has left the Ray cluster"
    memory = "; Ray ends workers where memory is short (see resources.cpus)"
    return f"the Ray worker that watched it was ended{memory}"


def _watcher(jobs: Sequence[Job], observer: Observer) -> Any:
    from ray import tune

    class Watcher(tune.Callback):
        """Passes on what Tune says of its trials. An error of ours stops the run and is raised after it.

        Tune's trials are places in a line: of those that wait, Tune starts any one. The one that starts is the next
        of the list, and its worker is told so before Tune asks it for anything.
        """

        def __init__(self) -> None:
            self.error: BaseException | None = None
            self._waiting = iter(range(len(jobs)))
            self._index: dict[str, int] = {}  # by Tune's id of the trial
            self._ended: set[str] = set()
            self._attempts: dict[str, list[str]] = {}  # why they ended, where Tune began again

        def __reduce__(self) -> Any:
            return object, ()  # Tune saves its set-up to restore it; ours starts anew from the store

        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            trial.temporary_state.ray_actor.take.remote(self._next(trial))

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
        ) -> None:
            if "entry" not in result["said"]:
                self._ended.add(trial.trial_id)
            self._tell(trial, result["said"])

        def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self._attempts.setdefault(trial.trial_id, []).append(_lost(trial.get_pickled_error()))

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self._next(trial)  # of one whose worker did not even start
            if trial.trial_id not in self._ended:
                # However a trial's own process ends, it is said; this is the end of the one that watches it.
                self._ended.add(trial.trial_id)
                self._tell(trial, {"died": _lost(trial.get_pickled_error())})

        def _next(self, trial: Any) -> int:
            """The place in the list of the job that a trial of Tune's is from now on, or is already."""
            if trial.trial_id not in self._index:
                self._index[trial.trial_id] = next(self._waiting)
                self._pass(observer.started, self._job(trial))
            return self._index[trial.trial_id]

        def _job(self, trial: Any) -> Job:
            return jobs[self._index[trial.trial_id]]

        def _tell(self, trial: Any, said: apart.Said) -> None:
            if "entry" not in said and (attempts := self._attempts.get(trial.trial_id)):
                said = said | {"attempts": [*attempts, *said.get("attempts", ())]}
            self._pass(_pass_on, self._job(trial), said, observer)

        def _pass(self, call: Any, *args: Any) -> None:
            if self.error is not None:
                return
            try:
                call(*args)
            except Exception as error:
                self.error = error

    return Watcher()
