"""What the rows of Table 2 cost on a device, at the paper's geometry: one clip and many, each way of computing."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from harness.cost.config import CostConfig
from harness.cost.latency import TimedNetwork, Variants, build, measure
from harness.gpu.place import STUDY, Place
from harness.machine import here
from harness.stats.estimates import percentile
from harness.study.load import load_studies

FIRST = ("tsn", "tsm", "ks3", "ks7", "ks1357", "ordinary")
"""Those that are timed in every way; the others in the first way alone."""


@dataclass(frozen=True)
class Way:
    """How a network is run. tf32: whether convolutions in fp32 may round their factors (torch's default)."""

    precision: str
    channels_last: bool
    tf32: bool
    clips: int

    def __str__(self) -> str:
        rounded = "" if self.precision != "fp32" else ", TF32 on" if self.tf32 else ", TF32 off"
        layout = "channels last" if self.channels_last else "contiguous"
        return f"{self.precision}{rounded}, {layout}, {self.clips} clip{'s' * (self.clips > 1)}"


def ways(place: Place) -> list[Way]:
    """The most asked for first: a time limit cuts the rest."""
    many = 32 if place.on_gpu else 2
    if place.quick:
        return [Way("bf16", True, True, 1), Way("bf16", True, True, many)]
    return [
        Way(precision, channels_last, tf32, clips)
        for channels_last in (True, False)
        for precision, tf32 in (("bf16", True), ("fp32", True), ("fp32", False))
        for clips in (1, many)
    ]


def geometry(place: Place) -> CostConfig:
    """The paper's; a rehearsal on a CPU has a smaller one."""
    if place.on_gpu:
        return CostConfig(step=True, repeats=2 if place.quick else 3)
    return CostConfig(backbone="resnet_tiny", size=32, num_classes=8, step=True, repeats=1)


def run(place: Place) -> None:
    """Each way with its rows, kept when it is done."""
    study = load_studies(STUDY, parts=["reach"])[0]
    rows = {name: (s.model, s.data.num_frames) for name, s in study.variants.items()}
    rows = {name: (dataclasses.replace(model, stages=(1, 2, 3, 4)), t) for name, (model, t) in rows.items()}
    base = geometry(place)
    place.say(geometry=dataclasses.asdict(base), device=dataclasses.asdict(here(place.device)))
    first = True
    for way in ways(place):
        chosen = rows if first and not place.quick else {name: rows[name] for name in FIRST}
        first = False
        for row in _timed(place, dataclasses.replace(base, precision=way.precision), chosen, way):
            place.add("rows", row)
        print(f"{way}: {len(chosen)} rows", flush=True)


def _timed(place: Place, config: CostConfig, variants: Variants, way: Way) -> Iterator[dict[str, object]]:
    with _tf32(way.tf32):
        cases = build(config, variants, place.device, way.channels_last)
        for case in cases.values():
            case.clip = case.clip.expand(way.clips, *case.clip.shape[1:]).contiguous()
        timings = measure(config, cases, place.device)
        for name, timed in timings.items():
            times = {
                what: {"p50": percentile(samples, 0.5), "p95": percentile(samples, 0.95), "n": len(samples)}
                for what, samples in timed.samples.items()
            }
            yield {
                "variant": name,
                "way": str(way),
                **dataclasses.asdict(way),
                "ms": times,
                "peak_mib": _peak_mib(place, cases[name]),
                "warnings": timed.warnings,
            }


def _peak_mib(place: Place, case: TimedNetwork) -> float | None:
    """Of a training step, the network itself included; None on a CPU."""
    if not place.on_gpu:
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    case.step()
    torch.cuda.synchronize()
    return float((torch.cuda.max_memory_allocated() - before + case.state_bytes()) / 2**20)


@contextlib.contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
