"""The only door to Ray: runs an explicit list of trials in its order, several at once as their resources allow.

Ray Tune gets one dimension, the list. It schedules; it does not search, and it stops no trial early, because every
row of a study must have had the same training. What is complete is never judged from Ray's counters: an interrupted
`fit()` returns normally and calls trials terminated that never ran.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import re
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.errors import StudyError
from harness.machine import environment_kept
from harness.outside import copy_sources
from harness.records import TrialRecord
from harness.run import nodes
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
        heard = _Heard(job, observer)
        with contextlib.closing(apart.run(work_of(job))) as told:
            for said in told:
                heard.hear(said)


class _Heard:
    """What is heard of a trial is passed on; why an attempt ended is kept for its record."""

    def __init__(self, job: Job, observer: Observer) -> None:
        self.job, self._observer = job, observer
        self.attempts: list[str] = []

    def hear(self, said: apart.Said) -> None:
        if "entry" in said:
            self._observer.epoch(self.job, said["entry"])
        elif "again" in said:
            self.attempts.append(said["again"])
        else:
            self._observer.ended(self.job, record_of(self.job, said, self.attempts))


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
        StudyError: a trial asks for more than any machine has, or there is no cluster at `address`.
    """
    with (
        _removed(scratch),
        _before_ray(address),
        _joined(address, _own_code(jobs)),
        nodes.needs(jobs[0].data_dir) if address else contextlib.nullcontext() as needs,
    ):
        from ray import tune

        from harness.run.actor import Actor

        each = ResolvedResources(cpus=jobs[0].cpus, gpus=jobs[0].gpus, ranks=jobs[0].ranks)
        nodes.able(each)
        watcher = _watcher(jobs, observer)
        works = [work_of(job) for job in jobs]
        trainable = tune.with_resources(
            tune.with_parameters(Actor, works=works, run=run, needs=needs),
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
                    max_failures=max(work.retries for work in works)  # until a trial is known to be a job
                ),
                # Tune's own, of an actor that keeps nothing: asked for one, it would fail and not be used again.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        tuner.fit()
        if watcher.error is not None:
            raise watcher.error


@contextlib.contextmanager
def _removed(scratch: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _own_code(jobs: Sequence[Job]) -> list[str]:
    return sorted({name for job in jobs for name in job.settings.model.own_code})


@contextlib.contextmanager
def _joined(address: str, code: Sequence[str] = ()) -> Iterator[None]:
    """Meanwhile this process drives a cluster, or a Ray of its own.

    Args:
        code: dotted paths, which the nodes of a cluster may have to be given the files of.
    """
    import ray

    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        with tempfile.TemporaryDirectory(prefix="mixtbench-") as folder:
            given = bool(address) and copy_sources(Path(folder), *code)
            _start(address, folder if given else "")  # which sends them, whole
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own prints a stack and aborts
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        yield
    finally:
        ray.shutdown()


def lacking(address: str, each: Sequence[ResolvedResources], needs: nodes.Needs) -> list[str]:
    """What keeps the nodes of a cluster from running trials, in lines; none where all are as this one.

    In a process of its own (`apart.answer`): this one stays as it is.
    """
    try:
        with _before_ray(address), _joined(address):
            return nodes.lacking(needs, each)
    except StudyError as error:
        return [str(error).removeprefix(f"--address {address}: ")]


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


def _start(address: str, sent: str = "") -> None:
    """sent: a folder; every worker has what is in it, as its working directory, whatever its machine sees."""
    import ray

    try:
        if address:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={"working_dir": sent} if sent else None,
            )
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
        raise StudyError(f"{what} ({' '.join(str(error).split())})") from None


