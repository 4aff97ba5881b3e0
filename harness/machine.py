"""The machine and the code that a result comes from: processor, load, threads, allocator, commit, versions.

Without torch until a device is asked for: the allocator is set before torch is imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError

if TYPE_CHECKING:
    import torch


def device(name: str) -> torch.device:
    """The one that `--device` names, a GPU by its number.

    Raises:
        DataError: there is none of that name here.
    """
    import torch

    try:
        found = torch.device(name)
    except RuntimeError:
        raise DataError(f"--device: {name!r} is none of cpu, cuda, cuda:N") from None
    if found.type != "cuda":
        return found
    if not torch.cuda.is_available():
        raise DataError(f"--device {name}: torch {torch.__version__} sees no CUDA device here")
    number, there = found.index or 0, torch.cuda.device_count()
    if number >= there:
        raise DataError(
            f"--device {name}: torch sees {there} GPU{'s' * (there > 1)} here, the first is cuda:0"
        )
    return torch.device("cuda", number)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A device and the process that uses it, as far as results and times depend on them.

    Every record of a trial, a latency or a bench takes its own keys from here.

    kind: "cpu" or "cuda".
    device: the processor's or the GPU's name.
    threads: of torch, inside an operation.
    huge_pages: when the system gives them; "unknown" where it does not tell, as load_average, of the last minute.
    """

    kind: str
    device: str
    threads: int
    torch: str
    python: str
    huge_pages: str
    load_average: str


def here(device: torch.device) -> Machine:
    """This process on that device, now."""
    import torch

    return Machine(
        kind=device.type,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        python=platform.python_version(),
        huge_pages=_huge_pages(),
        load_average=f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
    )


def _huge_pages() -> str:
    try:
        words = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return "unknown"
    return words[words.find("[") + 1 : words.find("]")]


def environment() -> dict[str, str]:
    """Code, processor and versions, known before a trial starts; it adds what `here` says of its device."""
    found = {}
    for package in ("torch", "ray", "mlflow", "decord"):
        try:
            found[package] = version(package)
        except ImportError:
            continue
    return {"commit": commit(), "python": platform.python_version(), "cpu": cpu_name()} | found


def commit() -> str:
    """The checkout's commit, `+changes` appended where files differ from it; installed without one, the version;
    "unknown" without git."""
    folder = Path(__file__).parent.parent  # the checkout
    if not (folder / ".git").exists():  # git would tell of somebody else's checkout around it
        try:
            return f"mixtbench {version('mixtbench')}"
        except ImportError:
            return "unknown"

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git(
            "status", "--porcelain", "--untracked-files=no", "--", "harness", "operators", "studies"
        )
        return git("rev-parse", "HEAD")[:12] + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def code_digest() -> str:
    """Of all source files of this project: two machines with the same one run the same code."""
    project = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in sorted((*project.glob("harness/**/*.py"), *project.glob("operators/**/*.py"))):
        digest.update(f"{file.relative_to(project).as_posix()} {file.stat().st_size} ".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


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


@contextmanager
def environment_kept() -> Iterator[None]:
    """Afterwards it is as it was."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before:
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:  # setting one is not safe while other threads of C read any
                os.environ[name] = value


def plain_torch() -> None:
    """What a result depends on and torch keeps for a whole process is set, not taken as it is found: a file of the
    user's own may change any of it when it is imported."""
    import torch

    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.set_anomaly_enabled(False)
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)
    torch.backends.mkldnn.set_flags(True)
    if torch.get_float32_matmul_precision() != "highest":
        torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.enabled = True
    torch.backends.cudnn.deterministic = False
    torch.backends.cudnn.benchmark = False


@contextmanager
def threads(number: int) -> Iterator[None]:
    """So many threads inside an operation, meanwhile."""
    import torch  # here: the allocator is set before it is imported

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether a GPU may round the factors of fp32 products and convolutions to TF32, meanwhile."""
    before = allows_tf32()
    _allow_tf32(allowed, allowed)
    try:
        yield
    finally:
        _allow_tf32(*before)


# By torch's older names, of which 2.9 and later warn: 2.6 has no others, torch itself still reads them, and it raises
# where both were used.


def allows_tf32() -> tuple[bool, bool]:
    """Whether convolutions may be rounded so now, and whether products may."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def _allow_tf32(convolutions: bool, products: bool) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


class Load:
    """How many cores other processes used since it was made."""

    def __init__(self) -> None:
        self._busy, self._own, self._begin = _busy_seconds(), time.process_time(), time.monotonic()

    def others(self) -> float | None:
        """Cores; None where the system does not tell."""
        busy, elapsed = _busy_seconds(), time.monotonic() - self._begin
        if busy is None or self._busy is None or elapsed < 1:  # the system counts in hundredths of a second
            return None
        return max(0.0, (busy - self._busy - (time.process_time() - self._own)) / elapsed)


def _busy_seconds() -> float | None:
    """Of all cores together since the system started, time taken by the host included."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def usable_cpus(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Processors that this process may use: those it is bound to, and no more than its container's limit; 1 or more.

    `os.cpu_count` counts the machine's. A limit of one and a half processors counts as one.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota, period in (("cpu.max", ""), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = (groups / quota).read_text().split()
            words += (groups / period).read_text().split() if period else []
            if words[0] not in ("max", "-1"):
                count = min(count, int(words[0]) // int(words[1]))
    return max(1, count)


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    except OSError:
        pass
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
