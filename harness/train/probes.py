"""What is asked of a trained network beyond its accuracy: does it use the order of frames, what did its filters
learn, and how far does it look? Done once, at the end of a trial; nothing here changes the network or its scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness import metrics
from harness.data.batches import eval_batches
from harness.data.clips import ORDERS
from harness.data.dataset import DataSet
from harness.data.views import PROTOCOLS
from harness.model.build import build
from harness.model.network import Network
from harness.seeds import seed_for
from harness.train.evaluation import autocast, evaluate, to_device
from harness.train.settings import Settings

REACH_CLIPS = 8
"""One by one, spread over the validation clips: a backward pass through ResNet-50 holds gigabytes."""

OCCLUDED_CLIPS = 64
"""Spread over the validation clips that have a twin; each is scored once a frame."""

DRAWN_CHANNELS = 16
"""Of each operator; how far taps moved is taken over all of them."""


def measure(
    model: Network, settings: Settings, seed: int, data: DataSet, device: torch.device
) -> dict[str, Any]:
    """All probes, as plain lists and numbers for `TrialRecord.probes`.

    Args:
        seed: the trial's, from which the taps' start is known again.
    """
    return {
        "order": order(model, settings, data, device),
        "filters": filters(model, settings, seed, len(data.classes)),
        "reach": reach(model, settings, data, device),
        "occlusion": occlusion(model, settings, data, device),
    }


def order(
    model: Network, settings: Settings, data: DataSet, device: torch.device
) -> dict[str, dict[str, float]]:
    """Accuracy on the validation clips in every order of their frames, "as_is" among them.

    One centre crop a video whatever the study's protocol, so that the four are comparable and cheap. The
    shuffled order is the same for every trial.
    """
    found = {}
    for name in ORDERS:
        scores, labels, _ = evaluate(
            model, settings, data, device, protocol=PROTOCOLS["center_1clip"], order=name
        )
        found[name] = metrics.accuracies(scores, labels, data.groups)
    return found


def filters(model: Network, settings: Settings, seed: int, num_classes: int) -> list[dict[str, Any]]:
    """Taps at the start and now, of every operator that learns a filter per channel.

    Returns:
        One dict an operator: the fields of `breakdown.Filters`, `moved` as one number.
    """
    config = settings.model.drawn()  # the operators' start does not depend on it
    start = dict(build(config, settings.data.num_frames, num_classes, seed).operators())
    found = []
    for name, operator in model.operators():
        before, now = start[name].kernel(), operator.kernel()
        if before is None or now is None or not list(operator.parameters()):
            continue
        offsets, initial = before[0], before[1].detach().float()
        final = now[1].detach().float().cpu()
        channels = np.unique(np.linspace(0, final.shape[1] - 1, DRAWN_CHANNELS).round().astype(int)).tolist()
        found.append(
            {
                "operator": name,
                "stage": model.stage_of(name),
                "offsets": offsets,
                "channels": channels,
                "initial": _rounded(initial[:, channels]),
                "final": _rounded(final[:, channels]),
                "moved": round(float(torch.linalg.vector_norm(final - initial, dim=0).mean()), 6),
            }
        )
    return found


def occlusion(model: Network, settings: Settings, data: DataSet, device: torch.device) -> dict[str, Any]:
    """How much less a network believes in a clip's class, against its twin's, when one of its frames is grey.

    Belief is the probability of the true class among the two, in per cent; grey is the mean colour that clips are
    normalised to.

    Returns:
        "clips", how many; "as_is", their belief; "fall", by how much it falls for each frame. Empty without twins.
    """
    twin = {label: other for pair in data.twins for label, other in (pair, pair[::-1])}
    split = data.split("val")
    places = [place for place, clip in enumerate(split.clips) if clip.label in twin]
    if not places:
        return {}
    model.eval()
    spread = np.unique(np.linspace(0, len(places) - 1, OCCLUDED_CLIPS).round().astype(int))
    chosen = [places[i] for i in spread]
    total, as_is, fall = 0, 0.0, torch.zeros(settings.data.num_frames, dtype=torch.float64)

    def belief(inputs: Tensor, labels: Tensor) -> Tensor:
        with autocast(settings.train, device):
            scores = model(inputs).float()
        rows, others = torch.arange(len(labels)), torch.tensor([twin[int(label)] for label in labels])
        return 100 * torch.sigmoid(scores[rows, labels] - scores[rows, others]).double().cpu()

    with torch.inference_mode():
        for batch in eval_batches(split, 16, protocol=PROTOCOLS["center_1clip"], indices=chosen):
            if not len(batch.labels):  # none of it can be read, and the study leaves such clips out
                continue
            inputs, labels = to_device(batch.clips, settings.train, device), batch.labels.long()
            whole = belief(inputs, labels)
            for frame in range(len(fall)):
                hidden = inputs.clone()
                hidden[:, frame] = 0.0
                fall[frame] += (whole - belief(hidden, labels)).sum()
            total, as_is = total + len(labels), as_is + float(whole.sum())
    if not total:
        return {}
    return {
        "clips": total,
        "as_is": round(as_is / total, 4),
        "fall": [round(value, 4) for value in (fall / total).tolist()],
    }


def _rounded(taps: Tensor) -> list[list[float]]:
    """(taps, channels) -> a list for each channel."""
    return [[round(value, 4) for value in channel] for channel in taps.T.tolist()]


def reach(model: Network, settings: Settings, data: DataSet, device: torch.device) -> list[dict[str, Any]]:
    """How much the centre frame's features after each stage depend on each input frame.

    The squared gradient of a random projection of the features is, in the mean over projections, the squared
    Frobenius norm of their Jacobian (as in Luo et al., Understanding the Effective Receptive Field, 2016, along
    time). Summed over the pixels of an input frame and over clips, it is normalised to shares.

    Returns:
        One dict a stage: the fields of `breakdown.Reach`, `radius` as one number.
    """
    model.eval()
    frames = settings.data.num_frames
    centre = frames // 2
    split = data.split("val")
    chosen = np.unique(np.linspace(0, len(split) - 1, REACH_CLIPS).round().astype(int)).tolist()
    features: dict[int, Tensor] = {}
    ends = model.last_of_stages()
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, stage=stage: features.update({stage: output})
        )
        for stage, module in ends.items()
    ]
    energy = torch.zeros(len(ends), frames, dtype=torch.float64)
    try:
        for batch in eval_batches(split, 1, protocol=PROTOCOLS["center_1clip"], indices=chosen):
            if not len(batch.labels):  # it cannot be read, and the study leaves such clips out
                continue
            place = int(batch.indices[0])
            inputs = to_device(batch.clips, settings.train, device).requires_grad_()
            model(inputs)
            for row, stage in enumerate(ends):
                output = features[stage]
                volume = output.dim() == 5  # (1, C, T', H, W), of which fewer frames may be left
                output = output[0, :, centre * output.shape[2] // frames] if volume else output[centre]
                generator = torch.Generator().manual_seed(seed_for("reach", place, stage))
                projection = torch.randn(output.shape, generator=generator).to(output)
                more = row + 1 < len(ends)
                (gradient,) = torch.autograd.grad((output * projection).sum(), inputs, retain_graph=more)
                energy[row] += gradient[0].double().square().sum(dim=(1, 2, 3)).cpu()
    finally:
        for hook in hooks:
            hook.remove()
    offsets = [frame - centre for frame in range(frames)]
    found = []
    for row, stage in enumerate(ends):
        total = float(energy[row].sum())
        if not 0 < total < float("inf"):  # dead features, which nothing reaches; or gradients that overflow
            continue
        share = (energy[row] / total).tolist()
        radius = sum(s * d * d for s, d in zip(share, offsets, strict=True)) ** 0.5
        found.append(
            {
                "stage": stage,
                "offsets": offsets,
                "share": [round(s, 6) for s in share],
                "radius": round(radius, 6),
            }
        )
    return found