@contextlib.contextmanager
def _before_ray(address: str) -> Iterator[None]:
    """No banners, no tables, no files of Ray's own, and the working directory stays the user's.

    Ray reads what is set here when it is imported, and its processes when they start. Afterwards the environment is as
    it was: another node that this process starts must not take it for its own.
    """
    apart.close()  # each worker of Ray has a server of its own
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # matches all of what Ray would print of a node that is lost
    } | os.environ
    with environment_kept():  # also of what Ray sets
        os.environ.update(settings)
        os.environ.pop(_CLUSTERS, None)
        if not address:
            # Ray has no setting to be reached from here alone; what does it on other systems does it here.
            os.environ[_CLUSTERS] = "0"
            _own_token()
        yield


def _own_token() -> None:
    """The token that lets in, where Ray looks for it: Ray itself would write it for all users to read."""
    token = Path.home() / ".ray" / "auth_token"
    with contextlib.suppress(OSError):
        token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if token.exists():
            token.chmod(0o600)
        else:
            with open(os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_hex(32))


def _why(trial: Any, taken: Any) -> str:
    """Why a worker of Ray has ended; however a trial's own process ends, the worker says so itself.

    Args:
        trial: Tune's.
        taken: the future of what `Actor.take` returns; None where the worker had not begun.
    """
    import ray

    node = ""
    with contextlib.suppress(ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
        node = ray.get(taken, timeout=0) if taken is not None else ""
    if name := nodes.lost(node):
        return f"node lost: {name} has left the Ray cluster"
    words = ""
    if trial.error_file:  # Tune's `get_pickled_error` looks elsewhere, where it is only later
        words = " ".join(Path(trial.error_file).read_text().rpartition("Failure #")[2].split())
    if re.search(r"\b(its|the) node (has )?(died|was)\b", words):
        return "node lost: the machine that it was on has left the Ray cluster"
    if missing := re.search(r"No module named '([\w.]+)'", words):
        return f"the node that it was to run on lacks the Python module {missing[1]}"
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
            self._places: dict[str, int] = {}
            self._heard: dict[str, _Heard] = {}  # by Tune's id of the trial, as all these
            self._ended: set[str] = set()
            self._taken: dict[str, Any] = {}  # futures of the ids of their nodes
            self._early: dict[str, list[str]] = {}  # why attempts ended before a worker could be asked

        def __reduce__(self) -> Any:
            return object, ()  # Tune saves its set-up to restore it; ours starts anew from the store

        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            heard = self._job(trial)
            take = trial.temporary_state.ray_actor.take
            self._taken[trial.trial_id] = take.remote(self._places[trial.trial_id], len(heard.attempts))

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
        ) -> None:
            said, heard = pickle.loads(result["said"]), self._job(trial)
            if apart.is_last(said):
                self._ended.add(trial.trial_id)
            self._pass(heard.hear, said)
            if "again" in said:  # the worker counts its attempts, and Tune those of workers
                trial.max_failures -= 1

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            trial.last_result.pop("said", None)  # it is kept already, and Tune would keep it to the end

        def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            heard = self._heard.get(trial.trial_id)
            attempts = heard.attempts if heard else self._early.setdefault(trial.trial_id, [])
            attempts.append(_why(trial, self._taken.pop(trial.trial_id, None)))

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            heard = self._job(trial)  # also of one whose worker did not even start
            if trial.trial_id not in self._ended:
                self._ended.add(trial.trial_id)
                self._pass(heard.hear, {"died": _why(trial, self._taken.pop(trial.trial_id, None))})

        def _job(self, trial: Any) -> _Heard:
            """What is heard of the job that a trial of Tune's is from now on, or is already."""
            if trial.trial_id not in self._heard:
                place = self._places[trial.trial_id] = next(self._waiting)
                heard = self._heard[trial.trial_id] = _Heard(jobs[place], observer)
                heard.attempts += self._early.pop(trial.trial_id, [])
                trial.max_failures = heard.job.settings.train.retries
                self._pass(observer.started, heard.job)
            return self._heard[trial.trial_id]

        def _pass(self, call: Any, *args: Any) -> None:
            if self.error is not None:
                return
            try:
                call(*args)
            except Exception as error:
                self.error = error

    return Watcher()
