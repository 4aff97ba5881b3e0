"""Right first, then fast: the check of a form, and paired, shuffled rounds with a plain copy in each."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from harness.bench.forms import DTYPES, PUBLISHED, Case, Form
from harness.cost.graphs import captured
from harness.errors import in_a_line

# Norm-relative error against fp64 of the output, the gradient of x, and the gradients of parameters.
TOLERANCE = {"fp32": (1e-6, 1e-6, 5e-5), "bf16": (5e-3, 5e-3, 1e-2), "fp16": (1e-3, 1e-3, 5e-3)}
ROUNDED_OFTEN = 20
"""An operator with layers of its own rounds between them in half precision: so much more is allowed."""
AMPLIFIED = {"motion_squeeze": 4, "frame_aggregation": 8}
"""Operators that make rounding larger, and how much further off they may be: resemblances are divided by a temperature
of 0.01; behind a ReLU a gradient is all or nothing, and taps rounded to bf16 change some signs."""
NOTHING = 1e-4
"""A gradient of a parameter that is so small a part of the largest is little but rounding, as of a bias before batch
norm, which takes it away again. It is held against a hundredth of the largest."""
CUDA_WARM_UPS, CUDA_SAMPLES = 25, 100
FEW_WARM_UPS, FEW_SAMPLES = 10, 20
"""Where time is short."""
AHEAD, FARTHEST = 2_000_000, 8_000_000
"""Cycles of a GPU's clock, one to four milliseconds, that it waits before what is timed. Python launches that
meanwhile: else a kernel of 20 microseconds would take as long as its launch."""
SMALL = 1 << 20
"""Numbers of a tensor that fp64 on the CPU checks; more of them the device does itself, some hundred times as fast."""
MOVED = {"forward": 2, "forward_backward": 5}
"""Tensors that must be read or written at least: x and y; then x and the gradient again, and the gradient of x."""


@dataclass
class Wait:
    """Of a GPU, before a form is timed. It grows while the GPU begins before Python has launched all.

    early: how often that was so, of the last `of` times.
    """

    cycles: int = AHEAD
    early: int = 0
    of: int = 0

    def after(self, began: bool) -> None:
        self.early, self.of = self.early + began, self.of + 1
        if began and self.cycles < FARTHEST:
            self.cycles, self.early, self.of = 2 * self.cycles, 0, 0

    @property
    def too_short(self) -> bool:
        """Whether launches are in the times."""
        return self.early > 0.1 * self.of


@dataclass
class Timed:
    """Of one form: milliseconds of every round, or why there are none."""

    form: Form
    failed: str = ""
    errors: tuple[float, float, float] | None = None
    first_call_s: float | None = None
    saved_mib: float | None = None
    peak_mib: float | None = None
    samples: dict[str, list[float]] = field(default_factory=lambda: {"forward": [], "forward_backward": []})
    graph_ms: list[float] = field(default_factory=list)  # forward, replayed from a CUDA graph
    graph_failed: str = ""
    waits: dict[str, Wait] = field(default_factory=lambda: {"forward": Wait(), "forward_backward": Wait()})


def check(timed: Timed, case: Case, x: Tensor, g: Tensor) -> str:
    """Compare a form with fp64 on two clips, x and the gradient g. Returns what is wrong, "" where nothing is; keeps
    the errors, and the seconds of this first call of all, in which a path may compile."""
    op = timed.form.op
    x = x.detach().requires_grad_()
    poison = torch.full_like(x, torch.nan)
    del poison  # an output that is not written everywhere shows
    begin = time.perf_counter()
    y, grads = _both(op, x, g)
    if x.is_cuda:
        torch.cuda.synchronize()
    timed.first_call_s = time.perf_counter() - begin
    if y.dtype != x.dtype:
        return f"gives {y.dtype} for {x.dtype}"
    where = torch.device("cpu") if x.numel() <= SMALL else x.device
    xd = x.detach().to(where).double().requires_grad_()
    yd, gradsd = _both(timed.form.exact().to(where), xd, g.to(where).double())
    norms = [float(grad.norm()) for grad in gradsd[1:]]
    largest = max(norms, default=0.0)
    sizes = [norm if norm > NOTHING * largest else largest / 100 for norm in norms]
    of_parameters = zip(grads[1:], gradsd[1:], sizes, strict=True)
    timed.errors = (
        _error(y, yd),
        _error(grads[0], gradsd[0]),
        max((_error(a, b, size) for a, b, size in of_parameters), default=0.0),
    )
    names = ("output", "gradient of x", "gradient of parameters")
    more = AMPLIFIED.get(timed.form.operator, 1) * (ROUNDED_OFTEN if _rounds_often(op, case) else 1)
    limits = [limit * more for limit in TOLERANCE[case.dtype]]
    for name, error, limit in zip(names, timed.errors, limits, strict=True):
        if not error <= limit:
            return f"{name} is off by {error:.1e}, more than {limit:.0e}"
    if timed.form.operator != PUBLISHED and y.stride() != x.stride():
        return "the memory format is not kept"
    changed = x.detach().clone()
    changed[1] += 1
    op.eval()  # batch statistics, which some operators take in training, are of all clips
    apart = torch.equal(_forward(op, changed)[0], _forward(op, x.detach())[0])
    op.train()
    return "" if apart else "a clip changes another"


def _rounds_often(op: nn.Module, case: Case) -> bool:
    layers = [m for m in op.modules() if m is not op and not isinstance(m, nn.ParameterList)]
    return case.dtype != "fp32" and bool(layers)


def _both(op: nn.Module, x: Tensor, g: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    y = op(x)
    return y, torch.autograd.grad(y, [x, *op.parameters()], g)


def _error(ours: Tensor, exact: Tensor, size: float | None = None) -> float:
    """Relative to the norm of what is exact, or to another one."""
    difference = ours.detach().to(exact.device).double() - exact.detach()
    return float(difference.norm()) / max(float(exact.detach().norm()) if size is None else size, 1e-300)


def wake(device: torch.device) -> None:
    """What torch does once in a process is no form's first call."""
    x = torch.ones(1, 1, 4, 4, device=device, requires_grad=True)
    torch.nn.functional.conv2d(x, torch.ones(1, 1, 3, 3, device=device)).sum().backward()


