"""What each step of `make gpu` runs."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator

from harness.bench.forms import SHAPES, Case, all_operators
from harness.bench.rounds import measure
from harness.bench.rows import Row
from harness.bench.tables import insertions, table, text
from harness.cost.latency import build
from harness.cost.profiling import profile_step
from harness.files import write_whole
from harness.gpu import checks, costs, ladder
from harness.gpu.place import STUDY, Place
from harness.study.load import load_studies

CORE = ["mixtconv", "depthwise", "shift", "ordinary", "published"]
"""Operators that are timed at every shape of the paper's insertions; the others at one."""


def operators(place: Place) -> None:
    """The operator bench, the paper's insertions first."""
    paths = ["triton", "eager"] if place.on_gpu else ["eager"]
    rows: list[Row] = []
    for case, names in _cases(place):
        found, _, skipped = measure(case, names, paths, place.device, rounds=3, seconds=0)
        rows += found
        place.say(rows=rows, insertions=insertions(rows), skipped=skipped)
        print(f"{case}\n{text(table(found))}", flush=True)


def _cases(place: Place) -> Iterator[tuple[Case, list[str]]]:
    """Each with the operators that are timed there."""

    def case(shape: str, dtype: str) -> Case:
        clips = 8 if place.on_gpu else 2
        return Case(shape=shape, clips=clips, frames=8, dtype=dtype, format="channels_last", threads=0)

    shapes = SHAPES["resnet50"] if place.on_gpu else ("16@16",)
    for dtype in ("bf16",) if place.quick else ("bf16", "fp32", "fp16"):
        yield from ((case(shape, dtype), CORE) for shape in shapes)
    if not place.quick:
        yield case(shapes[-1], "bf16"), [name for name in all_operators() if name not in CORE]


def traces(place: Place) -> None:
    """A training step of two rows, for Perfetto."""
    study = load_studies(STUDY, parts=["reach"])[0]
    config = costs.geometry(place)
    for name in ("tsn", "ks1357"):
        settings = study.variants[name]
        case = build(config, {name: (settings.model, settings.data.num_frames)}, place.device, True)[name]
        trace = place.folder / f"{name}.pt.trace.json"
        found = profile_step(case, trace)
        packed = gzip.compress(trace.read_bytes(), mtime=0)  # Perfetto opens it as it is
        write_whole(place.results / f"{trace.name}.gz", packed)
        kernels = [
            {key: one[key] for key in ("kernel", "calls", "ms", "share")} for one in found.kernels[:10]
        ]
        place.add("profiles", {"variant": name, "temporal_share": found.temporal_share, "kernels": kernels})


RUN: dict[str, Callable[[Place], None]] = {
    "checks": checks.run,
    "operators": operators,
    "costs": costs.run,
    "ladder": ladder.run,
    "traces": traces,
}
"""What each step of `__main__` does."""
