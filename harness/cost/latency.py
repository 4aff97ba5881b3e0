"""How long a variant takes: samples of forward passes and training steps, and what makes them doubtful.

A round runs every variant in every way once, in a shuffled order, so that a slow minute of the machine hits all
alike. All networks are in memory at once (ResNet-50: about 100 MB each, 300 with a training step's state).
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from harness.cost.config import CostConfig
from harness.cost.counting import network
from harness.cost.graphs import captured
from harness.errors import first_line
from harness.machine import Load, allows_tf32, here, threads, usable_cpus
from harness.model.config import ModelConfig
from harness.model.network import Network, to_memory_format
from harness.stats.estimates import quartiles
from harness.train.recipe import PRECISIONS

LEAST_ROUNDS = 3

Variants = Mapping[str, tuple[ModelConfig, int]]
"""Name -> (network, T)."""


@dataclass
class TimedNetwork:
    """One variant's network and clips on the device, ready to run."""

    model: Network
    clip: Tensor
    device: torch.device
    autocast: torch.autocast
    optimizer: torch.optim.Optimizer | None = None

    def forward(self) -> Tensor:
        """Scores of the clip, as in an evaluation."""
        self.model.eval()
        with torch.inference_mode(), self.autocast:
            scores: Tensor = self.model(self.clip)
            return scores

    def step(self, after_backward: Callable[[], object] = lambda: None) -> None:
        """One training step on the clip. The learning rate is 0, so that steps stay alike however many are run."""
        if self.optimizer is None:
            self.optimizer = torch.optim.SGD(self.model.parameters(), 0.0, momentum=0.9, weight_decay=5e-4)
        self.model.train()
        with self.autocast:
            scores = self.model(self.clip)
            loss = nn.functional.cross_entropy(
                scores.float(), scores.new_zeros(len(scores), dtype=torch.long)
            )
        loss.backward()
        after_backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def state_bytes(self) -> int:
        """Bytes that stay allocated between passes: clip, parameters, buffers, momentum."""
        tensors = [self.clip, *self.model.parameters(), *self.model.buffers()]
        if self.optimizer is not None:
            tensors += [t for s in self.optimizer.state.values() for t in s.values() if isinstance(t, Tensor)]
        return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())


def build(
    config: CostConfig, variants: Variants, device: torch.device, channels_last: bool, clips: int = 1
) -> dict[str, TimedNetwork]:
    """The networks of all variants on the device, and the same clip for each T, as often as `clips` says."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    cases = {}
    for name, (model, num_frames) in variants.items():
        net = network(config, model, num_frames).to(device)
        to_memory_format(net, layout)
        shape = (net.num_frames, net.channels, config.size, config.size)
        frames = torch.randn(shape, generator=torch.Generator().manual_seed(0)).repeat(clips, 1, 1, 1)
        clip = frames.to(device, memory_format=layout).unflatten(0, (clips, -1))
        dtype = PRECISIONS[config.precision]
        cases[name] = TimedNetwork(
            net, clip, device, torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
        )
    return cases


@dataclass
class Timings:
    """Of one variant, in milliseconds: every sample after warm-up, and the first call of all, by what was timed."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def measure(
    config: CostConfig,
    cases: Mapping[str, TimedNetwork],
    device: torch.device,
    progress: Callable[[int, int], None] = lambda done, total: None,
    seconds: float = float("inf"),
) -> dict[str, Timings]:
    """Time every case by turns. What is timed: see `CostRecord.samples_ms`; "forward" always is.

    Args:
        seconds: after so many no more rounds are begun, but at least three are timed.
    """
    on_gpu = device.type == "cuda"
    warm_ups, repeats = (3, 10 * config.repeats) if on_gpu else (1, config.repeats)
    timings = {name: Timings() for name in cases}
    jobs: list[tuple[str, Callable[[], dict[str, float]]]] = []
    for name, case in cases.items():
        jobs += [(name, way) for way in _ways(config, case, timings[name])]
    progress(0, warm_ups + repeats)
    if on_gpu:
        _settle(next(iter(cases.values())))
    shuffle, load, begin = random.Random(0), Load(), time.monotonic()
    for turn in range(warm_ups + repeats):
        if turn >= warm_ups + LEAST_ROUNDS and time.monotonic() - begin > seconds:
            break
        shuffle.shuffle(jobs)
        for name, way in jobs:
            for what, elapsed in way().items():
                timings[name].first.setdefault(what, elapsed)
                if turn >= warm_ups:
                    timings[name].samples.setdefault(what, []).append(elapsed)
        progress(turn + 1, warm_ups + repeats)
    drifted, others = drift([t.samples["forward"] for t in timings.values()]), load.others()
    for one in timings.values():
        one.warnings += doubts(one, drifted, others, usable_cpus())
    return timings


