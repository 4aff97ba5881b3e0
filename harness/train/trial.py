"""A trial: trained in a process of its own or by several ranks, its result left in its folder; a failure is a result
too."""

from __future__ import annotations

import contextlib
import faulthandler
import math
import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from harness import machine, metrics
from harness.data.dataset import DataSet, open_data
from harness.errors import TrainingError, UserError, first_line, in_a_line, words_of
from harness.files import disk_error
from harness.model import weights
from harness.model.network import Network
from harness.outside import changed_modules, import_from, named_sources
from harness.records import NOTE, SOURCES, TrialRecord, to_json
from harness.train import probes, ranks
from harness.train.apart import ALIVE, Said, Work
from harness.train.checkpoint import State, set_damaged_aside
from harness.train.evaluation import validation_metrics
from harness.train.loop import OnEpoch, OnPass, fit
from harness.train.processes import in_mib
from harness.train.ranks import ALONE, RankError, World
from harness.train.result import save_result
from harness.train.settings import Settings
from operators.base import TemporalOp
from operators.stencil import meant


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial and where to run it; travels to the process that trains it.

    folder: the trial's own folder, for its checkpoint and then its result, on storage that the driver sees too.
    cpus, gpus: what the whole trial has.
    ranks: processes that train it together; on GPUs, one for each.
    import_paths: where an operator of the user's own is found.
    """

    trial_id: str
    variant: str
    seed: int
    settings: Settings
    data_dir: Path
    folder: Path
    cpus: float = 1
    gpus: float = 0
    ranks: int = 1
    import_paths: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def work_of(job: Job) -> Work:
    """A trial as work for a process of its own, which says each epoch's "entry", and the "record" at last."""
    config = job.settings.train
    call = pickle.dumps((_speak, (job,)))
    return Work(
        call=call, time_limit=config.time_limit, stall_limit=config.stall_limit, retries=config.retries
    )


def record_of(job: Job, said: Mapping[str, Any], attempts: Sequence[str] = ()) -> TrialRecord:
    """The trial's record, from the last that was said of its work.

    Args:
        attempts: why earlier ones ended.
    """
    if "record" in said:
        record = TrialRecord(**said["record"])
    else:
        peak = said.get("peak_memory_mib")
        memory = {} if peak is None else {"peak_memory_mib": f"{peak:.0f}"}
        record = failed(job, said["died"], dict(job.environment) | memory)
    notes = [f"attempt {number}: {why}" for number, why in enumerate(attempts, 1)]
    if not notes:
        return record
    notes += [record.environment[NOTE]] if NOTE in record.environment else []
    return replace(record, environment=record.environment | {NOTE: "; ".join(notes)})


def _speak(say: Callable[[Said], None], job: Job) -> None:
    """What the process of a trial does."""
    signs_of_life = partial(say, ALIVE) if job.settings.train.stall_limit else None
    with _last_words(job.folder):
        try:
            record = run_trial(job, lambda entry: say({"entry": entry}), signs_of_life)
        except KeyboardInterrupt as error:  # an operator's own: this process never sees Ctrl-C
            record = failed(job, reason_of(error, job.settings), dict(job.environment))
    say({"record": to_json(record)})


@contextlib.contextmanager
def _last_words(folder: Path) -> Iterator[None]:
    """A process that crashes meanwhile, or is asked where it stands before it is ended, writes its `traceback.txt`."""
    file = folder / "traceback.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = file.open("w")
    except OSError:  # the trial will fail for that, and say so
        yield
        return
    with opened:
        faulthandler.enable(opened)
        faulthandler.register(signal.SIGUSR1, opened)
        yield
        faulthandler.disable()
        faulthandler.unregister(signal.SIGUSR1)
    with contextlib.suppress(OSError):
        if not file.stat().st_size:
            file.unlink()


