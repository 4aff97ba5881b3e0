"""What a variant costs: counts against FACTS, samples and their doubts, profiles, and the command."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.operators import TABLE2
from builders.place import ROOT, Workplace
from torch import Tensor, nn

from harness import cost, machine
from harness.cost import CostConfig, latency, profiling, timeline
from harness.cost.__main__ import main
from harness.cost.counting import count_by_torch, counted
from harness.model.config import ModelConfig
from harness.records import CostRecord, to_json
from operators import TemporalOp
from operators.stencil import AUTO, PATHS

TINY = CostConfig(backbone="resnet_tiny", size=32, num_classes=16, repeats=3)
CPU = torch.device("cpu")
VARIANTS = {
    "tsn": (ModelConfig(operator=TABLE2["tsn"]), 4),
    "ks1357": (ModelConfig(operator=TABLE2["ks1357"]), 4),
}
ONE_TAP = 44_957_696  # MACs of a tap on all channels, head, 8 frames; as many floats enter the operators


class OnlyWithMemory(TemporalOp):
    """An outside operator that looks at values."""

    def forward(self, x: Tensor) -> Tensor:
        return x * float(x.abs().max() < 1e9)

    def macs(self, height: int, width: int) -> int:
        return 7


class Wrong(TemporalOp):
    """An operator whose stated MACs are not those of what it does."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.mix = nn.Linear(num_frames, num_frames, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x.transpose(1, 4)).transpose(1, 4).contiguous()

    def macs(self, height: int, width: int) -> int:
        return 1


@pytest.fixture(scope="module")
def profiled() -> profiling.Profile:
    """A training step of the tiny network with MixTConv."""
    case = latency.build(TINY, VARIANTS, CPU, channels_last=True)["ks1357"]
    return profiling.profile_step(case)


# ---- counts ------------------------------------------------------------------------------------------------------


ORDINARY = (
    3
    * 8
    * (64**2 * 56**2 + 3 * 256**2 * 56**2 + 4 * 512**2 * 28**2 + 6 * 1024**2 * 14**2 + 2 * 2048**2 * 7**2)
)


@pytest.mark.parametrize(
    ("variant", "added", "path"),
    [
        ("tsn", 0, AUTO),
        ("tsm", 0, AUTO),
        ("ks3", 3 * ONE_TAP, AUTO),
        ("ks5", 5 * ONE_TAP, AUTO),
        ("ks7", 7 * ONE_TAP, AUTO),
        ("ks13", 2 * ONE_TAP, AUTO),
        ("ks135", 134_550_080, AUTO),
        ("ks357", 3 * ONE_TAP, AUTO),
        ("ordinary", ORDINARY, AUTO),
        *(("ks1357", 4 * ONE_TAP, path) for path in PATHS),
        *(("tsm", 0, path) for path in PATHS),
    ],
)
def test_torch_counts_what_operators_state_and_facts_know(variant: str, added: int, path: str) -> None:
    model = ModelConfig(operator=TABLE2[variant], stencil=path)
    record = counted(CostConfig(), model, 8)
    assert record.macs_counted_added == record.macs_added == added
    assert record.macs_counted_total == record.macs_total == 32_697_090_048 + 8 * 2048 * 174 + added
    assert record.warnings == []


def test_torch_counts_what_facts_know_of_other_placements_and_lengths() -> None:
    inner = counted(CostConfig(), ModelConfig(operator=TABLE2["ks1357"], placement="inner"), 8)
    assert inner.macs_counted_added == 4 * 15_253_504
    assert counted(CostConfig(), ModelConfig(operator=TABLE2["ks1357"]), 16).macs_counted_added == 8 * ONE_TAP


def test_an_operator_keeps_one_copy_of_what_enters_it_for_the_backward_pass() -> None:
    plain, dense = (
        count_by_torch(CostConfig(), ModelConfig(operator=TABLE2[name]), 8).activation_mib
        for name in ("tsn", "ordinary")
    )
    # The block's input is kept anyway, by the ReLU before; the operator's output is kept by the convolution after.
    assert dense - plain == ONE_TAP * 4 / 2**20


def test_an_operator_that_needs_memory_keeps_its_own_count_and_says_so() -> None:
    record = counted(TINY, ModelConfig(operator={"name": "test_cost.OnlyWithMemory"}), 4)
    assert record.macs_added == 4 * 7
    assert record.macs_counted_added is None
    assert [w.partition(":")[0] for w in record.warnings] == ["counts"]
    assert "test_cost.OnlyWithMemory" in record.warnings[0]


def test_stated_macs_that_torch_does_not_count_are_doubted() -> None:
    record = counted(TINY, ModelConfig(operator={"name": "test_cost.Wrong"}), 4)
    assert "states 4 added MACs, torch counts" in record.warnings[0]


