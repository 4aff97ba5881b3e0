"""Scores of a network on a split under a test protocol: several views of each video, fused into one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from harness import metrics
from harness.data.batches import eval_batches
from harness.data.dataset import DataSet
from harness.data.transforms import normalise
from harness.data.views import TestProtocol
from harness.errors import TrainingError
from harness.train.recipe import PRECISIONS, TrainConfig
from harness.train.settings import Settings


class Evaluation(NamedTuple):
    """One row a video.

    scores: (videos, classes) float32. Their softmax is the video's probabilities, however it was fused.
    labels: (videos,) int64.
    indices: (videos,) int64, places within the split.
    """

    scores: np.ndarray
    labels: np.ndarray
    indices: np.ndarray


@torch.no_grad()
def evaluate(
    model: nn.Module,
    settings: Settings,
    data: DataSet,
    device: torch.device,
    *,
    split: str = "val",
    protocol: TestProtocol | None = None,
    indices: Sequence[int] | None = None,
    order: str = "as_is",
    seed: int = 0,
    at_once: int = 0,
) -> Evaluation:
    """Show every video once to the network, which is left in evaluation mode.

    Videos that cannot be read have no row, where `data.on_unreadable` lets them be skipped.

    Args:
        model: (N, T, 3, H, W) -> (N, classes), for any H and W.
        protocol: the settings' own (`data.test`) without it.
        indices: which videos, as of `shard`; the whole split without it.
        order: in which order the frames are shown, one of harness.data.ORDERS; the frames are the same ones.
        seed: decides the order "shuffled".
        at_once: most views in one pass, so that a test of many views never needs more memory than training does;
            without it, as many as a process that trains alone has.

    Raises:
        TrainingError: a score is not finite.
    """
    model.eval()
    config = settings.train
    at_once = at_once or config.clips_at_once()
    protocol = protocol or settings.data.test.resolved()
    batches = eval_batches(
        data.split(split),
        at_once,
        config.workers,
        protocol=protocol,
        indices=indices,
        order=order,
        seed=seed,
        pin=device.type == "cuda",
    )
    scores = [torch.empty(0, len(data.classes))]
    labels, places = [torch.empty(0, dtype=torch.int64)], [torch.empty(0, dtype=torch.int64)]
    for clips, label, index, _ in batches:
        if not len(label):  # none of its videos can be read
            continue
        scores.append(score(model, clips, config, device, protocol, data.mirrored, at_once))
        labels.append(label)
        places.append(index)
    return Evaluation(torch.cat(scores).numpy(), torch.cat(labels).numpy(), torch.cat(places).numpy())


@torch.no_grad()
def score(
    model: nn.Module,
    clips: Tensor,
    config: TrainConfig,
    device: torch.device,
    protocol: TestProtocol,
    mirrored: Sequence[int],
    at_once: int,
) -> Tensor:
    """Scores of whole videos, each a row: (N * views, T, 3, side, side) uint8 -> (N, classes) float32, on the CPU.

    Args:
        clips: all views of each video, in the protocol's order.
        mirrored: the class that each class becomes in a mirror.
        at_once: most views in one pass.

    Raises:
        TrainingError: a score is not finite.
    """
    views = protocol.views()
    inputs = to_device(clips, config, device)
    with autocast(config, device):
        parts = [model(some).float() for some in inputs.split(at_once)]
    logits = torch.cat(parts).unflatten(0, (-1, len(views)))
    if protocol.mirror == "swap_labels":
        turned = [place for place, view in enumerate(views) if view.mirrored]
        logits[:, turned] = logits[:, turned][:, :, mirrored]
    if not logits.isfinite().all():
        raise TrainingError("diverged: scores of clips are not finite in eval; try a lower train.lr")
    return fuse(logits, protocol.fusion).cpu()


def fuse(logits: Tensor, fusion: str) -> Tensor:
    """Scores of all views of a video -> its own: (N, views, classes) -> (N, classes).

    "logits": their mean. "scores": the logarithm of the mean of the views' probabilities, so that the softmax of
    the result is that mean. A single view is passed through.
    """
    if logits.shape[1] == 1:
        return logits[:, 0]
    if fusion == "logits":
        return logits.mean(dim=1)
    return logits.log_softmax(dim=2).logsumexp(dim=1) - np.log(logits.shape[1])


def shard(size: int, rank: int, world: int) -> list[int]:
    """The videos of one process of `world`: every video in exactly one, none of them padded."""
    return list(range(rank, size, world))


def merge(parts: Sequence[Evaluation]) -> Evaluation:
    """What the processes evaluated, in the order of the split.

    Raises:
        ValueError: a video was evaluated twice.
    """
    scores, labels, indices = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(indices, kind="stable")
    if len(np.unique(indices)) < len(indices):
        raise ValueError("a video was evaluated by two processes")
    return Evaluation(scores[order], labels[order], indices[order])


def to_device(clips: Tensor, config: TrainConfig, device: torch.device) -> Tensor:
    """uint8 (N, T, 3, H, W) -> normalised floats on the device, in the memory format of the study."""
    x = normalise(clips.to(device, non_blocking=True))
    n = x.shape[0]
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    return x.flatten(0, 1).contiguous(memory_format=layout).unflatten(0, (n, -1))


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Mixed precision as the study asks; nothing changes under fp32."""
    return torch.autocast(device.type, PRECISIONS[config.precision], enabled=config.precision != "fp32")


def validation_metrics(result: Evaluation, data: DataSet) -> dict[str, float]:
    """An evaluation of the validation videos in numbers: accuracies, and the mean cross-entropy."""
    scores, labels = result.scores, result.labels
    top = scores.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(scores - top).sum(axis=1)) + top[:, 0]
    numbers = {"val/loss": float((log_sum - scores[np.arange(len(labels)), labels]).mean())}
    every = data.split("val").clips
    clips = [every[index] for index in result.indices]
    found = metrics.accuracies(
        scores,
        labels,
        data.groups,
        clusters=[clip.cluster or clip.id for clip in clips],
        level_name=data.level_name,
        levels=[clip.level for clip in clips],
    )
    for name, value in found.items():
        numbers[name if "/" in name else f"val/{name}"] = value
    return numbers
