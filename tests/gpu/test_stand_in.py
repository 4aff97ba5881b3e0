"""What is done with CUDA's clock, streams and graphs, tried on a stand-in for them: no GPU is here to run it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from builders.costs import CPU, TINY, VARIANTS

from harness.bench import network, timing
from harness.bench.__main__ import check, parse
from harness.bench.forms import Case, forms
from harness.bench.rows import rows_of
from harness.bench.tables import network_table, table
from harness.cost import graphs, latency
from harness.errors import DataError
from harness.gpu import place
from harness.machine import tf32

CASE = Case(shape="16@5", clips=3, frames=4, dtype="fp32", format="channels_last", threads=0)


class Event:
    def __init__(self, enable_timing: bool) -> None:
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        pass

    def query(self) -> bool:
        return False

    def elapsed_time(self, end: Event) -> float:
        return 1e3 * (end.at - self.at)


class Graph:
    """Captures what runs by letting it run; there is nothing to replay."""

    def replay(self) -> None:
        pass


class Stream:
    def wait_stream(self, other: Stream) -> None:
        pass


@dataclasses.dataclass
class StandIn:
    """waits: cycles, each time the GPU was told to wait; current: the stream; refuses: no graph can be captured."""

    waits: list[int] = dataclasses.field(default_factory=list)
    current: Any = dataclasses.field(default_factory=Stream)
    refuses: bool = False

    @contextlib.contextmanager
    def graph(self, graph: Graph) -> Iterator[None]:
        self.current = Stream()
        if self.refuses:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        yield


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    one = StandIn()

    instead: dict[str, Any] = {
        "Event": Event,
        "Stream": Stream,
        "CUDAGraph": Graph,
        "graph": one.graph,
        "stream": lambda stream: contextlib.nullcontext(),
        "current_stream": lambda: one.current,
        "set_stream": lambda stream: setattr(one, "current", stream),
        "get_device_properties": lambda device: SimpleNamespace(L2_cache_size=1 << 16, uuid="b-2"),
        "memory_allocated": lambda: 1 << 20,
        "max_memory_allocated": lambda: 3 << 20,
        "reset_peak_memory_stats": lambda: None,
        "synchronize": lambda: None,
        "_sleep": one.waits.append,
    }
    for name, value in instead.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return one


def test_every_form_is_timed_behind_a_wait_that_hides_pythons_launches(cuda: StandIn) -> None:
    found, _ = forms(CASE, ["mixtconv", "shift"], ["eager"], CPU)
    timed = timing.prepare(found, CASE, CPU)
    copies = timing.cuda_rounds(timed, CASE, CPU, samples=4)
    assert len(copies) == 4
    for one in timed:
        assert [len(samples) for samples in one.samples.values()] == [4, 4]
        assert (len(one.graph_ms), one.graph_failed, one.peak_mib) == (4, "", 2.0)
    turns, forms_and_copy, replays = timing.CUDA_WARM_UPS + 4, 2 * 2 + 1, 2 * 4
    assert len(cuda.waits) == turns * forms_and_copy + replays
    rows = rows_of(timed, copies, CASE)
    assert len(rows) == 4
    assert not [row for row in rows if "launches_in_it" in row]


def test_a_gpu_that_begins_before_python_has_launched_all_waits_longer_and_where_that_is_not_enough_the_table_says_so(
    cuda: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Event, "query", lambda event: True)
    timed = timing.prepare(forms(CASE, ["shift"], ["eager"], CPU)[0], CASE, CPU)
    rows = rows_of(timed, timing.cuda_rounds(timed, CASE, CPU, samples=4), CASE)
    assert set(cuda.waits) == {timing.AHEAD, 2 * timing.AHEAD, timing.FARTHEST}
    assert table(rows)[1][4].endswith("], with launches")


def test_where_time_is_short_few_rounds_are_made_and_no_more(cuda: StandIn) -> None:
    timed = timing.prepare(forms(CASE, ["shift"], ["eager"], CPU)[0], CASE, CPU)
    copies = timing.cuda_rounds(timed, CASE, CPU, seconds=0.0)
    assert len(copies) == len(timed[0].samples["forward"]) == timing.FEW_SAMPLES
    assert len(cuda.waits) == 3 * (timing.FEW_WARM_UPS + timing.FEW_SAMPLES) + timing.FEW_SAMPLES


def test_a_form_that_cannot_be_captured_or_run_as_a_whole_leaves_the_others(
    cuda: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = forms(CASE, ["mixtconv", "shift"], ["eager"], CPU)
    timed = timing.prepare(found, CASE, CPU)

    def too_large(x: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(timed[0].form.op, "forward", too_large)
    cuda.refuses, before = True, cuda.current
    copies = timing.cuda_rounds(timed, CASE, CPU, samples=2)
    assert timed[0].failed == "OutOfMemoryError: CUDA out of memory."
    assert (timed[1].failed, len(timed[1].samples["forward"])) == ("", 2)
    assert timed[1].graph_failed.startswith("RuntimeError: CUDA error: operation not permitted")
    assert cuda.current is before
    assert rows_of(timed, copies, CASE)[2]["graph_failed"]


def test_a_capture_leaves_the_stream_that_was_there(cuda: StandIn) -> None:
    before = cuda.current
    _, result = graphs.captured(lambda: "what it returned")
    assert (result, cuda.current) == ("what it returned", before)


def test_costs_are_taken_warm_cold_and_as_a_graph(cuda: StandIn) -> None:
    config = dataclasses.replace(TINY, step=True, repeats=1)
    cases = latency.build(config, {"ks1357": VARIANTS["ks1357"]}, CPU, channels_last=True)
    on_gpu: Any = SimpleNamespace(type="cuda")
    cases["ks1357"].device = on_gpu
    empty = torch.empty

    def on_cpu(*size: Any, device: Any = None, **how: Any) -> torch.Tensor:
        return empty(*size, **how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch, "empty", on_cpu)
        timed = latency.measure(config, cases, on_gpu)["ks1357"]
    assert set(timed.samples) == {"forward", "forward_backward", "step", "forward@cold", "forward@graph"}
    assert {len(samples) for samples in timed.samples.values()} == {10}


def test_costs_of_fp32_on_a_gpu_say_what_is_rounded_to_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H100")

    def precision(device: torch.device) -> str:
        return latency.measured_on(TINY, device, True, "default")["precision"]

    assert precision(CPU) == "fp32"
    for allowed, words in ((True, "fp32, TF32 in convolutions and products"), (False, "fp32, no TF32")):
        with tf32(allowed):
            assert precision(torch.device("cuda", 0)) == words


def test_networks_are_timed_with_tf32_and_without_and_the_table_says_which(
    cuda: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a stand-in, whose networks are on the CPU."""
    seen = []

    class Run:
        def __init__(self, *how: object) -> None:
            pass

        def forward(self) -> None:
            seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))

        step = forward

    monkeypatch.setattr(network, "_Run", Run)
    on_gpu: Any = SimpleNamespace(type="cuda")
    rows = network.steps(["resnet50"], ["channels_last"], [], on_gpu, rounds=1, operators=[])
    assert seen == [(True, True)] * 4 + [(False, False)] * 4  # a warm-up and a round, forward and step
    words = ["resnet50, 8 clips, TF32 on", "resnet50, 8 clips, TF32 off"]
    assert [line[0] for line in network_table(rows)[1:]] == words


def test_the_gpu_that_is_named_is_the_one_whose_events_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for name in ("cuda", "cuda:1"):
        check(parse(["--device", name]))
    assert chosen == [torch.device("cuda", 0), torch.device("cuda", 1)]
    with pytest.raises(DataError, match="--device cuda:2: torch sees 2 GPUs here, the first is cuda:0"):
        check(parse(["--device", "cuda:2"]))


def test_clocks_are_those_of_the_gpu_in_use(
    cuda: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.device("cuda", 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert place.clocks(device) == "clocks unknown: nvidia-smi does not answer"
    program = tmp_path / "nvidia-smi"
    first, second = "GPU-a-1, 210 MHz, 1980 MHz", "GPU-b-2, 1755 MHz, 1980 MHz, 2619 MHz, 300.00 W"
    program.write_text(f"#!/bin/sh\necho '{first}'\necho '{second}'\n")
    program.chmod(0o755)
    assert place.clocks(device) == (
        "SM clock 1755 MHz, of at most 1980 MHz, memory clock 2619 MHz, power 300.00 W"
    )
    program.write_text("#!/bin/sh\n")
    assert place.clocks(device) == ""