# ---- samples and what makes them doubtful ----------------------------------------------------------------------------


def test_every_way_is_sampled_as_often_as_asked() -> None:
    config = dataclasses.replace(TINY, step=True)
    cases = latency.build(config, VARIANTS, CPU, channels_last=True)
    with machine.threads(2):
        timings = latency.measure(config, cases, CPU)
    ways = {"forward", "forward_backward", "step"}
    for timing in timings.values():
        assert set(timing.samples) == ways | {f"{way}@1_thread" for way in ways}
        assert {len(samples) for samples in timing.samples.values()} == {3}
        pairs = zip(timing.samples["forward_backward"], timing.samples["step"], strict=True)
        assert all(0 < backward < step for backward, step in pairs)
    assert torch.get_num_threads() == 1


def test_a_timed_step_leaves_the_weights_and_no_gradient() -> None:
    case = latency.build(TINY, VARIANTS, CPU, channels_last=True)["ks1357"]
    before = [p.clone() for p in case.model.parameters()]
    case.step()
    assert all(torch.equal(old, new) for old, new in zip(before, case.model.parameters(), strict=True))
    assert all(p.grad is None for p in case.model.parameters())


def test_quiet_samples_are_not_doubted() -> None:
    timing = latency.Timings({"forward": [10.0, 10.1, 10.2, 9.9, 10.0]}, {"forward": 14.0})
    assert latency.doubts(timing, drifted=0.02, others=0.1, cores=2) == []
    assert latency.doubts(timing, drifted=0.02, others=None, cores=2) == []


@pytest.mark.parametrize(
    ("name", "samples", "first", "drifted", "others", "says"),
    [
        ("load", [10.0] * 5, 10.0, 0.0, 0.7, "0.7 of 2 cores"),
        ("thermal", [10.0] * 5, 10.0, 0.25, 0.0, "25 % longer"),
        ("spread", [8.0, 9.0, 10.0, 11.0, 12.0], 10.0, 0.0, 0.0, "forward 20 %"),  # quartiles 9 and 11
        ("first_call", [10.0] * 5, 9_000.0, 0.0, 0.0, "9.0 s, 900 times"),
        ("first_call", [16.0, 10.0, 10.0, 10.0, 10.0], 20.0, 0.0, 0.0, "forward 1.6 times"),
    ],
)
def test_a_doubtful_measurement_has_a_name_and_advice(
    name: str, samples: list[float], first: float, drifted: float, others: float, says: str
) -> None:
    (warning,) = latency.doubts(latency.Timings({"forward": samples}, {"forward": first}), drifted, others, 2)
    assert warning.startswith(f"{name}: ")
    assert says in warning
    assert "; " in warning or ": allow" in warning


