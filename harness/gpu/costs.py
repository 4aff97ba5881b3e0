"""What the rows of Table 2 cost on a device, at the paper's geometry: one clip and many, each way of computing."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from harness.cost.config import CostConfig
from harness.cost.latency import TimedNetwork, Variants, build, measure
from harness.errors import in_a_line
from harness.gpu.place import STUDY, Place, clocks, usable
from harness.machine import here, tf32
from harness.stats.estimates import percentile
from harness.study.load import load_studies

FIRST = ("tsn", "tsm", "ks3", "ks7", "ks1357", "ordinary")
"""Those that are timed in every way with one clip; the others in the first way alone."""
OF_MANY = ("tsn", "ks1357", "ordinary")
"""Those that are timed with many clips, which take a GPU a hundred times as long."""
SECONDS = 4
"""Of rounds for each way, so that all ways have their turn; three rounds at least."""


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
    paper = CostConfig(precision="bf16", stages=(1, 2, 3, 4), step=True, repeats=5)
    if place.on_gpu:
        return paper
    return dataclasses.replace(paper, backbone="resnet_tiny", size=32, num_classes=8, repeats=1)


def run(place: Place) -> None:
    """Each way with its rows, kept when it is done; one that does not run, for want of memory perhaps, says why."""
    rows = variants(place)
    base = geometry(place)
    place.say(geometry=dataclasses.asdict(base), device=dataclasses.asdict(here(place.device)))
    for number, way in enumerate(ways(place)):
        names = OF_MANY if way.clips > 1 else FIRST if number or place.quick else tuple(rows)
        config = dataclasses.replace(base, precision=way.precision)
        try:
            for row in _timed(place, config, {name: rows[name] for name in names}, way):
                place.add("rows", row)
            print(f"{way}: {len(names)} rows", flush=True)
        except Exception as error:  # of torch, of a compiler
            print(f"{way}: {in_a_line(error)}", flush=True)
            place.add("failed", {"way": str(way), "why": in_a_line(error)})
        if place.on_gpu and way.clips > 1:  # it has just been busy for seconds
            place.say(clocks=clocks(place.device))
        if place.on_gpu:
            with contextlib.suppress(RuntimeError):  # torch refuses it after a capture that failed
                torch.cuda.empty_cache()
        if broken := usable(place.device):
            raise RuntimeError(f"after {way}: {broken}")


def variants(place: Place) -> Variants:
    """Table 2's rows."""
    study = load_studies(STUDY, parts=["reach"])[0]
    return {
        name: (dataclasses.replace(s.model, stencil=place.stencil), s.data.num_frames)
        for name, s in study.variants.items()
    }


def _timed(place: Place, config: CostConfig, variants: Variants, way: Way) -> Iterator[dict[str, object]]:
    with tf32(way.tf32):
        cases = build(config, variants, place.device, way.channels_last, way.clips)
        timings = measure(config, cases, place.device, seconds=SECONDS)
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
