"""The one loop: trains and evaluates a trial. Knows neither Ray nor MLflow.

Every random draw's seed depends on the trial's seed and on what it is for (harness/seeds.py), so a trial resumed
from its last saved epoch ends where an unbroken one would.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from harness import allocator, metrics, weights
from harness.data import PROTOCOLS, DataConfig, DataSet, open_data, train_batches
from harness.errors import UserError
from harness.evaluation import PRECISIONS, autocast, evaluate, to_device
from harness.model import ModelConfig, MSTNet, to_memory_format
from harness.records import TrialRecord, to_json
from harness.seeds import seed_for

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("step", "one_cycle")

OnEpoch = Callable[[dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How every trial of a study is trained. Defaults: MixTConv paper, Sec. 4.1; clip_gradient: its published code.

    Attributes:
        batch_size: clips per step.
        schedule: "step" multiplies lr by `gamma` at each of the `milestones` (epochs); "one_cycle" rises over the
            first `warmup` part of all steps and falls along a cosine to nothing.
        clip_gradient: largest norm of a step's gradient; 0 switches clipping off.
        precision: "fp32", or autocast to "bf16" or "fp16" (the latter scaled, on CUDA only).
        channels_last: keep channels innermost in memory; the same numbers, faster on most devices.
        workers: processes that load clips; 0 loads in the training process.
    """

    epochs: int = 50
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "step"
    milestones: tuple[int, ...] = (30, 40, 45)
    gamma: float = 0.1
    warmup: float = 0.25
    clip_gradient: float = 20.0
    precision: str = "fp32"
    channels_last: bool = True
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is below 1")
        for name in ("lr", "gamma"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not above 0")
        for name in ("momentum", "weight_decay", "clip_gradient", "workers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)} is below 0")
        if not 0 < self.warmup < 1:
            raise ValueError(f"warmup: {self.warmup} is not in (0, 1)")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: {getattr(self, name)!r} is none of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything but the seed that decides a trial's result."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial and where to run it; travels to the process that trains it.

    folder: the trial's own folder, for its checkpoint and then its result, on storage that the driver sees too.
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
    import_paths: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


class TrainingError(Exception):
    """A trial cannot go on for a reason that lies in its settings, such as a loss that is not a number."""


@dataclass
class State:
    """What a checkpoint holds besides weights and optimiser: the past."""

    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """lr of one step: `epoch` and `step` count from 0, `steps` are those of an epoch."""
    if config.schedule == "step":
        return config.lr * config.gamma ** sum(epoch >= milestone for milestone in config.milestones)
    done = (epoch * steps + step + 0.5) / (config.epochs * steps)
    if done < config.warmup:
        return config.lr * (0.04 + 0.96 * done / config.warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (done - config.warmup) / (1 - config.warmup)))


def make_optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """One group with every parameter."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
    return torch.optim.AdamW(model.parameters(), config.lr, weight_decay=config.weight_decay)


def fit(
    settings: Settings,
    seed: int,
    data: DataSet,
    device: torch.device,
    *,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch = lambda entry: None,
) -> tuple[MSTNet, State, np.ndarray]:
    """Train from the start, or from `checkpoint` where there is one, to the last epoch.

    Args:
        checkpoint: written after every epoch, atomically.
        on_epoch: called after every epoch with its entry of the history, before the checkpoint is written;
            on resuming it is called for the epochs already done too.

    Returns:
        The network, the history (validated on one centre crop of each video), and the last epoch's scores
        (videos, classes) under the study's test protocol.

    Raises:
        TrainingError: the loss is not finite.
    """
    config = settings.train
    if config.precision == "fp16" and device.type != "cuda":
        raise TrainingError("precision fp16 needs a GPU; use bf16 or fp32")
    model = MSTNet(settings.model, settings.data.num_frames, len(data.classes), seed).to(device)
    if config.channels_last:
        to_memory_format(model, torch.channels_last)
    optimizer = make_optimizer(config, model)
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    state = State()
    scores: np.ndarray | None = None  # none yet if resumed after the last epoch
    validation, test = PROTOCOLS["center_1clip"], settings.data.test.resolved()
    same_views = (test.views(), test.size) == (validation.views(), validation.size)
    if checkpoint is not None and checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        scaler.load_state_dict(saved["scaler"])
        state = State(saved["history"], saved["seconds"])
        for entry in state.history:
            on_epoch(entry)
    while state.epoch < config.epochs:
        begin = time.perf_counter()
        entry = {"epoch": float(state.epoch + 1)}
        entry |= _train_epoch(model, optimizer, scaler, settings, seed, data, device, state.epoch)
        scores, labels, _ = evaluate(model, settings, data, device, protocol=validation)
        entry |= _validation(scores, labels, data)
        entry["time/epoch_s"] = time.perf_counter() - begin
        state.history.append(entry)
        state.seconds += entry["time/epoch_s"]
        on_epoch(entry)
        if checkpoint is not None:
            _save(checkpoint, model, optimizer, scaler, state)
    if scores is None or not same_views:
        scores, _, _ = evaluate(model, settings, data, device)
    return model, state, scores


def _train_epoch(
    model: MSTNet,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    settings: Settings,
    seed: int,
    data: DataSet,
    device: torch.device,
    epoch: int,
) -> dict[str, float]:
    config = settings.train
    model.train()
    torch.manual_seed(seed_for(seed, "epoch", epoch))  # for an operator that draws; nothing of ours does
    batches = train_batches(data.split("train"), config.batch_size, seed, epoch, workers=config.workers)
    steps = len(batches)
    losses, right, clips, lr, busy = [], 0, 0, 0.0, time.perf_counter()
    for step, (frames, labels, _, _) in enumerate(batches):
        if not len(labels):  # none of its clips can be read
            continue
        lr = learning_rate(config, epoch, step, steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        model.dropout.seed = seed_for(seed, "dropout", epoch, step)
        inputs, labels = to_device(frames, config, device), labels.to(device)
        with autocast(config, device):
            scores = model(inputs)
            loss = nn.functional.cross_entropy(scores.float(), labels)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"loss is {loss.item()} at epoch {epoch + 1}, step {step + 1}; try a lower train.lr"
            )
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        if config.clip_gradient > 0:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_gradient)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item() * len(labels))
        right += int((scores.argmax(1) == labels).sum())
        clips += len(labels)
    return {
        "train/loss": sum(losses) / clips,
        "train/top1": 100.0 * right / clips,
        "train/lr": lr,
        "train/clips_per_s": clips / (time.perf_counter() - busy),
    }


def _validation(scores: np.ndarray, labels: np.ndarray, data: DataSet) -> dict[str, float]:
    """The history's entry for one evaluation: accuracies, and the mean cross-entropy."""
    top = scores.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(scores - top).sum(axis=1)) + top[:, 0]
    result = {"val/loss": float((log_sum - scores[np.arange(len(labels)), labels]).mean())}
    for name, value in metrics.accuracies(scores, labels, data.groups).items():
        result[name if "/" in name else f"val/{name}"] = value
    return result


