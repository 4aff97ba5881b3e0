"""What the allocator's setting is worth on this machine; docs/performance.md has figures.

python -m harness.bench.allocator
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from harness.machine import keep_freed_memory


def main() -> int:
    """Time a copy of 103 MB and a training step in fresh processes, by turns with and without the setting."""
    rounds: dict[str, list[tuple[float, float]]] = {"default": [], "": []}
    for _ in range(3):
        for setting, results in rounds.items():
            environment = os.environ | {"MIXTBENCH_ALLOCATOR": setting}
            command = [sys.executable, "-m", "harness.bench.allocator", "--child"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            copy_ms, step_ms = map(float, done.stdout.split())
            results.append((copy_ms, step_ms))
    names = ("copy of 103 MB", "training step of resnet_tiny")
    for i, name in enumerate(names):
        before, after = (statistics.median(r[i] for r in rounds[key]) for key in ("default", ""))
        print(f"{name:<30} default {before:6.1f} ms   set {after:6.1f} ms   ratio {before / after:.2f}")
    return 0


def _child() -> int:
    keep_freed_memory()
    import torch

    from harness.model.config import ModelConfig
    from harness.model.mstnet import MSTNet

    torch.set_num_threads(1)
    x = torch.randn(32, 256, 56, 56)
    copies = [_timed_ms(x.clone) for _ in range(12)]
    clips = torch.randn(32 * 8, 3, 32, 32).to(memory_format=torch.channels_last).unflatten(0, (32, 8))
    model = MSTNet(ModelConfig(backbone="resnet_tiny", operator={"name": "mixtconv"}), 8, 16)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = [_timed_ms(lambda: model(clips).sum().backward()) for _ in range(12)]
    print(statistics.median(copies[4:]), statistics.median(steps[4:]))
    return 0


def _timed_ms(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begin)


if __name__ == "__main__":
    sys.exit(_child() if "--child" in sys.argv else main())
