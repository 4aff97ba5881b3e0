"""How much memory a training step takes, from shapes alone: nothing is computed, no data and no GPU are needed.

An estimate from below: to what the step itself keeps come the convolution library's workspaces, what its allocator
holds back, and the CUDA context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.data.config import DataConfig
from harness.model.build import build
from harness.model.config import ModelConfig
from harness.train.recipe import PRECISIONS, TrainConfig


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes that one process holds at the end of a step's forward pass, when it holds the most.

    clips: of one pass of one process.
    weights: parameters and buffers.
    gradients: and where several processes share a batch, the copy of them that is sent around.
    optimiser: its state; SGD keeps one number a parameter, AdamW two.
    activations: what the backward pass needs, the normalised frames included.
    frames: the batch as it was loaded, one byte a value.
    """

    clips: int
    weights: int
    gradients: int
    optimiser: int
    activations: int
    frames: int

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return self.weights + self.gradients + self.optimiser + self.activations + self.frames


def step_memory(
    model: ModelConfig, data: DataConfig, train: TrainConfig, num_classes: int, clips: int, ranks: int = 1
) -> StepMemory:
    """Of one training step of one of `ranks` processes, with `clips` clips in each of them.

    Raises:
        Exception: whatever an outside operator raises that cannot run on tensors without memory.
    """
    settings = (model.drawn(), data.num_frames, num_classes)
    where, mixed = _without_memory(train.precision)
    with where:
        network = build(*settings).train()
        shape = (clips, data.num_frames, network.channels, data.crop, data.crop)
        frames, labels = torch.empty(shape), torch.zeros(clips, dtype=torch.long)
        with mixed:
            activations = saved_bytes(
                lambda: nn.functional.cross_entropy(network(frames).float(), labels),
                [*network.parameters(), *network.buffers()],
            )
    parameters = sum(_size(p) for p in network.parameters())
    return StepMemory(
        clips=clips,
        weights=parameters + sum(_size(b) for b in network.buffers()),
        gradients=parameters * (1 if ranks == 1 else 2),
        optimiser=parameters * (2 if train.optimizer == "adamw" else bool(train.momentum)),
        activations=activations,
        frames=frames.numel(),
    )


def saved_bytes(forward: Callable[[], Tensor], own: Iterable[Tensor] = ()) -> int:
    """What autograd keeps of a forward pass, each memory once; `own` (parameters, buffers) does not count."""
    known = {tensor.untyped_storage()._cdata for tensor in own}
    kept: dict[int, Tensor] = {}  # by storage; the tensors stay alive, so that no address comes twice

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(t.untyped_storage().nbytes() for storage, t in kept.items() if storage not in known)


def _without_memory(precision: str) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
    """Where tensors have shapes alone, and the autocast of a precision. The meta device knows no autocast."""
    if precision == "fp32":
        return torch.device("meta"), nullcontext()
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(), torch.autocast("cpu", PRECISIONS[precision])


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
