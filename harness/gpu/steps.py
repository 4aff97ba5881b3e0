"""What each step of `make gpu` runs."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable, Iterator

from harness.bench.forms import SHAPES, Case, all_operators
from harness.bench.rounds import measure
from harness.bench.rows import Row
from harness.bench.tables import insertions, table, text
from harness.cost.latency import build
from harness.cost.profiling import profile_step
from harness.errors import in_a_line
from harness.files import write_whole
from harness.gpu import checks, costs, ladder
from harness.gpu.place import Place, usable

SECONDS = 3.5, 2.0
"""Of rounds for each case, whole and quick; 20 rounds at least."""
AT_ONCE = 6
"""Of the other operators, so that a time limit cuts the last of them alone."""
CORE = ["mixtconv", "depthwise", "shift", "ordinary", "published"]
"""Operators that are timed at every shape of the paper's insertions; the others at one."""


def operators(place: Place) -> None:
    """The operator bench, the paper's insertions first."""
    paths = ["triton", "eager"] if place.on_gpu and place.stencil != "eager" else ["eager"]
    rows: list[Row] = []
    most = SECONDS[place.quick]
    for case, names in _cases(place):
        try:
            found, _, skipped = measure(case, names, paths, place.device, rounds=3, seconds=0, most=most)
            rows += found
            place.say(rows=rows, insertions=insertions(rows), skipped=skipped)
            print(f"{case}\n{text(table(found))}", flush=True)
        except Exception as error:  # of torch, of a compiler; its tensors do not fit the memory, perhaps
            print(f"{case}: {in_a_line(error)}", flush=True)
            place.add("failed", {"way": str(case), "why": in_a_line(error)})
        if broken := usable(place.device):  # nor would anything after it run
            raise RuntimeError(f"after {case}: {broken}")


def _cases(place: Place) -> Iterator[tuple[Case, list[str]]]:
    """Each with the operators that are timed there."""

    def case(shape: str, dtype: str) -> Case:
        clips = 8 if place.on_gpu else 2
        return Case(shape=shape, clips=clips, frames=8, dtype=dtype, format="channels_last", threads=0)

    shapes = SHAPES["resnet50"] if place.on_gpu else ("16@16",)
    yield from ((case(shape, "bf16"), CORE) for shape in shapes)
    if not place.quick:
        yield from ((case(shape, "fp32"), CORE) for shape in shapes)
        yield from ((case(shape, "fp16"), CORE) for shape in shapes)
        others = [name for name in all_operators() if name not in CORE]
        for first in range(0, len(others), AT_ONCE):
            yield case(shapes[-1], "bf16"), others[first : first + AT_ONCE]


def traces(place: Place) -> None:
    """A training step of two rows, for Perfetto."""
    rows, config = costs.variants(place), costs.geometry(place)
    place.say(geometry=dataclasses.asdict(config))
    for name in ("tsn", "ks1357"):
        case = build(config, {name: rows[name]}, place.device, True)[name]
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
