"""A trial: trained in this process or by several ranks, its result left in its folder; a failure is a result too."""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from harness import machine, metrics
from harness.data.dataset import DataSet, open_data
from harness.errors import TrainingError, UserError
from harness.model import weights
from harness.model.mstnet import MSTNet
from harness.outside import import_from
from harness.records import TrialRecord, to_json
from harness.train import probes, ranks
from harness.train.checkpoint import State
from harness.train.evaluation import validation_metrics
from harness.train.loop import OnEpoch, fit
from harness.train.ranks import ALONE, RankError, World
from harness.train.result import save_result
from harness.train.settings import Settings
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


def run_trial(job: Job, on_epoch: OnEpoch = lambda entry: None) -> TrialRecord:
    """Train a trial, in this process or in ranks spawned by it, and leave its result in `job.folder`.

    Anything but KeyboardInterrupt and SystemExit becomes a record with status "failed" and its reason.
    The folder then holds `traceback.txt`; else `result.json`, `scores.npz` and `model.pt`, the network's state dict.
    """
    environment = _prepare(job)
    try:
        if job.ranks == 1:
            return _train(job, environment, on_epoch, ALONE)
        return _train_in_ranks(job, on_epoch)
    except Exception as error:
        details = error.details if isinstance(error, RankError) else traceback.format_exc()
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "traceback.txt").write_text(details or f"{error}\n")
        return TrialRecord(
            trial_id=job.trial_id,
            variant=job.variant,
            seed=job.seed,
            status="failed",
            reason=reason_of(error, job.settings, job.ranks),
            environment=environment,
        )


def _prepare(job: Job) -> dict[str, str]:
    """Set up a process that trains. Returns what the record says of it so far."""
    how = machine.keep_freed_memory()
    import_from(*job.import_paths)
    return dict(job.environment) | {"allocator": how}


def _train_in_ranks(job: Job, on_epoch: OnEpoch) -> TrialRecord:
    records: list[TrialRecord] = []

    def on_message(message: dict[str, Any]) -> None:
        if "entry" in message:
            on_epoch(message["entry"])
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

    record = _train(job, environment, on_epoch, world)
    if world.rank == 0:
        say({"record": to_json(record)})


def _check_gpus(job: Job) -> None:
    if job.gpus > 0:
        there = torch.cuda.device_count()
        if not there:
            raise TrainingError(f"resources.gpus is {job.gpus:g}, but torch {torch.__version__} sees no GPU")
        if there < job.gpus:
            raise TrainingError(f"resources.gpus is {job.gpus:g}, but torch sees only {there}")


def _train(job: Job, environment: dict[str, str], on_epoch: OnEpoch, world: World) -> TrialRecord:
    """Train, test and measure; rank 0 saves the result."""
    torch.set_num_threads(max(1, int(job.cpus / world.size)))
    _check_gpus(job)
    device = torch.device("cpu")
    if job.gpus > 0:
        device = torch.device("cuda", world.rank) if world.size > 1 else torch.device("cuda")
        torch.backends.cudnn.benchmark = False
    here = machine.here(device)
    environment |= {
        "device": here.device if here.kind == "cuda" else "cpu",
        "threads": str(here.threads),
        "torch": here.torch,
        "stencil": meant(job.settings.model.stencil, device),
    }
    if world.size > 1:
        environment["ranks"] = str(world.size)
    start, planned = job.settings.model.weights, job.environment.get("weights")
    if start and planned and (found := weights.describe(Path(start))) != planned:
        raise TrainingError(f"model.weights: {start} is now {found}; the trial was planned with {planned}")
    begin = time.perf_counter()
    data = open_data(job.settings.data, job.data_dir)
    opened = time.perf_counter() - begin
    checkpoint = job.folder / "checkpoint.pt"
    model, state, tested = fit(
        job.settings, job.seed, data, device, checkpoint=checkpoint, on_epoch=on_epoch, world=world
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
    model: MSTNet, settings: Settings, seed: int, data: DataSet, device: torch.device
) -> dict[str, Any]:
    """What is measured of a trial's network once it is trained, for `TrialRecord.probes`."""
    return probes.measure(model, settings, seed, data, device) if settings.train.probes else {}


def reason_of(error: BaseException, settings: Settings, ranks: int = 1) -> str:
    """One line that says why a trial failed, and what to try."""
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    out_of_memory = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    if out_of_memory or isinstance(error, MemoryError):
        size = settings.train.batch_size
        at_once = min(math.ceil(size / ranks), settings.train.micro_batch or size)
        smaller = f"train.micro_batch: {at_once // 2}, which keeps the batch, or " if at_once > 1 else ""
        return f"out of memory at batch_size {size}; try {smaller}train.batch_size: {max(1, size // 2)}"
    if isinstance(error, (TrainingError, UserError, RankError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _peak_memory_mib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
