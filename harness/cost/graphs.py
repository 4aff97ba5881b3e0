"""CUDA graphs: what a function launches on a GPU, run again without Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def captured(run: Callable[[], T]) -> tuple[Callable[[], None], T]:
    """Capture what a function launches, after a warm-up on a stream of its own as torch asks.

    Returns:
        What replays it, and what the captured call returned, whose memory every replay fills anew.

    Raises:
        RuntimeError: it does what a graph cannot hold, such as waiting for the GPU.
    """
    current, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(current)
    with torch.cuda.stream(aside):
        for _ in range(3):
            run()
    current.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            result = run()
    finally:
        torch.cuda.set_stream(current)  # a capture that fails leaves its own
    return graph.replay, result
