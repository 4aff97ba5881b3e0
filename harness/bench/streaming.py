"""One step of a stream over one frame through the plain 2D network: what remembering costs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from harness.bench.network import CLASSES, FRAMES, NETWORKS, milliseconds
from harness.bench.rows import Row, interval, ratio
from harness.machine import tf32
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.model.network import to_memory_format
from harness.model.stream import Stream
from harness.stats.estimates import percentile

WANTED = 1.15
"""The ratio that a step should stay below."""

OPERATORS: dict[str, dict[str, Any]] = {
    "none": {"name": "identity"},
    "causal_shift": {"name": "causal_shift"},
    "causal_depthwise": {"name": "causal_depthwise", "init": "random"},
}

COLUMNS = ["network", "format", "threads", "operator", "step [ms]", "over a plain frame", "remembered [KiB]"]


def streaming(
    networks: Sequence[str], formats: Sequence[str], device: torch.device, rounds: int
) -> list[Row]:
    """Paired, shuffled rounds of one frame (fp32, not rounded to TF32), a row an operator.

    Each round runs the plain network and every stream once; a ratio is of two runs of one round. "none" is a stream of
    the network without operators: what the bookkeeping alone costs.
    """
    with tf32(False):
        return [
            row
            for network in networks
            for layout in formats
            for row in _rows(network, layout, device, rounds)
        ]


@torch.no_grad()
def _rows(network: str, layout: str, device: torch.device, rounds: int) -> list[Row]:
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    size = NETWORKS[network][1]
    frame = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    frame = frame.to(device, memory_format=memory)

    def made(operator: dict[str, Any], frames: int) -> MSTNet:
        model = MSTNet(ModelConfig(backbone=network, operator=operator), frames, CLASSES).to(device)
        to_memory_format(model, memory)
        return model.eval()

    plain = made({"name": "identity"}, 1)
    streams = {name: Stream(made(operator, FRAMES)) for name, operator in OPERATORS.items()}
    runs: dict[str, Callable[[], Tensor]] = {name: partial(one, frame) for name, one in streams.items()}
    runs[""] = partial(plain, frame.unsqueeze(1))
    samples: dict[str, list[float]] = {name: [] for name in runs}
    order, shuffle = list(runs), random.Random(0)
    for turn in range(-2, rounds):
        shuffle.shuffle(order)
        for name in order:
            elapsed = milliseconds(runs[name], device)
            if turn >= 0:
                samples[name].append(elapsed)
    return [
        {
            "network": network,
            "format": layout,
            "threads": torch.get_num_threads() if device.type == "cpu" else 0,
            "operator": name,
            "rounds": rounds,
            "step_ms": percentile(samples[name], 0.5),
            "ratio": interval([a / b for a, b in zip(samples[name], samples[""], strict=True)]),
            "state_bytes": stream.state_bytes(),
        }
        for name, stream in streams.items()
    ]


def table(rows: Sequence[Row]) -> list[list[str]]:
    """A header and a line a row; the last column says where a step costs more than is wanted."""
    lines = [[*COLUMNS, ""]]
    for row in rows:
        words = [str(row[key]) for key in ("network", "format", "threads", "operator")]
        over = f"above {WANTED}" if row["ratio"]["median"] > WANTED else ""
        kept = f"{row['state_bytes'] / 1024:,.1f}"
        lines.append([*words, f"{row['step_ms']:.1f}", ratio(row["ratio"]), kept, over])
    return lines
