"""The one loop: trains a network to its last epoch, and goes on from a checkpoint. Knows neither Ray nor MLflow.

Every random draw's seed depends on the trial's seed and on what it is for (harness/seeds.py), so a trial resumed
from its last saved epoch ends where an unbroken one would.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from harness.data.batches import TrainBatches
from harness.data.dataset import DataSet
from harness.data.views import PROTOCOLS, TestProtocol
from harness.errors import TrainingError
from harness.model.build import build
from harness.model.network import Network, to_memory_format
from harness.seeds import seed_for
from harness.train.checkpoint import Learner, State, load, save
from harness.train.evaluation import (
    Evaluation,
    autocast,
    evaluate,
    merge,
    shard,
    to_device,
    validation_metrics,
)
from harness.train.ranks import ALONE, World
from harness.train.recipe import freeze_batch_norm, learning_rate, make_optimizer
from harness.train.settings import Settings
from harness.train.stopwatch import Stopwatch

_CHECK = "`python -m harness.data check ROOT --decode` says why"

OnEpoch = Callable[[dict[str, float]], None]

OnPass = Callable[[], None]


def fit(
    settings: Settings,
    seed: int,
    data: DataSet,
    device: torch.device,
    *,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch = lambda entry: None,
    on_pass: OnPass | None = None,
    world: World = ALONE,
) -> tuple[Network, State, Evaluation]:
    """Train from the start, or from `checkpoint` where there is one, to the last epoch.

    Args:
        checkpoint: written after every epoch, atomically.
        on_epoch: called after every epoch with its entry of the history, before the checkpoint is written;
            on resuming it is called for the epochs already done too.
        on_pass: called after a pass of the network that is returned, now and later, at most once a second.
        world: of which rank this process is; all ranks call `fit` alike, and get the same returned.

    Returns:
        The network that is the trial's result, the history (validated on one centre crop of each video), and that
        network's scores of the validation videos under the study's test protocol.

    Raises:
        TrainingError: the loss or a score is not finite, the settings cannot be trained on this device, or the
            checkpoint is damaged or of another network.
    """
    config = settings.train
    training = _Training(settings, seed, data, device, world)
    if on_pass is not None:
        _tell(training.model, on_pass)
    state = State()
    if checkpoint is not None and checkpoint.exists():
        state = load(checkpoint, training.learner)
        for entry in state.history:
            on_epoch(entry)
    training.join()
    watch = training.watch
    watch.lap("start")
    for name, seconds in watch.spent.items():  # what a resumed trial spent before counts too
        state.spent[name] = state.spent.get(name, 0.0) + seconds
    watch.spent = state.spent
    validation, test = PROTOCOLS["center_1clip"], settings.data.test.resolved()
    tested: Evaluation | None = None  # none yet if resumed after the last epoch
    while state.epoch < config.epochs:
        begin = time.perf_counter()
        entry = {"epoch": float(state.epoch + 1)}
        entry |= training.epoch(state.epoch)
        validated = config.validates(state.epoch + 1)
        if validated:
            tested = training.evaluate(validation)
            watch.lap("evaluate")
            if not len(tested.labels):
                raise TrainingError(f"no validation clip can be read; {_CHECK}")
            entry |= validation_metrics(tested, data)
        entry["time/epoch_s"] = time.perf_counter() - begin
        state.unreadable = sorted(training.unreadable.union(state.unreadable))
        state.history.append(entry)
        state.seconds += entry["time/epoch_s"]
        if validated and config.select == "best" and state.best_entry is entry:
            state.best = {name: value.cpu().clone() for name, value in training.model.state_dict().items()}
        on_epoch(entry)
        watch.lap("report")
        if checkpoint is not None and world.rank == 0:
            save(checkpoint, state, training.learner)
            watch.lap("save")
    if state.best and state.best_entry is not state.history[-1]:
        training.model.load_state_dict(state.best)
        tested = None
    if tested is None or (test.views(), test.size) != (validation.views(), validation.size):
        tested = training.evaluate(test)
        watch.lap("evaluate")
    return training.model, state, tested


class _Training:
    """A network in training, on one rank."""

    def __init__(
        self, settings: Settings, seed: int, data: DataSet, device: torch.device, world: World
    ) -> None:
        self.watch = Stopwatch()
        config = settings.train
        try:
            config.check(device.type == "cuda", world.size)
        except ValueError as error:
            raise TrainingError(f"train.{error}") from None
        self.settings, self.seed, self.data, self.device, self.world = settings, seed, data, device, world
        self.model = build(settings.model, settings.data.num_frames, len(data.classes), seed).to(device)
        if config.channels_last:
            to_memory_format(self.model, torch.channels_last)
        if config.sync_batch_norm and world.size > 1:
            nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        freeze_batch_norm(self.model, config.freeze_batch_norm)  # what does not learn is in no group
        self.optimizer = make_optimizer(config, self.model)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.learner = Learner(self.model, self.optimizer, self.scaler)
        if config.compile:
            # Its seed changes with every step, which would compile it anew each time.
            self.model.dropout.forward = torch.compiler.disable(self.model.dropout.forward)  # type: ignore[method-assign]
            self.model.compile()
        self.network: nn.Module = self.model
        self.unreadable: set[int] = set()
        self._gradients_checked = False
        self.batches = TrainBatches(
            data.split("train"),
            config.batch_size,
            seed,
            config.workers,
            rank=world.rank,
            world=world.size,
            pin=device.type == "cuda",
        )

    def join(self) -> None:
        """Meet the other ranks; from here on all of them must take the same steps."""
        self.network = self.world.wrap(self.model, self.device)

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train one epoch, counted from 0. Returns the history's entry for it, of all ranks together."""
        config, world = self.settings.train, self.world
        self.model.train()
        freeze_batch_norm(self.model, config.freeze_batch_norm)
        _seed_all(seed_for(self.seed, "epoch", epoch, *([world.rank] if world.rank else [])))
        steps = len(self.batches)
        losses, right, clips, lr, busy = [], 0, 0, 0.0, time.perf_counter()
        for step, (frames, labels, _, unreadable) in enumerate(self.batches.epoch(epoch)):
            self.watch.lap("data")
            self.unreadable.update(unreadable.tolist())
            lr = learning_rate(config, epoch, step, steps)
            for group in self.optimizer.param_groups:
                group["lr"] = lr * group["lr_factor"]
            self.model.dropout.seed = seed_for(self.seed, "dropout", epoch, step)
            loss, hits = self._step(frames, labels, f"epoch {epoch + 1}, step {step + 1}")
            losses.append(loss * len(labels))
            right += hits
            clips += len(labels)
        busy = time.perf_counter() - busy
        self.unreadable = set().union(*world.gather(self.unreadable))
        loss_sum, right_sum, clip_sum = world.sums([sum(losses), right, clips])
        if not clip_sum:
            raise TrainingError(f"epoch {epoch + 1}: not one training clip can be read; {_CHECK}")
        return {
            "train/loss": loss_sum / clip_sum,
            "train/top1": 100.0 * right_sum / clip_sum,
            "train/lr": lr,
            "train/clips_per_s": clip_sum / busy,
        }

    def _step(self, frames: Tensor, labels: Tensor, place: str) -> tuple[float, int]:
        """One step of the optimiser over the batch of all ranks, of which `frames` and `labels` are this one's part.

        Returns:
            The mean loss of this rank's clips, and how many of them were scored right.
        """
        config, world = self.settings.train, self.world
        counts = world.counts(len(labels))
        if sum(counts) == 0:  # none of the whole batch can be read
            return 0.0, 0
        if min(counts) == 0:
            raise TrainingError(f"{place}: a process has no clip that can be read in its part of the batch")
        before, whole = sum(counts[: world.rank]), sum(counts)
        together = max(counts) if config.sync_batch_norm and world.size > 1 else 0
        parts = passes(len(labels), config.micro_batch, together)
        if together and min(counts) < len(parts):
            raise TrainingError(
                f"{place}: a process has fewer clips that can be read than the {len(parts)} passes that batch norm "
                "over all processes needs; use a larger train.micro_batch"
            )
        self.optimizer.zero_grad(set_to_none=True)
        total, hits = 0.0, 0
        for part in parts:
            inputs, wanted = to_device(frames[part], config, self.device), labels[part].to(self.device)
            self.watch.lap("input")
            self.model.dropout.clips_before = before + part.start
            last = part == parts[-1]
            with contextlib.nullcontext() if last else world.unsynchronised(self.network):
                with autocast(config, self.device):
                    scores = self.network(inputs)
                    loss = nn.functional.cross_entropy(
                        scores.float(), wanted, label_smoothing=config.label_smoothing
                    )
                if not torch.isfinite(loss):
                    raise TrainingError(f"diverged: loss is {loss.item()} at {place}; try a lower train.lr")
                self.watch.lap("forward")
                # Ranks average their gradients, so that each clip of the whole batch weighs alike.
                share = len(wanted) * world.size / whole
                self.scaler.scale(loss if share == 1 else loss * share).backward()
            total += loss.item() * len(wanted)
            hits += int((scores.argmax(1) == wanted).sum())
            self.watch.lap("backward")
        self._check_gradients()
        if config.clip_gradient > 0:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_gradient)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.watch.lap("optimizer")
        return total / len(labels), hits

    def _check_gradients(self) -> None:
        """Ranks wait for each other's gradient of every parameter, in vain for one that the loss does not depend on."""
        if self.world.size == 1 or self._gradients_checked:
            return
        self._gradients_checked = True
        unused = [name for name, p in self.model.named_parameters() if p.requires_grad and p.grad is None]
        if unused:
            operator, ranks = ", ".join(self.settings.model.operator_names), self.world.size
            others = f" and {len(unused) - 1} more" if len(unused) > 1 else ""
            raise TrainingError(
                f"operator {operator}: the loss does not depend on its parameter {unused[0]}{others}, and with "
                f"resources.ranks: {ranks} every parameter needs a gradient; take it out, or use resources.ranks: 1"
            )

    def evaluate(self, protocol: TestProtocol) -> Evaluation:
        """The validation videos under a protocol, shared out among the ranks, each video once."""
        world = self.world
        world.share_buffers(self.model)
        own = shard(len(self.data.split("val")), world.rank, world.size)
        at_once = self.settings.train.clips_at_once(world.size)
        what = (self.model, self.settings, self.data, self.device)
        part = evaluate(*what, protocol=protocol, indices=own, at_once=at_once)
        return merge(world.gather(part))


def passes(own: int, micro_batch: int, together: int = 0) -> list[slice]:
    """Which of its `own` clips a process takes through the network at once, at most `micro_batch` of them (0: all).

    Args:
        together: the most clips that any process has, where all must take equally many passes, as batch norm over
            processes needs: in each of them every process waits for the others. 0: each for itself.
    """
    size = micro_batch or max(own, together)
    if not together:
        return [slice(start, min(start + size, own)) for start in range(0, own, size)]
    count = math.ceil(together / size)
    return [slice(own * i // count, own * (i + 1) // count) for i in range(count)]


def _tell(model: nn.Module, on_pass: OnPass) -> None:
    told = 0.0

    def hook(*_: object) -> None:
        nonlocal told
        now = time.monotonic()
        if now >= told + 1.0:
            told = now
            on_pass()

    model.register_forward_hook(torch.compiler.disable(hook))


def _seed_all(seed: int) -> None:
    """For an operator that draws, from whichever generator; nothing of ours does."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