def run_trial(job: Job, on_epoch: OnEpoch = lambda entry: None, on_pass: OnPass | None = None) -> TrialRecord:
    """Train a trial, in this process or in ranks spawned by it, and leave its result in `job.folder`.

    Anything but KeyboardInterrupt becomes a record with status "failed" and its reason.
    The folder then holds `traceback.txt`; else `result.json`, `scores.npz` and `model.pt`, the network's state dict.

    Args:
        on_pass: called after a pass through the network, at most once a second.
    """
    environment = _prepare(job)
    try:
        if note := set_damaged_aside(job.folder / "checkpoint.pt"):
            job = replace(job, environment=job.environment | {NOTE: note})
            environment[NOTE] = note
        if job.ranks == 1:
            return _train(job, environment, on_epoch, on_pass, ALONE)
        return _train_in_ranks(job, on_epoch, on_pass)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        details = error.details if isinstance(error, RankError) else traceback.format_exc()
        text = details or f"{error}\n"
        with contextlib.suppress(OSError):  # of a full disk the reason is enough
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / "traceback.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
        return failed(job, reason_of(error, job.settings, job.ranks), environment)


def failed(job: Job, reason: str, environment: dict[str, str]) -> TrialRecord:
    """The record of a trial that has no result."""
    return TrialRecord(
        trial_id=job.trial_id,
        variant=job.variant,
        seed=job.seed,
        status="failed",
        reason=reason,
        environment=environment,
    )


def _prepare(job: Job) -> dict[str, str]:
    """Set up a process that trains. Returns what the record says of it so far."""
    how = machine.keep_freed_memory()
    import_from(*job.import_paths)
    return dict(job.environment) | {"allocator": how}


def _train_in_ranks(job: Job, on_epoch: OnEpoch, on_pass: OnPass | None) -> TrialRecord:
    records: list[TrialRecord] = []

    def on_message(message: dict[str, Any]) -> None:
        if "entry" in message:
            on_epoch(message["entry"])
        elif not message:
            assert on_pass is not None
            on_pass()
        else:
            records.append(TrialRecord(**message["record"]))

    _check_gpus(job)
    ranks.launch(
        _rank,
        job.ranks,
        (job,),
        on_message=on_message,
        reason_of=partial(reason_of, settings=job.settings, ranks=job.ranks),
        rendezvous=job.folder / f"rendezvous-{os.getpid()}",
        cuda=job.gpus > 0,
    )
    return records[0]


def _rank(world: World, say: ranks.Say, job: Job) -> None:
    """What each rank does; the first one speaks for all."""
    environment = _prepare(job)

    def on_epoch(entry: dict[str, float]) -> None:
        if world.rank == 0:
            say({"entry": entry})

    speaks = world.rank == 0 and job.settings.train.stall_limit
    record = _train(job, environment, on_epoch, partial(say, ALIVE) if speaks else None, world)
    if world.rank == 0:
        say({"record": to_json(record)})


def _check_gpus(job: Job) -> None:
    if job.gpus > 0:
        there = torch.cuda.device_count()
        if not there:
            raise TrainingError(f"resources.gpus is {job.gpus:g}, but torch {torch.__version__} sees no GPU")
        if there < job.gpus:
            raise TrainingError(f"resources.gpus is {job.gpus:g}, but torch sees only {there}")


def _check_planned(job: Job) -> None:
    """What the trial was planned with is still what is there."""
    start, planned = job.settings.model.weights, job.environment.get("weights")
    if start and planned and (found := weights.describe(Path(start))) != planned:
        raise TrainingError(f"model.weights: {start} is now {found}; the trial was planned with {planned}")
    now, planned = named_sources(*job.settings.model.own_code), job.environment.get(SOURCES, "")
    if planned and (changed := changed_modules(planned, now)):
        raise TrainingError(f"{', '.join(changed)}: changed since the trial was planned; ask again")


