"""What can be said of a variant without running it: parameters, multiply-adds, and memory kept for backward.

One multiply-add is one MAC; convolutions, the classifier and the operators count, taps outside the clip included;
batch norm, activations and pooling do not (as in the paper, which prints MACs as "FLOPS").
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from harness.cost.config import OWN, CostConfig
from harness.cost.memory import saved_bytes
from harness.errors import StudyError, first_line
from harness.model.build import build
from harness.model.config import ALONE, ModelConfig
from harness.model.network import Network
from harness.model.nonlocal3d import NonLocal3d
from harness.outside import blamed, is_ours
from harness.records import CostRecord
from harness.train import apart
from operators import TemporalOp
from operators.base import find_operator


def network(config: CostConfig, model: ModelConfig, num_frames: int) -> Network:
    """The variant's network at the geometry of `config`, with random weights, on the default device."""
    return build(placed(config, model), config.num_frames or num_frames, config.num_classes)


def placed(config: CostConfig, model: ModelConfig) -> ModelConfig:
    """What of a variant is costed: of its paper's width, and where it is of those that are `ALONE` its own backbone.

    Raises:
        ValueError: its operators cannot stand in the backbone of `config` as they do in its own.
    """
    own = config.backbone == OWN or model.backbone in ALONE
    backbone = model.backbone if own else config.backbone
    return dataclasses.replace(
        model.drawn(), backbone=backbone, stages=config.stages or model.stages, width=1.0
    )


def has_own_code(model: ModelConfig) -> bool:
    """Whether the user's own runs in it, which may raise anything."""
    return any("." in name for name in model.own_code)


@dataclass(frozen=True)
class Counts:
    """MACs of one clip: the network's own, and the operators' (None where one does not state them)."""

    network: int
    operators: int | None


def count_macs(model: Network, size: int) -> Counts:
    """Count by shapes alone: the model must be on the meta device, and nothing is computed."""
    macs = 0
    added: list[int | None] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        if isinstance(module, _ConvNd):
            macs += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            macs += output.numel() * module.in_features
        elif isinstance(module, TemporalOp):
            added.append(module.macs(*inputs[0].shape[3:]))
        elif isinstance(module, NonLocal3d):
            macs += module.extra_macs(inputs[0])

    bypassed = [op for _, op in model.operators()]
    hooks = [module.register_forward_hook(count) for module in model.modules()]
    for op in bypassed:  # shapes are kept by contract, and an outside operator need not run on meta tensors
        op.forward = lambda x: x  # type: ignore[method-assign]
    try:
        model.eval()(torch.empty(1, model.num_frames, model.channels, size, size, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
        for op in bypassed:
            del op.forward
    stated = [one for one in added if one is not None]
    return Counts(macs, sum(stated) if len(stated) == len(added) else None)


def count(config: CostConfig, model: ModelConfig, num_frames: int) -> CostRecord:
    """Parameters and MACs of a variant, from shapes and from what its operator states; all else is left empty.

    Raises:
        StudyError: an operator refuses the channels of a block at that geometry, or fails in what it states.
    """
    try:
        with torch.device("meta"):
            net = network(config, model, num_frames)
        counts = count_macs(net, config.size)
    except (Exception, SystemExit) as error:
        if not has_own_code(model) and not isinstance(error, ValueError):
            raise
        what = f"{', '.join(model.operator_names)} in {placed(config, model).backbone}"
        raise StudyError(
            f"cost: {what} cannot be counted: {blamed(error)}; try cost.backbone: {OWN}"
        ) from None
    params = sum(p.numel() for p in net.parameters())
    added = sum(p.numel() for _, op in net.operators() for p in op.parameters())
    return CostRecord(
        geometry={
            "backbone": placed(config, model).backbone,
            "placement": model.placement,
            "num_frames": net.num_frames,
            "size": config.size,
            "num_classes": config.num_classes,
            **({"stages": list(config.stages)} if config.stages else {}),
        },
        params_total=params,
        params_added=added,
        macs_total=None if counts.operators is None else counts.network + counts.operators,
        macs_added=counts.operators,
        batch_statistics=any(op.uses_batch_statistics for _, op in net.operators()),
    )


@dataclass(frozen=True)
class TorchCounts:
    """One clip's forward pass as torch counts it (multiply-adds, operators' own) and what it keeps for backward."""

    macs_total: int
    macs_added: int
    activation_mib: float


def count_by_torch(config: CostConfig, model: ModelConfig, num_frames: int) -> TorchCounts:
    """Run a training pass on the meta device, operators included, under torch's own counter.

    Raises:
        Exception: whatever an outside operator raises that cannot run on tensors without memory.
    """
    from torch.utils.flop_counter import FlopCounterMode  # imports a second's worth of torch

    with torch.device("meta"):
        net = network(config, model, num_frames).train()
    added, before = 0, 0

    def enter(op: nn.Module, inputs: object) -> None:
        nonlocal before
        before = counter.get_total_flops()

    def leave(op: nn.Module, inputs: object, output: object) -> None:
        nonlocal added
        added += counter.get_total_flops() - before

    hooks = [op.register_forward_pre_hook(enter) for _, op in net.operators()]
    hooks += [op.register_forward_hook(leave) for _, op in net.operators()]
    clip = torch.empty(1, net.num_frames, net.channels, config.size, config.size, device="meta")
    try:
        with FlopCounterMode(display=False) as counter:
            kept = saved_bytes(lambda: net(clip), [*net.parameters(), *net.buffers()])
            total = counter.get_total_flops()
    finally:
        for hook in hooks:
            hook.remove()
    return TorchCounts(total // 2, added // 2, kept / 2**20)  # torch counts 2 a multiply-add


def counted(config: CostConfig, model: ModelConfig, num_frames: int) -> CostRecord:
    """`count` with torch's count beside it; where the two differ, or torch has none, a warning says so.

    An operator of the user's own is run in a process of its own, whatever it does there.
    """
    record = count(config, model, num_frames)
    name = ", ".join(model.operator_names)
    try:
        if all(is_ours(find_operator(one)) for one in model.operator_names):
            by_torch = count_by_torch(config, model, num_frames)
        else:
            by_torch = apart.answer(count_by_torch, config, model, num_frames, seconds=apart.PATIENCE)
    except Exception as error:  # an operator's own, whatever it is: `count` does without running it
        why = f"torch could not run {name} without memory ({first_line(error)})"
        return dataclasses.replace(record, warnings=[f"counts: {why}; what it states was not checked"])
    warnings = []
    # 0: torch counts neither elementwise arithmetic nor an operation that it has no formula for; nothing to compare.
    if record.macs_added is not None and by_torch.macs_added not in (0, record.macs_added):
        warnings = [
            f"counts: {name} states {record.macs_added:,} added MACs, torch counts "
            f"{by_torch.macs_added:,}; check its `macs`, or the FLOP formulas of its custom operations"
        ]
    return dataclasses.replace(
        record,
        macs_counted_total=by_torch.macs_total,
        macs_counted_added=by_torch.macs_added,
        activation_mib=by_torch.activation_mib,
        warnings=warnings,
    )