def prepare(forms: Sequence[Form], case: Case, device: torch.device) -> list[Timed]:
    """Check every form, and take what only its first calls show."""
    x, g = (case.tensor(seed, device, clips=2) for seed in (1, 2))
    whole = case.tensor(1, device)
    result = []
    for form in forms:
        timed = Timed(form)
        try:
            timed.failed = check(timed, case, x, g)
            if not timed.failed:
                timed.saved_mib = _saved_mib(form, whole)
        except Exception as error:  # an operator's, a library's, a compiler's
            timed.failed = in_a_line(error)
        result.append(timed)
    return result


def _saved_mib(form: Form, x: Tensor) -> float:
    """Memory that forward keeps for backward, each storage once, x included."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = form.op(x.detach().requires_grad_())
    del y
    return sum(storages.values()) / 2**20


def cpu_rounds(
    timed: Sequence[Timed], case: Case, rounds: int, seconds: float, warm_ups: int = 3
) -> list[float]:
    """Time all forms by turns, a copy in every round, the order shuffled. Returns the copies' milliseconds.

    Goes on until there are `rounds` of them and `seconds` have passed.
    """
    cpu = torch.device("cpu")
    x, g = case.tensor(1, cpu).requires_grad_(), case.tensor(2, cpu)
    plain = x.detach()
    copies: list[float] = []
    jobs: list[Timed | None] = [None, *(t for t in timed if not t.failed)]
    shuffle = random.Random(0)
    gc.collect()
    gc.disable()
    try:
        begin, turn = time.perf_counter(), -warm_ups
        while turn < rounds or time.perf_counter() - begin < seconds:
            shuffle.shuffle(jobs)
            for job in jobs:
                if job is None:
                    elapsed = [_cpu_ms(plain.clone)]
                else:
                    elapsed = [_cpu_ms(_forward, job.form.op, plain), _cpu_ms(_both, job.form.op, x, g)]
                if turn < 0:
                    continue
                if job is None:
                    copies += elapsed
                else:
                    job.samples["forward"].append(elapsed[0])
                    job.samples["forward_backward"].append(elapsed[1])
            turn += 1
            if turn == 0:
                begin = time.perf_counter()
    finally:
        gc.enable()
    return copies


def _cpu_ms(function: Callable[..., Any], *args: Any) -> float:
    begin = time.perf_counter()
    result = function(*args)
    elapsed = 1e3 * (time.perf_counter() - begin)
    del result
    return elapsed


def _forward(op: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        y: Tensor = op(x)
    return y


def cuda_rounds(
    timed: Sequence[Timed],
    case: Case,
    device: torch.device,
    samples: int = CUDA_SAMPLES,
    seconds: float = float("inf"),
) -> list[float]:
    """The same on a GPU, by events. Inputs rotate through more memory than three times the L2 cache.

    A form that cannot be run on the whole tensor, for want of memory perhaps, gets its reason.

    Args:
        seconds: after so many no more rounds are begun, but FEW_SAMPLES are taken, after FEW_WARM_UPS.
    """
    cache = torch.cuda.get_device_properties(device).L2_cache_size
    count = max(2, -(-3 * cache // case.bytes) + 1)
    x = case.tensor(1, device)
    inputs = [x.clone().requires_grad_() for _ in range(count)]
    g, target = case.tensor(2, device), torch.empty_like(x)
    for one in timed:
        one.failed = one.failed or _refused(one.form.op, inputs[0], g)
    jobs: list[Timed | None] = [None, *(t for t in timed if not t.failed)]
    copies: list[float] = []
    shuffle, begin = random.Random(0), time.monotonic()
    warm_ups = CUDA_WARM_UPS if math.isinf(seconds) else FEW_WARM_UPS
    for turn in range(warm_ups + samples):
        if turn >= warm_ups + FEW_SAMPLES and time.monotonic() - begin > seconds:
            break
        shuffle.shuffle(jobs)
        x = inputs[turn % count]
        for job in jobs:
            if job is None:
                elapsed = [_cuda_ms(target.copy_, x.detach())]
            else:
                first, second = job.waits.values()
                elapsed = [
                    _cuda_ms(_forward, job.form.op, x.detach(), wait=first),
                    _cuda_ms(_both, job.form.op, x, g, wait=second),
                ]
            if turn < warm_ups:
                continue
            if job is None:
                copies += elapsed
            else:
                job.samples["forward"].append(elapsed[0])
                job.samples["forward_backward"].append(elapsed[1])
    for job in timed:
        if not job.failed:
            try:
                job.graph_ms = _graph_ms(job.form.op, [x.detach() for x in inputs], min(samples, FEW_SAMPLES))
            except RuntimeError as error:
                job.graph_failed = in_a_line(error)
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            _both(job.form.op, inputs[0], g)
            job.peak_mib = (torch.cuda.max_memory_allocated() - before) / 2**20
    return copies


def _refused(op: nn.Module, x: Tensor, g: Tensor) -> str:
    try:
        _both(op, x, g)
        torch.cuda.synchronize()
    except Exception as error:
        return in_a_line(error)
    return ""


def _cuda_ms(function: Callable[..., Any], *args: Any, wait: Wait | None = None) -> float:
    wait = wait or Wait()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda._sleep(wait.cycles)
    start.record()
    function(*args)
    end.record()
    wait.after(start.query())
    end.synchronize()
    return float(start.elapsed_time(end))


def _graph_ms(op: nn.Module, inputs: Sequence[Tensor], samples: int) -> list[float]:
    """Forward alone, replayed: what is left without Python's launches. One graph walks through all inputs."""
    replay, _ = captured(lambda: [_forward(op, x) for x in inputs])
    replay()
    return [_cuda_ms(replay) / len(inputs) for _ in range(samples)]


def cuda_copy_gbps(device: torch.device) -> float:
    """Bandwidth of copying 256 MiB, several times what a cache holds, read and written: the median of 25."""
    x = torch.empty(1 << 28, dtype=torch.uint8, device=device)
    target = torch.empty_like(x)
    times = sorted(_cuda_ms(target.copy_, x) for _ in range(25))
    return 2 * x.numel() / times[12] / 1e6


def matmul_gflops(dtype: str, device: torch.device) -> float:
    """The other roof: multiply-adds of a large matrix product, counted as 2; the best of 5."""
    size = 8192 if device.type == "cuda" else 1024
    a = torch.randn(size, size, device=device).to(DTYPES[dtype])
    timer = _cuda_ms if device.type == "cuda" else _cpu_ms
    return 2 * size**3 / min(timer(torch.mm, a, a) for _ in range(5)) / 1e6