def _save(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, state: State
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.partial")
    saved = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "history": state.history,
        "seconds": state.seconds,
    }
    torch.save(saved, temporary)
    os.replace(temporary, path)


def run_trial(job: Job, on_epoch: OnEpoch = lambda entry: None) -> TrialRecord:
    """Train a trial in this process and leave its result in `job.folder`; a failure is a record too.

    Anything but KeyboardInterrupt and SystemExit becomes a record with status "failed" and its reason.
    The folder then holds `result.json` and `scores.npz`, or `traceback.txt`.
    """
    how = allocator.keep_freed_memory()
    for path in reversed(job.import_paths):
        if path not in sys.path:
            sys.path.insert(0, path)
    environment = dict(job.environment) | {"allocator": how}
    try:
        return _run_trial(job, environment, on_epoch)
    except Exception as error:
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "traceback.txt").write_text(traceback.format_exc())
        return TrialRecord(
            trial_id=job.trial_id, variant=job.variant, seed=job.seed,
            status="failed", reason=reason_of(error, job.settings), environment=environment,
        )  # fmt: skip


def _run_trial(job: Job, environment: dict[str, str], on_epoch: OnEpoch) -> TrialRecord:
    threads = max(1, int(job.cpus))
    torch.set_num_threads(threads)
    device = torch.device("cpu")
    if job.gpus > 0:
        if not torch.cuda.is_available():
            raise TrainingError(f"resources.gpus is {job.gpus:g}, but torch {torch.__version__} sees no GPU")
        device = torch.device("cuda")
        torch.backends.cudnn.benchmark = False
    environment |= {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": str(threads),
        "torch": torch.__version__,
    }
    start, planned = job.settings.model.weights, job.environment.get("weights")
    if start and planned and (found := weights.describe(Path(start))) != planned:
        raise TrainingError(f"model.weights: {start} is now {found}; the trial was planned with {planned}")
    data = open_data(job.settings.data, job.data_dir)
    checkpoint = job.folder / "checkpoint.pt"
    _, state, scores = fit(job.settings, job.seed, data, device, checkpoint=checkpoint, on_epoch=on_epoch)
    val = data.split("val")
    labels = np.asarray(val.labels)
    best = max(state.history, key=lambda entry: entry["val/top1"])
    per_class = {
        name: metrics.topk(scores[labels == i], labels[labels == i], 1) for i, name in enumerate(data.classes)
    }
    last = {name.removeprefix("val/"): value for name, value in _validation(scores, labels, data).items()}
    record = TrialRecord(
        trial_id=job.trial_id,
        variant=job.variant,
        seed=job.seed,
        status="done",
        last=last,
        best={"epoch": best["epoch"], "top1": best["val/top1"]},
        per_class=per_class,
        history=state.history,
        predictions={
            "clip": [clip.id for clip in val.clips],
            "label": labels.tolist(),
            "predicted": scores.argmax(axis=1).tolist(),
        },
        environment=environment | {"peak_memory_mib": f"{_peak_memory_mib(device):.0f}"},
        seconds=state.seconds,
    )
    save_result(record, scores, job.folder)
    return record


def save_result(record: TrialRecord, scores: np.ndarray, folder: Path) -> None:
    """Write `scores.npz`, then `result.json`, then drop the checkpoint: a result is whole or not there."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "scores.npz", scores=scores.astype(np.float32))
    temporary = folder / "result.json.partial"
    temporary.write_text(json.dumps(to_json(record)))
    os.replace(temporary, folder / "result.json")
    for leftover in folder.glob("checkpoint*"):
        leftover.unlink()


def saved_result(folder: Path) -> TrialRecord | None:
    """The result that an earlier run left in a trial's folder, if it is whole."""
    try:
        return TrialRecord(**json.loads((folder / "result.json").read_text()))
    except FileNotFoundError:
        return None


def discard(folder: Path) -> None:
    """Forget a trial's checkpoint and result."""
    shutil.rmtree(folder, ignore_errors=True)


def reason_of(error: BaseException, settings: Settings) -> str:
    """One line that says why a trial failed, and what to try."""
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    out_of_memory = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    if out_of_memory or isinstance(error, MemoryError):
        size = settings.train.batch_size
        return f"out of memory at batch_size {size}; try train.batch_size: {max(1, size // 2)}"
    if isinstance(error, (TrainingError, UserError)):
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


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as nested dicts of plain values, for hashing, tracking and reports."""
    import dataclasses

    result: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings)))
    return result