def _ways(
    config: CostConfig, case: TimedNetwork, timings: Timings
) -> Iterator[Callable[[], dict[str, float]]]:
    """Everything that is timed of a case: each gives milliseconds by name."""
    device = case.device

    def forward() -> dict[str, float]:
        return _timed(device, "forward", case.forward)

    def step() -> dict[str, float]:
        clock = _Clock(device)
        case.step(clock.mark)
        clock.mark()
        return dict(zip(("forward_backward", "step"), clock.elapsed_ms(), strict=True))

    yield forward
    if config.step:
        yield step
    if device.type == "cuda":
        flushed = torch.empty(
            2 * torch.cuda.get_device_properties(device).L2_cache_size, dtype=torch.uint8, device=device
        )
        yield lambda: _timed(device, "forward@cold", case.forward, before=flushed.zero_)
        try:
            replay, _ = captured(case.forward)
        except RuntimeError as error:
            timings.warnings.append(
                f"graph: not captured in a CUDA graph ({first_line(error)}); only launches by Python are measured"
            )
        else:
            yield lambda: _timed(device, "forward@graph", replay)
    elif config.step and torch.get_num_threads() > 1:
        for way in (forward, step):
            yield lambda way=way: _on_one_thread(way)  # type: ignore[misc]


def _on_one_thread(way: Callable[[], dict[str, float]]) -> dict[str, float]:
    with threads(1):
        return {f"{name}@1_thread": elapsed for name, elapsed in way().items()}


class _Clock:
    """Marks on the device's own clock; starts when made."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._times: list[float] = []
        self._events: list[torch.cuda.Event] = []
        self.mark()

    def mark(self) -> None:
        if self._on_gpu:
            self._events.append(torch.cuda.Event(enable_timing=True))
            self._events[-1].record()
        else:
            self._times.append(time.perf_counter())

    def elapsed_ms(self) -> list[float]:
        """From the start to every later mark."""
        if self._on_gpu:
            torch.cuda.synchronize()
            return [self._events[0].elapsed_time(event) for event in self._events[1:]]
        return [1e3 * (mark - self._times[0]) for mark in self._times[1:]]


def _timed(
    device: torch.device,
    name: str,
    run: Callable[[], object],
    before: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    before()
    clock = _Clock(device)
    run()
    clock.mark()
    return {name: clock.elapsed_ms()[0]}


def _settle(case: TimedNetwork, close: float = 0.01, most: float = 3.0) -> None:
    """Run until two groups of ten passes take alike, for `most` seconds: a GPU's clock rises when work begins."""
    last, begin = float("inf"), time.monotonic()
    while time.monotonic() - begin < most:
        now = statistics.median(_timed(case.device, "forward", case.forward)["forward"] for _ in range(10))
        if abs(now - last) <= close * now:
            return
        last = now


def drift(samples: list[list[float]]) -> float:
    """How much slower all cases together were in the last third of the rounds than in the first: 0.1 is 10 %."""
    rounds = len(samples[0])
    if rounds < 3:
        return 0.0
    relative = [[value / statistics.median(one) for value in one] for one in samples]
    by_round = [statistics.mean(one[turn] for one in relative) for turn in range(rounds)]
    third = rounds // 3
    return statistics.mean(by_round[-third:]) / statistics.mean(by_round[:third]) - 1


def doubts(timings: Timings, drifted: float, others: float | None, cores: int) -> list[str]:
    """Named warnings with advice. Thresholds: a tenth of the cores, of the median, and of the first third.

    Args:
        drifted: as `drift` gives it.
        others: cores that other processes used meanwhile; None for unknown.
    """
    found = []
    loaded = others is not None and others > 0.1 * cores
    if loaded:
        found.append(
            f"load: other processes used {others:.1f} of {cores} cores meanwhile; stop them and measure again"
        )
    spread, compiled, unsettled = [], [], []
    for what, samples in timings.samples.items():
        middle = quartiles(samples)
        assert middle is not None
        first, apart = timings.first.get(what, 0.0) / middle.median, (middle.q3 - middle.q1) / middle.median
        if len(samples) >= 4 and apart > 0.1:
            spread.append(f"{what} {100 * apart:.0f} %")
        if first > 10:
            compiled.append(f"{what} {timings.first[what] / 1e3:.1f} s, {first:.0f} times its median")
        elif len(samples) >= 3 and samples[0] > 1.5 * max(samples[1:]):
            unsettled.append(f"{what} {samples[0] / middle.median:.1f} times its median")
    if spread:
        found.append(
            f"spread: quartiles far apart, as part of the median: {', '.join(spread)}; measure on a quiet machine, "
            "or raise cost.repeats"
        )
    if compiled:
        found.append(
            f"first_call: the first of all took long ({', '.join(compiled)}); no figure includes it: allow for it "
            "in short runs"
        )
    if unsettled:
        found.append(f"first_call: slow even after warm-up ({', '.join(unsettled)}); measure again")
    if drifted > 0.1 and not loaded:  # other work explains it
        found.append(
            f"thermal: the last rounds took {100 * drifted:.0f} % longer than the first; let the machine cool, or "
            "fix its clock, and measure again"
        )
    return found


def _rounded() -> str:
    """As torch is set, which is how trials train."""
    where = [what for what, is_so in zip(("convolutions", "products"), allows_tf32(), strict=True) if is_so]
    return f", TF32 in {' and '.join(where)}" if where else ", no TF32"


def measured_on(
    config: CostConfig, device: torch.device, channels_last: bool, allocator: str
) -> dict[str, str]:
    """Whatever a latency depends on besides the variant."""
    machine = here(device)
    on_gpu = machine.kind == "cuda"
    return {
        "device": machine.device,
        "threads": "" if on_gpu else str(machine.threads),
        "precision": config.precision + (_rounded() if on_gpu and config.precision == "fp32" else ""),
        "memory_format": "channels_last" if channels_last else "contiguous",
        "allocator": "" if on_gpu else allocator,
        "torch": machine.torch,
    }
