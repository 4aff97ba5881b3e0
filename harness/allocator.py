"""How a process on the CPU allocates its tensors, set before the first one.

glibc gives every freed tensor of some size back to the system at once, so that each result pays page faults again.
Keeping freed memory costs nothing but memory that the process has used before.

    python -m harness.allocator      measures the effect on this machine; docs/performance.md has figures
"""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # mallopt's names, from glibc's malloc.h


def keep_freed_memory() -> str:
    """Set the allocator of this process and say how, in a word for the record; call before tensors exist.

    Does nothing, and says so, on a system without glibc, under another allocator (LD_PRELOAD), or where the
    environment variable MIXTBENCH_ALLOCATOR is `default`.
    """
    if os.environ.get("MIXTBENCH_ALLOCATOR", "") == "default":
        return "default"
    if os.environ.get("LD_PRELOAD"):
        return "preloaded"
    if not sys.platform.startswith("linux"):
        return "default"
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl
        return "default"
    # Huge pages on top (torch's THP_MEM_ALLOC_ENABLE) were tried: their alignment keeps freed memory from being
    # reused, and where the machine's memory is fragmented, finding one took longer than all that was won.
    done = (
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        and mallopt(_M_TRIM_THRESHOLD, -1)
        and mallopt(_M_TOP_PAD, 64 << 20)
    )
    return "keep_freed" if done else "default"


def main() -> int:
    """Time a copy of 103 MB and a training step in fresh processes, by turns with and without the setting."""
    rounds: dict[str, list[tuple[float, float]]] = {"default": [], "": []}
    for _ in range(3):
        for setting, results in rounds.items():
            environment = os.environ | {"MIXTBENCH_ALLOCATOR": setting}
            command = [sys.executable, "-m", "harness.allocator", "--child"]
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

    from harness.model import ModelConfig, MSTNet

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
