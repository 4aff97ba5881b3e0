"""One case of the bench from beginning to end: forms made, checked, timed, and put into rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from harness.bench import timing
from harness.bench.forms import Case, forms
from harness.bench.rows import Row, rows_of
from harness.machine import tf32, threads


def measure(
    case: Case,
    operators: Sequence[str],
    paths: Sequence[str],
    device: torch.device,
    rounds: int,
    seconds: float,
    most: float = float("inf"),
) -> tuple[list[Row], list[float], dict[str, str]]:
    """Every form of the operators, by turns. fp32 is fp32: nothing is rounded to TF32.

    Args:
        rounds, seconds: at least so many, on a CPU; a GPU has rounds of its own.
        most: seconds after which a GPU begins no more of them.

    Returns:
        The rows, the milliseconds of every round's plain copy, and why a path cannot run here.
    """
    with threads(case.threads or torch.get_num_threads()), tf32(False):
        timing.wake(device)
        found, skipped = forms(case, operators, paths, device)
        timed = timing.prepare(found, case, device)
        if device.type == "cuda":
            copies = timing.cuda_rounds(timed, case, device, seconds=most)
        else:
            copies = timing.cpu_rounds(timed, case, rounds, seconds)
    return rows_of(timed, copies, case), copies, skipped