def _train(
    job: Job, environment: dict[str, str], on_epoch: OnEpoch, on_pass: OnPass | None, world: World
) -> TrialRecord:
    """Train, test and measure; rank 0 saves the result."""
    _check_gpus(job)
    _check_planned(job)  # which imports the user's own code, and that may do anything to torch
    machine.plain_torch()
    torch.set_num_threads(max(1, int(job.cpus / world.size)))
    device = torch.device("cpu")
    if job.gpus > 0:
        device = torch.device("cuda", world.rank) if world.size > 1 else torch.device("cuda")
    here = machine.here(device)
    environment |= {
        "device": here.device if here.kind == "cuda" else "cpu",
        "threads": str(here.threads),
        "torch": here.torch,
        "stencil": meant(job.settings.model.stencil, device),
    }
    if world.size > 1:
        environment["ranks"] = str(world.size)
    begin = time.perf_counter()
    data = open_data(job.settings.data, job.data_dir)
    opened = time.perf_counter() - begin
    checkpoint = job.folder / "checkpoint.pt"
    model, state, tested = fit(
        job.settings,
        job.seed,
        data,
        device,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
        on_pass=on_pass,
        world=world,
    )
    memory = max(world.gather(_peak_memory_mib(device)))
    world.leave()
    environment["peak_memory_mib"] = f"{memory:.0f}"
    scores, labels, indices = tested
    every = data.split("val").clips
    clips = [every[index] for index in indices]
    predictions: dict[str, list[Any]] = {
        "clip": [clip.id for clip in clips],
        "cluster": [clip.cluster or clip.id for clip in clips],
        "label": labels.tolist(),
        "predicted": scores.argmax(axis=1).tolist(),
    }
    if data.level_name:
        predictions["level"] = [clip.level for clip in clips]
    per_class = {
        name: metrics.topk(scores[labels == i], labels[labels == i], 1) for i, name in enumerate(data.classes)
    }
    record = TrialRecord(
        trial_id=job.trial_id,
        variant=job.variant,
        seed=job.seed,
        status="done",
        last={name.removeprefix("val/"): value for name, value in validation_metrics(tested, data).items()},
        best={"epoch": state.best_entry["epoch"], "top1": state.best_entry["val/top1"]},
        per_class=per_class,
        history=state.history,
        predictions=predictions,
        skipped=_skipped(data, state, indices.tolist()),
        probes=after_fit(model, job.settings, job.seed, data, device) if world.rank == 0 else {},
        environment=environment,
        seconds=state.seconds,
        spent=state.spent | {"start": state.spent["start"] + opened},
    )
    if world.rank == 0:
        save_result(record, scores, model, job.folder)
    return record


def _skipped(data: DataSet, state: State, tested: list[int]) -> dict[str, list[str]]:
    """Ids of the clips that were left out, when the data set was indexed or when they were read, by split."""
    train, val = data.split("train").clips, data.split("val").clips
    read = {
        "train": [train[index].id for index in state.unreadable],
        "val": [val[index].id for index in sorted(set(range(len(val))).difference(tested))],
    }
    names = {split: sorted({*data.skipped.get(split, ()), *read[split]}) for split in read}
    return {split: ids for split, ids in names.items() if ids}


def after_fit(
    model: Network, settings: Settings, seed: int, data: DataSet, device: torch.device
) -> dict[str, Any]:
    """What is measured of a trial's network once it is trained, for `TrialRecord.probes`."""
    return probes.measure(model, settings, seed, data, device) if settings.train.probes else {}


def reason_of(error: BaseException, settings: Settings, ranks: int = 1) -> str:
    """One line that says why a trial failed, and what to try."""
    if disk := disk_error(error):
        return f"{disk}; give the same command to go on from its last epoch"
    words = words_of(error)
    out_of_memory = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in words
    if out_of_memory or isinstance(error, MemoryError):
        size = settings.train.batch_size
        at_once = min(math.ceil(size / ranks), settings.train.micro_batch or size)
        smaller = f"train.micro_batch: {at_once // 2}, which keeps the batch, or " if at_once > 1 else ""
        return f"out of memory at batch_size {size}; try {smaller}train.batch_size: {max(1, size // 2)}"
    if isinstance(error, (TrainingError, UserError, RankError)):
        return first_line(error)
    if "Expected more than 1 value per channel when training" in words:
        at_once = settings.train.micro_batch or math.ceil(settings.train.batch_size / ranks)
        name = "train.micro_batch" if settings.train.micro_batch else "train.batch_size"
        return (
            f"{_normaliser(error, settings)} has one value a channel to normalise, since a process sees {at_once} "
            f"clip at once; use a larger {name}, or train.freeze_batch_norm: all"
        )
    return in_a_line(error)


def _normaliser(error: BaseException, settings: Settings) -> str:
    """Whose batch norm an error is of, and of how many channels: the innermost modules on the way to it."""
    inner = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    found = [module for module in inner if isinstance(module, torch.nn.modules.batchnorm._NormBase)]
    inside = any(isinstance(module, TemporalOp) for module in inner)
    model = settings.model
    owner = f"operator {', '.join(model.operator_names)}" if inside else f"backbone {model.backbone}"
    return (
        f"{owner}: {type(found[-1]).__name__}({found[-1].num_features})" if found else f"{owner}: batch norm"
    )


def _peak_memory_mib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return in_mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
