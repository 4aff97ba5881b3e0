"""The recipe: how a network is trained, from groups of parameters to learning rates, but for the loop itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.model.network import Network

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

OPTIMIZERS = ("sgd", "adamw")

SCHEDULES = ("step", "one_cycle")

GROUPS = ("plain", "tsm")

SELECT = ("last", "best")

FROZEN = ("off", "partial", "all")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How every trial of a study is trained. Defaults: MixTConv paper, Sec. 4.1; clip_gradient: its published code.

    Attributes:
        epochs: passes over the training clips.
        optimizer: "sgd" or "adamw".
        lr: the learning rate; with "one_cycle" the highest one.
        momentum: of "sgd".
        weight_decay: of every step.
        batch_size: clips per step, over all processes of the trial.
        micro_batch: most clips that a device takes at once; a step then adds up the gradients of several passes.
            0: no limit. Batch norm that is not frozen sees each pass by itself.
        groups: "plain" trains every parameter alike; "tsm" as the TSN and TSM code, see `parameter_groups`.
        freeze_batch_norm: see the function of that name.
        sync_batch_norm: normalise over the clips of all processes of a trial, not of each one (CUDA only).
        schedule: "step" multiplies lr by `gamma` at each of the `milestones` (epochs); "one_cycle" rises over the
            first `warmup` part of all steps and falls along a cosine to nothing.
        milestones: epochs at which "step" multiplies lr.
        gamma: what "step" multiplies lr by.
        warmup: the part of all steps over which "one_cycle" rises.
        label_smoothing: this part of a clip's label is shared out among all classes, in the training loss alone.
        validate_every: epochs from one validation to the next; the last epoch is always validated. 0: it alone.
        clip_gradient: largest norm of a step's gradient; 0 switches clipping off.
        select: which epoch's network is the result: the "last", or the "best" by top-1 on the validation clips, the
            first of equals, where they were validated. "best" is chosen on the clips that it is then reported on, and
            so flatters.
        precision: "fp32", or autocast to "bf16" or "fp16" (the latter scaled, on CUDA only).
        channels_last: keep channels innermost in memory; the same numbers, faster on most devices.
        compile: train and evaluate through torch.compile, which needs a C++ compiler on a CPU.
        workers: processes that load clips, for each process that trains; 0 loads in the training process.
        time_limit, stall_limit: minutes that a trial may take each time it is run, and that it may go without a pass
            through its network; then it is ended, and failed. 0: no limit.
        retries: how often a trial goes on by itself from its last epoch after an end that may not come again: its
            process was killed, or its node lost. What its own code does comes again, and is not tried again.
        probes: once trained, ask the network for more than its accuracy (harness/train/probes.py); changes no result.
    """

    epochs: int = 50
    batch_size: int = 64
    micro_batch: int = 0
    optimizer: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    groups: str = "plain"
    freeze_batch_norm: bool | str = "off"  # YAML reads a bare off as false
    sync_batch_norm: bool = False
    schedule: str = "step"
    milestones: tuple[int, ...] = (30, 40, 45)
    gamma: float = 0.1
    warmup: float = 0.25
    label_smoothing: float = 0.0
    clip_gradient: float = 20.0
    validate_every: int = 1
    select: str = "last"
    precision: str = "fp32"
    channels_last: bool = True
    compile: bool = False
    workers: int = 0
    time_limit: float = 0.0
    stall_limit: float = 0.0
    retries: int = 1
    probes: bool = True

    def __post_init__(self) -> None:
        if self.freeze_batch_norm is False:
            object.__setattr__(self, "freeze_batch_norm", "off")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is below 1")
        for name in ("lr", "gamma"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not above 0")
        limits = ("time_limit", "stall_limit")
        counts = ("micro_batch", "validate_every", "workers", "retries")
        for name in ("momentum", "weight_decay", "clip_gradient", *counts, *limits):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)} is below 0")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing: {self.label_smoothing} is not in [0, 1)")
        if not 0 < self.warmup < 1:
            raise ValueError(f"warmup: {self.warmup} is not in (0, 1)")
        for name, known in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("groups", GROUPS),
            ("freeze_batch_norm", FROZEN),
            ("select", SELECT),
            ("precision", PRECISIONS),
        ):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name}: {value!r} is none of {', '.join(known)}")

    def clips_at_once(self, ranks: int = 1) -> int:
        """Most clips that each of `ranks` processes takes through its network in one pass."""
        share = math.ceil(self.batch_size / ranks)
        return min(share, self.micro_batch or share)

    def validates(self, epoch: int) -> bool:
        """Whether the network is validated after this epoch, counted from 1."""
        return epoch == self.epochs or (self.validate_every > 0 and epoch % self.validate_every == 0)

    def check(self, on_gpu: bool, ranks: int) -> None:
        """Refuse what cannot be trained on that device, by that many processes.

        Raises:
            ValueError: "setting: rule".
        """
        if self.precision == "fp16" and not on_gpu:
            raise ValueError("precision: fp16 needs a GPU; use bf16 or fp32")
        if self.sync_batch_norm and not on_gpu:
            raise ValueError("sync_batch_norm: needs GPUs; use freeze_batch_norm, or leave it false")
        if self.batch_size < ranks:
            raise ValueError(f"batch_size: {self.batch_size} clips are too few for {ranks} processes")


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """lr of one step: `epoch` and `step` count from 0, `steps` are those of an epoch."""
    if config.schedule == "step":
        return config.lr * config.gamma ** sum(epoch >= milestone for milestone in config.milestones)
    done = (epoch * steps + step + 0.5) / (config.epochs * steps)
    if done < config.warmup:
        return config.lr * (0.04 + 0.96 * done / config.warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (done - config.warmup) / (1 - config.warmup)))