def test_drift_compares_the_last_third_with_the_first_over_all_variants() -> None:
    # By turns, a fast and a slow variant; both take 20 % longer from the fourth round on.
    slower = latency.drift([[10.0, 10.0, 10.0, 12.0, 12.0, 12.0], [100.0, 100.0, 100.0, 120.0, 120.0, 120.0]])
    assert slower == pytest.approx(0.2)
    assert latency.drift([[10.0, 20.0]]) == 0.0


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system does not tell")
def test_load_of_others_leaves_out_our_own_work() -> None:
    def busy() -> float:  # of all cores, in seconds: user, nice, system, irq, softirq, steal
        numbers = [int(word) for word in Path("/proc/stat").read_text().split()[1:9]]
        return sum(numbers[i] for i in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")

    load, before, own, end = machine.Load(), busy(), time.process_time(), time.monotonic() + 2
    while time.monotonic() < end:
        pass
    expected = (busy() - before - (time.process_time() - own)) / 2
    assert load.others() == pytest.approx(max(0.0, expected), abs=0.2)


def test_a_warning_that_all_share_is_printed_once() -> None:
    record = CostRecord(
        geometry={}, params_total=1, params_added=0, macs_total=1, macs_added=0, warnings=["load: busy; wait"]
    )
    own = dataclasses.replace(record, warnings=["load: busy; wait", "spread: wide; repeat"])
    assert cost.warnings({"a": record, "b": own}) == [
        "all variants: load: busy; wait",
        "b: spread: wide; repeat",
    ]


# ---- profiles --------------------------------------------------------------------------------------------------------


def test_operators_are_named_and_their_backward_is_theirs(profiled: profiling.Profile) -> None:
    temporal = {span.name for span in profiled.spans if span.kind == "temporal"}
    other = {span.name for span in profiled.spans if span.kind == "other"}
    assert {"temporal_op::mixtconv", "mixtbench::stencil", "mixtbench::stencil_backward"} <= temporal
    assert not [name for name in other if "stencil" in name]
    assert not [name for name in temporal if "batch_norm" in name or "Optimizer" in name]
    assert 0 < profiled.temporal_share < 1


def test_shares_of_kernels_add_up_and_come_heaviest_first(profiled: profiling.Profile) -> None:
    assert sum(row["share"] for row in profiled.kernels) == pytest.approx(1)
    times = [row["ms"] for row in profiled.kernels]
    assert times == sorted(times, reverse=True)
    calls = {row["kernel"]: row["calls"] for row in profiled.kernels}
    assert calls["aten::native_batch_norm"] == 12  # the stem, two in each of 4 blocks, 3 shortcuts
    assert calls["mixtbench::stencil"] == calls["mixtbench::stencil_backward"] == 4


def test_peak_memory_holds_state_and_kept_activations(profiled: profiling.Profile) -> None:
    case = latency.build(TINY, VARIANTS, CPU, channels_last=True)["ks1357"]
    parameters = sum(p.numel() * p.element_size() for p in case.model.parameters()) / 2**20
    kept = count_by_torch(TINY, *VARIANTS["ks1357"]).activation_mib
    least = 2 * parameters + kept  # weights, momentum
    assert least < profiled.peak_memory_mib < least + parameters + kept


def test_profiling_leaves_no_hook() -> None:
    case = latency.build(TINY, VARIANTS, CPU, channels_last=True)["ks1357"]
    profiling.profile_forward(case)
    hooks = [module._forward_hooks or module._forward_pre_hooks for module in case.model.modules()]
    assert not any(hooks)


def test_timeline_needs_nothing_from_the_network(profiled: profiling.Profile) -> None:
    page = timeline.page("a </script> title", "a note", {"ks<1>": profiled})
    assert "http" not in page
    assert "src=" not in page
    assert page.count("</script>") == 1
    assert "a &lt;/script&gt; title" in page


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
def test_timeline_shows_its_operations_in_a_browser(profiled: profiling.Profile, tmp_path: Path) -> None:
    page = tmp_path / "timeline.html"
    page.write_text(timeline.page("title", "note", {"ks1357": profiled}), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [
        f"--user-data-dir={tmp_path / 'user'}",
        "--virtual-time-budget=2000",
        "--dump-dom",
        page.as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "% of it in temporal operators" in shown  # written by the page's script, once it has drawn
    assert "<td>aten::native_batch_norm</td><td>12</td>" in shown
    assert 'style="height:' in shown


# ---- all together --------------------------------------------------------------------------------------------------


def take(folder: Path, profiles: Path | None = None, **sources: str) -> dict[str, CostRecord]:
    config = dataclasses.replace(TINY, repeats=1)
    return cost.costs(
        config, VARIANTS, sources, CPU, folder, channels_last=True, allocator="default", profiles=profiles
    )


def test_costs_are_kept_until_something_that_decides_them_changes(tmp_path: Path) -> None:
    first = take(tmp_path, ks1357="a")
    assert take(tmp_path, ks1357="a") == first
    assert take(tmp_path, ks1357="b")["tsn"].latency_ms != first["tsn"].latency_ms
    assert all(CostRecord(**json.loads(json.dumps(to_json(record)))) == record for record in first.values())


def test_a_profile_asked_for_later_leaves_the_latencies(tmp_path: Path) -> None:
    first = take(tmp_path)
    second = take(tmp_path, tmp_path / "profiles")
    assert second["tsn"].latency_ms == first["tsn"].latency_ms
    assert first["tsn"].heaviest == []
    assert 0 < len(second["tsn"].heaviest) <= 10
    assert set(second["tsn"].temporal_share) == {"forward", "step"}
    with (tmp_path / "profiles" / "operators.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["variant"] for row in rows} == {"tsn", "ks1357"}
    trace = json.loads(cost.trace_file(tmp_path / "profiles", "ks1357").read_text())
    names = [event.get("name", "") for event in trace["traceEvents"]]
    assert names.count("temporal_op::mixtconv") == 4 * profiling.STEPS
    assert "ProfilerStep#1" in names


def run(place: Workplace, *args: object) -> tuple[int, str, str]:
    place._capsys.readouterr()
    try:
        code = main([*map(str, args), "--data-dir", str(place.data)])
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, *place._capsys.readouterr()


def test_command_shows_the_paper_beside_what_is_computed(place: Workplace) -> None:
    study = ROOT / "studies" / "kernel_sizes.yaml"
    chosen = "--variants", "tsn,ordinary,ks1357"
    code, out, _ = run(place, study, *chosen, "--set", "cost.latency=false", "--out", place.folder / "out")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "32.70" in rows["tsn"]
    assert "not reproduced: computed +74.3" in rows["ordinary"]
    assert "33.18" in rows["ks1357"]
    assert "+0.17983" in rows["ks1357"]
    assert "not reproduced" not in rows["ks1357"]
    saved = json.loads((place.folder / "out" / "kernel_sizes" / "costs.json").read_text())
    assert [row["variant"] for row in saved["rows"]] == ["tsn", "ordinary", "ks1357"]
    assert [row["reproduced"] for row in saved["rows"]] == [None, False, True] or saved["rows"][0][
        "reproduced"
    ]
    assert saved["rows"][2]["paper_gmacs"] == 33.18


def test_command_measures_every_way_and_names_the_profile(place: Workplace) -> None:
    study = place.study(cost={"backbone": "resnet_tiny", "size": 32, "repeats": 2})
    code, out, err = run(place, study, "--profile")
    assert (code, err) == (0, "")
    assert "all threads, warm" in out
    assert "fwd+bwd p50, p95 [ms]" in out
    folder = place.data / "profiles" / "tiny"
    assert sorted(p.name for p in folder.iterdir()) == [
        "costs.json",
        "operators.csv",
        "timeline.html",
        "trace",
    ]
    assert sorted(p.name for p in (folder / "trace").iterdir()) == ["ks13.pt.trace.json", "tsn.pt.trace.json"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--variants", "tsm"], "--variants: no variant 'tsm'; did you mean 'tsn'?"),
        (["--preset", "paper"], "no preset 'paper'"),
        (["--set", "cost.size=0"], "cost.size: 0 is below 1"),
        (["--set", "cost.precision=fp8"], "cost.precision: 'fp8' is none of fp32, bf16, fp16"),
    ],
)
def test_command_refuses_in_one_line(place: Workplace, args: list[str], says: str) -> None:
    code, out, err = run(place, place.study(), *args)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err


def test_a_study_that_asks_for_it_has_its_profiles_on_the_summary_run(ready: Workplace) -> None:
    outcome = ready.run(ready.study(profile=True))
    assert outcome.code == 0, outcome.err
    client = ready.client()
    experiment = client.get_experiment_by_name("tiny")
    (summary,) = client.search_runs([experiment.experiment_id], "tags.`mixtbench.kind` = 'summary'")
    run_id = summary.info.run_id
    there = {entry.path for entry in client.list_artifacts(run_id, "profile")}
    assert there == {"profile/operators.json", "profile/timeline.html", "profile/trace"}
    traces = {entry.path for entry in client.list_artifacts(run_id, "profile/trace")}
    assert traces == {f"profile/trace/{name}.pt.trace.json.gz" for name in ("tsn", "ks13")}
    packed = client.download_artifacts(run_id, "profile/trace/ks13.pt.trace.json.gz", str(ready.folder))
    assert json.loads(gzip.decompress(Path(packed).read_bytes()))["traceEvents"]
    heaviest: list[dict[str, Any]] = ready.load().costs["ks13"].heaviest
    assert heaviest
    metrics = ready.runs()[0].data.metrics
    assert {"cost/activation_mib", "cost/peak_memory_step_mib", "cost/temporal_share_step"} <= set(metrics)


@pytest.mark.slow
def test_tensorboard_plugin_lists_the_operators_of_a_trace(tmp_path: Path) -> None:
    take(tmp_path, tmp_path / "profiles" / "tiny")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "harness.ui",
        "--tensorboard",
        "--data-dir",
        str(tmp_path),
        "--port",
        str(port),
    ]
    server = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        base = f"http://127.0.0.1:{port}/data/plugin/pytorch_profiler"
        runs = answer(f"{base}/runs", server, until=lambda found: found["runs"])["runs"]
        assert runs == ["tiny/trace"]
        assert set(answer(f"{base}/workers?run=tiny%2Ftrace&view=Operator", server)) == {"tsn", "ks1357"}
        where = "run=tiny%2Ftrace&worker=ks1357&span=default&group_by=Operation"
        table = answer(f"{base}/operation/table?{where}", server)["data"]
        calls = {row["name"]: row["calls"] for row in table}
        assert calls["mixtbench::stencil"] == 4 * profiling.STEPS
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        said = server.communicate(timeout=30)[0]
    assert "Traceback" not in said, said


def answer(address: str, server: subprocess.Popen[str], until: Any = lambda found: True) -> Any:
    """JSON at an address, once the server is up and has what is waited for."""
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=60) as reply:
                found = json.loads(reply.read())
            if until(found):
                return found
        except (OSError, ValueError):
            pass
        time.sleep(0.5)
    raise AssertionError(f"no answer from {address}")
