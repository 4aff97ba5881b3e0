"""Training steps of whole networks, over those of TSN: what an operator costs where it is used."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.bench.forms import PUBLISHED
from harness.bench.rows import Row, interval
from harness.machine import tf32
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.model.network import to_memory_format
from harness.stats.estimates import percentile
from operators.stencil import missing

NETWORKS = {"resnet_tiny": (32, 64), "resnet50": (1, 224)}  # clips, pixels
ON_A_GPU = 8  # times as many clips: else Python's launches would be timed
OPERATORS: dict[str, dict[str, Any]] = {
    PUBLISHED: {"name": "harness.bench.forms.Published"},
    "mixtconv": {"name": "mixtconv"},
    "shift": {"name": "shift"},
}
FRAMES, CLASSES = 8, 174


def steps(
    networks: Sequence[str],
    formats: Sequence[str],
    paths: Sequence[str],
    device: torch.device,
    rounds: int,
    operators: Sequence[str] = tuple(OPERATORS),
) -> list[Row]:
    """Paired, shuffled rounds of a forward pass and of a training step (fp32; forward, backward, SGD), a row a form.

    On a GPU once with factors rounded to TF32, in convolutions and products, and once without.

    Args:
        operators: of OPERATORS those that are named here; `tsn` always.
    """
    result = []
    for network in networks:
        for layout in formats:
            runs = {("tsn", ""): _Run(network, {"name": "identity"}, "auto", layout, device)}
            if PUBLISHED in operators:
                runs[PUBLISHED, "conv3d"] = _Run(network, OPERATORS[PUBLISHED], "auto", layout, device)
            for operator in ("mixtconv", "shift"):
                for path in paths:
                    if operator in operators and not missing(path, device):
                        runs[operator, path] = _Run(network, OPERATORS[operator], path, layout, device)
            for allowed in (True, False) if device.type == "cuda" else (False,):
                with tf32(allowed):
                    samples = _samples(runs, device, rounds)
                own = {"network": network, "format": layout, "rounds": rounds}
                if device.type == "cuda":
                    own |= {"threads": 0, "clips": NETWORKS[network][0] * ON_A_GPU, "tf32": allowed}
                else:
                    own |= {"threads": torch.get_num_threads()}
                result += [own | row for row in _over_tsn(samples)]
    return result


_Samples = dict[tuple[str, str], dict[str, list[float]]]
"""(operator, path) -> "forward" or "step" -> milliseconds of every round."""


def _samples(runs: Mapping[tuple[str, str], _Run], device: torch.device, rounds: int) -> _Samples:
    samples: _Samples = {key: {"forward": [], "step": []} for key in runs}
    order, shuffle = list(runs), random.Random(0)
    for turn in range(-1, rounds):
        shuffle.shuffle(order)
        for key in order:
            for what, run in (("forward", runs[key].forward), ("step", runs[key].step)):
                elapsed = milliseconds(run, device)
                if turn >= 0:
                    samples[key][what].append(elapsed)
    return samples


def _over_tsn(samples: _Samples) -> Iterator[Row]:
    tsn = samples["tsn", ""]
    for (operator, path), own in samples.items():
        row: Row = {"operator": operator, "path": path}
        for what in ("step", "forward"):
            row[f"{what}_ms"] = percentile(own[what], 0.5)
        for what in own:
            row[f"{what}_ratio"] = interval([a / b for a, b in zip(own[what], tsn[what], strict=True)])
        yield row


class _Run:
    """A network, a batch, and an optimiser whose learning rate of 0 keeps steps alike."""

    def __init__(
        self, network: str, operator: dict[str, Any], path: str, layout: str, device: torch.device
    ) -> None:
        clips, size = NETWORKS[network]
        clips *= ON_A_GPU if device.type == "cuda" else 1
        config = ModelConfig(backbone=network, operator=operator, stencil=path)
        memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.model = to_memory_format(MSTNet(config, FRAMES, CLASSES).to(device), memory)
        frames = torch.randn(clips * FRAMES, 3, size, size, generator=torch.Generator().manual_seed(0))
        self.clips = frames.to(device, memory_format=memory).unflatten(0, (clips, FRAMES))
        self.labels = torch.zeros(clips, dtype=torch.long, device=device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.0, momentum=0.9)

    def forward(self) -> Tensor:
        self.model.eval()
        with torch.no_grad():
            scores: Tensor = self.model(self.clips)
        return scores

    def step(self) -> None:
        self.model.train()
        nn.functional.cross_entropy(self.model(self.clips), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def milliseconds(run: Callable[[], Any], device: torch.device) -> float:
    """How long a call takes, until the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - begin)