def freeze_batch_norm(model: Network, how: bool | str) -> None:
    """Freeze the backbone's batch norm: "all", or "partial": all but the first. Call it after every `model.train()`.

    As in the TSN and TSM code, frozen means that it normalises by its running statistics, which stay as they are, and
    that its scale and shift no longer learn. Batch norm inside an operator starts untrained and goes on learning.
    """
    if how != "off":
        for norm in list(_backbone_norms(model))[how == "partial" :]:
            norm.eval()
            for parameter in norm.parameters():
                parameter.requires_grad_(False)


def _backbone_norms(model: Network) -> Iterator[_BatchNorm]:
    inside = {module for _, operator in model.operators() for module in operator.modules()}
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module not in inside:
            yield module


_TSM_GROUPS = {  # name -> factors of lr and of weight decay
    "first weight": (1.0, 1.0),
    "weights": (1.0, 1.0),
    "biases": (2.0, 0.0),
    "norms": (1.0, 0.0),
    "classifier weight": (5.0, 1.0),
    "classifier bias": (10.0, 0.0),
}

_NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)


def parameter_groups(config: TrainConfig, model: Network) -> list[dict[str, Any]]:
    """Every parameter that learns, in exactly one group of an optimiser.

    "plain" is one group. "tsm" has those of the TSN and TSM code: lr x2 for biases, x5 for the classifier's weight,
    x10 for its bias; no weight decay of biases and normalisation. Whatever else an operator holds is a weight.

    Returns:
        Groups with `name`, `params`, `weight_decay`, and `lr_factor`, by which the loop multiplies the schedule's lr.
    """
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if config.groups == "plain":
        params = [p for _, p in learning]
        return [{"name": "all", "params": params, "lr_factor": 1.0, "weight_decay": config.weight_decay}]
    norms = {id(p) for m in model.modules() if isinstance(m, _NORMS) for p in m.parameters(recurse=False)}
    members: dict[str, list[nn.Parameter]] = {name: [] for name in _TSM_GROUPS}
    for name, parameter in learning:
        members["norms" if id(parameter) in norms else _tsm_group(name)].append(parameter)
    return [
        {
            "name": name,
            "params": members[name],
            "lr_factor": lr_factor,
            "weight_decay": decay_factor * config.weight_decay,
        }
        for name, (lr_factor, decay_factor) in _TSM_GROUPS.items()
        if members[name]
    ]


def _tsm_group(name: str) -> str:
    special = {"fc.weight": "classifier weight", "fc.bias": "classifier bias", "conv1.weight": "first weight"}
    name = name.removeprefix("head.")
    own_name = name.rpartition(".")[2]
    return special.get(name) or ("biases" if own_name.startswith("bias") else "weights")


def make_optimizer(config: TrainConfig, model: Network) -> torch.optim.Optimizer:
    """The optimiser over `parameter_groups`."""
    groups = parameter_groups(config, model)
    on_cpu = all(p.device.type == "cpu" for group in groups for p in group["params"])
    fused = True if on_cpu else None  # there it is not torch's choice, and takes 40 % of the time (AdamW)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, config.lr, momentum=config.momentum, fused=fused)
    return torch.optim.AdamW(groups, config.lr, fused=fused)
