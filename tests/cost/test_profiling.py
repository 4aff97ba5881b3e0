"""Where the time of a step goes: shares, peaks, the timeline, and traces that viewers read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from builders.costs import CPU, TINY, VARIANTS, take
from builders.place import ROOT
from builders.processes import free_port

from harness.cost import latency, profiling, timeline
from harness.cost.counting import count_by_torch


@pytest.fixture(scope="module")
def profiled() -> profiling.Profile:
    """A training step of the tiny network with MixTConv."""
    case = latency.build(TINY, VARIANTS, CPU, channels_last=True)["ks1357"]
    return profiling.profile_step(case)


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
    page = timeline.page("a </script> title", "a note", {"ks<1>": profiled, "<!--<script>": profiled})
    assert "http" not in page
    assert "src=" not in page
    assert page.count("</script>") == page.count("<script") == 1
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


@pytest.mark.slow
def test_tensorboard_plugin_lists_the_operators_of_a_trace(tmp_path: Path) -> None:
    take(tmp_path, tmp_path / "profiles" / "tiny")
    port = free_port()
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
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
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
