"""`make gpu`: rehearsed on a CPU, where what it must do without is hidden; on a GPU, its checks as tests."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.place import ROOT

from harness.bench import timing
from harness.bench.forms import DTYPES, INSERTIONS, Case, forms
from harness.cost.counting import network
from harness.gpu import __main__ as gpu
from harness.gpu import checks, costs, ladder, steps
from harness.gpu import place as places
from harness.gpu.place import Place
from harness.gpu.report import page
from harness.machine import tf32, threads

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", gpu.EXACT["CUBLAS_WORKSPACE_CONFIG"])  # before CUDA starts

HIDDEN = ("ray", "mlflow", "decord", "av", "rich", "scipy", "matplotlib", "PIL", "safetensors", "pandas")


def place(folder: Path, device: str = "cpu") -> Place:
    folder.mkdir(exist_ok=True)
    return Place(torch.device(device), quick=True, folder=folder, file=folder / "found.json")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_on_a_gpu(check: object, tmp_path: Path) -> None:
    result = checks.tried(check, place(tmp_path, "cuda"))  # type: ignore[arg-type]
    assert result.outcome != "failed", result.words


@pytest.mark.slow
def test_the_whole_command_runs_without_ray_mlflow_and_decoders(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for package in HIDDEN:
        (hidden / f"{package}.py").write_text(f"raise ImportError('{package} is hidden')\n")
    code = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "harness.gpu", "--device", "cpu", "--quick", "--out", str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": f"{hidden}{os.pathsep}{code}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "out" / "README.md").read_text()
    assert "A rehearsal on a CPU." in page
    for name in gpu.STEPS:
        assert f"| {name} | passed |" in page
    found = {name: json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in gpu.STEPS}
    assert len(found["checks"]["checks"]) == len(checks.CHECKS)
    assert {row["variant"] for row in found["costs"]["rows"]} >= {"tsn", "ks1357"}
    assert [one["seed"] for one in found["ladder"]["trials"]] == [0, 0]
    assert (tmp_path / "out" / "ks1357.pt.trace.json.gz").exists()


def test_a_step_that_takes_too_long_is_stopped_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "STEPS", {"costs": (0.02, 0.02), "no such": (60, 60), "traces": (60, 60)})
    monkeypatch.setattr(gpu, "TOGETHER", (60, 60))
    clock, page = time.monotonic, gpu._Page.write

    def written(*args: object) -> bool:  # the time for all of them is over after the second step
        if args[1]["no such"].startswith("failed"):  # type: ignore[index]
            monkeypatch.setattr(time, "monotonic", lambda: clock() + 300)
        return page(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(gpu._Page, "write", written)
    assert gpu.main(["--device", "cpu", "--quick", "--out", str(tmp_path)]) == 1
    said = (tmp_path / "README.md").read_text()
    assert "| costs | stopped after 0.1 s, its time limit" in said
    assert "| no such | failed after" in said
    assert "'no such'" in said
    assert "| traces | not reached: the time for all steps together was over" in said


def test_all_steps_together_leave_time_to_stop_within_eight_and_three_minutes() -> None:
    """At most a step's limit is overrun by what stopping it takes; the page is written meanwhile."""
    for quick, minutes in ((False, 8), (True, 3)):
        assert gpu.TOGETHER[quick] + gpu.PATIENCE <= 60 * minutes
        assert sum(limits[quick] for limits in gpu.STEPS.values()) <= 60 * minutes


def test_a_step_that_cannot_be_started_or_ends_by_a_signal_and_a_page_that_fails_stop_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program, args = tmp_path / "python", gpu._parse(["--device", "cpu"])
    monkeypatch.setattr(sys, "executable", str(program))
    words = gpu._run(args, "checks", tmp_path, tmp_path, 30)
    assert words == "failed: its process could not be started: No such file or directory"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    assert "its process ended with -9" in gpu._run(args, "checks", tmp_path, tmp_path, 30)
    broken = {"traces": {"profiles": [{}]}}
    assert not gpu._Page(tmp_path, "a GPU", "make gpu", {}).write({}, broken)
    assert "KeyError" in capfd.readouterr().err


def test_ctrl_c_ends_the_step_and_leaves_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def stopped(*args: object) -> str:
        (tmp_path / "traces.json").write_text('{"error": "of an earlier step"}')
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "_run", stopped)
    asked = ["--device", "cpu", "--out", str(tmp_path), "--only", "costs", "traces"]
    assert gpu.main(asked) == 130
    said = (tmp_path / "README.md").read_text()
    assert "| costs | stopped with the command; what it had found is kept |" in said
    assert "| traces | not reached |" in said


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel of Linux does it")
def test_a_killed_command_leaves_no_step_on_the_gpu(tmp_path: Path) -> None:
    """Also when it has no time to end its step itself."""
    script = (
        "import os, signal, subprocess, sys\n"
        "step = 'import sys, time; from harness.gpu import __main__ as g; from harness.gpu import place;'"
        "'place.Place = lambda *a: print(1, flush=True) or time.sleep(60); g.main(sys.argv[1:])'\n"
        "words = ['--step', 'traces', '--device', 'cpu', '--out', '.', '--scratch', '.']\n"
        "step = subprocess.Popen([sys.executable, '-c', step, *words, '--parent', str(os.getpid())],"
        " stdout=subprocess.PIPE, start_new_session=True)\n"
        "step.stdout.readline(); print(step.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    step = int(done.stdout)
    for _ in range(100):
        try:
            if not Path(f"/proc/{step}/cmdline").read_bytes():  # ended, and nobody asked how
                return
        except OSError:  # gone
            return
        time.sleep(0.1)
    os.kill(step, signal.SIGKILL)
    raise AssertionError("the step goes on")


def test_where_the_home_folder_cannot_be_written_triton_keeps_what_it_compiles_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRITON_CACHE_DIR", "TRITON_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert gpu._compiled(tmp_path) == {}
    monkeypatch.setenv("HOME", "/proc/nobody")
    assert gpu._compiled(tmp_path) == {"TRITON_CACHE_DIR": str(tmp_path / "triton")}
    monkeypatch.setenv("TRITON_CACHE_DIR", "elsewhere")
    assert gpu._compiled(tmp_path) == {}


def test_a_step_whose_device_no_longer_answers_goes_on_in_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an illegal access to a GPU's memory, of which nothing in the same process recovers."""
    tried = []

    def first(where: Place) -> str:
        tried.append("first")
        raise RuntimeError("an illegal memory access")

    def second(where: Place) -> str:
        tried.append("second")
        return "it holds"

    monkeypatch.setattr(checks, "CHECKS", (first, second))
    monkeypatch.setattr(checks, "usable", lambda device: "gone" if tried == ["first"] else "")
    asked = ["--device", "cpu", "--step", "checks", "--scratch", str(tmp_path), "--out", str(tmp_path)]
    assert [gpu.main(asked), gpu.main(asked)] == [gpu.AGAIN, 0]
    assert tried == ["first", "second"]
    kept = json.loads((tmp_path / "checks.json").read_text())["checks"]
    assert [(one["check"], one["outcome"]) for one in kept] == [("first", "failed"), ("second", "passed")]


def test_a_process_that_asks_for_it_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, times = tmp_path / "python", tmp_path / "times"
    program.write_text(
        f"#!/bin/sh\necho >> {times}\n[ $(wc -l < {times}) = 1 ] && exit {gpu.AGAIN}\nexit 0\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    args = gpu._parse(["--device", "cpu"])
    assert gpu._run(args, "checks", tmp_path, tmp_path, 30) == "passed"
    assert times.read_text() == "\n\n"


def test_without_triton_networks_take_the_eager_path_and_the_page_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "it is for CUDA tensors, not cpu" in places.refusal(torch.device("cpu"), "triton")
    assert places.refusal(torch.device("cpu"), "eager") == ""
    monkeypatch.setattr(places, "refusal", lambda device, path: "CalledProcessError: gcc")
    where = place(tmp_path)
    where.choose_stencil()
    assert (where.stencil, where.found) == ("eager", {"no_triton": "CalledProcessError: gcc"})
    assert {model.stencil for model, _ in costs.variants(where).values()} == {"eager"}
    assert {trial.settings.model.stencil for trial in ladder.trials(where)} == {"eager"}
    said = page("a GPU", "make gpu", {}, {}, {"costs": where.found, "ladder": where.found})
    assert said.count("Triton does not run here: CalledProcessError: gcc") == 1


def test_costs_and_traces_have_operators_in_all_stages(tmp_path: Path) -> None:
    where = place(tmp_path)
    with torch.device("meta"):
        model = network(costs.geometry(where), *costs.variants(where)["ks1357"])
    assert {model.stage_of(name) for name, _ in model.operators()} == {1, 2, 3, 4}


def test_a_way_for_which_memory_is_too_small_is_told_and_the_next_one_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(where: Place, config: object, rows: object, way: costs.Way) -> list[dict[str, object]]:
        if way.clips > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        one = {"p50": 2.0, "p95": 3.0, "n": 9}
        return [
            {
                "variant": "tsn",
                "way": str(way),
                "ms": {"forward": one, "step": one},
                "peak_mib": None,
                "warnings": [],
            }
        ]

    monkeypatch.setattr(costs, "_timed", timed)
    where = place(tmp_path)
    where.quick = False
    costs.run(where)
    assert len(where.found["rows"]) == len(where.found["failed"]) == 6
    said = page("a GPU", "make gpu", {}, {}, {"costs": where.found})
    assert "- bf16, channels last, 2 clips: OutOfMemoryError: CUDA out of memory." in said
    assert "| tsn | 2.00 / 3.00 |" in said
    assert gpu._failed(where.found) == 6


def test_cases_of_the_bench_that_do_not_run_are_told_also_where_none_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*case: object, **how: object) -> None:
        raise ValueError("no kernel of this size")  # a compiler's errors are of any class

    monkeypatch.setattr(steps, "measure", refused)
    where = place(tmp_path)
    steps.operators(where)
    said = page("a GPU", "make gpu", {}, {}, {"operators": where.found})
    assert "- 16@16, 2 x 8 frames, bf16, channels_last: ValueError: no kernel of this size" in said
    assert gpu._failed(where.found) == 1


def test_what_the_command_needs_and_lacks_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "yaml" else find(name))
    assert gpu.main(["--device", "cpu"]) == 2
    assert capsys.readouterr().err.endswith("-m pip install pyyaml\n")


def test_tf32_is_as_before_afterwards_and_nothing_warns() -> None:
    def state() -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    before = state()
    for allowed in (True, False):
        with tf32(allowed):
            assert state() == (allowed, allowed)
    assert state() == before


def test_a_check_that_fails_is_told_with_what_it_found(tmp_path: Path) -> None:
    def two_and_two_are_five(where: Place) -> str:
        raise AssertionError("they are 4")

    def it_breaks(where: Place) -> str:
        raise ValueError("no shape")

    assert checks.tried(two_and_two_are_five, place(tmp_path)) == checks.Result(
        "two and two are five", "failed", "they are 4"
    )
    assert checks.tried(it_breaks, place(tmp_path)).words == "ValueError: no shape"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no process to processors")
def test_at_once_go_no_more_trials_than_the_process_has_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)  # of the machine, of which others have the rest
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3})
    assert [ladder.together(jobs) for jobs in (1, 29)] == [1, 1]


def test_without_a_gpu_the_command_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert gpu.main([]) == 2
    assert "sees no CUDA device here; --device cpu rehearses the command" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_operator_keeps_the_tolerances_of_the_checks(dtype: str, tmp_path: Path) -> None:
    """What fails here would fail on any GPU."""
    where = dataclasses.replace(place(tmp_path), quick=False)
    with threads(1):
        assert " forms; the largest relative error" in checks._exact(where, dtype)


def test_a_relu_behind_rounded_taps_passes_among_many_channels() -> None:
    """Of a million sums some hundred have another sign with taps in bf16."""
    case = Case(shape="2048@7", clips=2, frames=8, dtype="bf16", format="channels_last", threads=0)
    found, _ = forms(case, ["frame_aggregation"], ["eager"], torch.device("cpu"))
    assert [one.failed for one in timing.prepare(found, case, torch.device("cpu"))] == [""]


def test_processes_that_wait_in_vain_are_given_up() -> None:
    begin, before = time.monotonic(), signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeoutError, match=r"not done after 0.2 s"), checks._in_time(0.2):
        time.sleep(30)
    assert time.monotonic() - begin < 10
    assert signal.getsignal(signal.SIGALRM) is before


def test_what_fails_beside_other_trials_is_trained_again_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU whose compute mode lets one process in."""

    class Crowded(ThreadPoolExecutor):
        def submit(self, *asked: object) -> Future[Any]:  # type: ignore[override]
            one: Future[Any] = Future()
            one.set_exception(RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"))
            return one

    def trained(trial: ladder.Trial) -> dict[str, Any]:
        row = {"variant": trial.variant, "seed": trial.seed, "top1": 50.0, "levels": {"1": 50.0}}
        return row | {"seconds": 1.0}

    monkeypatch.setattr(ladder, "ProcessPoolExecutor", Crowded)
    monkeypatch.setattr(ladder, "train", trained)
    where = place(tmp_path)
    ladder.run(where)
    assert len(where.found["trials"]) == where.found["planned"] == 2
    assert "failed" not in where.found
    said = page("a GPU", "make gpu", {}, {}, {"ladder": where.found})
    assert "1 failed beside others and were trained again alone: RuntimeError: CUDA error" in said


def test_the_page_says_whether_an_h100s_targets_are_met() -> None:
    def row(shape: str, what: str, share: float, ms: float) -> dict[str, Any]:
        case = Case(shape=shape, clips=8, frames=8, dtype="bf16", format="channels_last", threads=0)
        ratio = {"median": 1.0, "low": 1.0, "high": 1.0}
        timed = {"latency_ms": {"p50": ms}, "of_copy": {"median": share}, "x_copy": ratio, "copy_ms": 0.1}
        more = {"first_call_s": 1.0, "saved_mib": 1.0, "least_bytes": 5 * case.bytes, "failed": ""}
        own = {"operator": "mixtconv", "path": "triton", "pass": what, "bytes": case.bytes}
        return dataclasses.asdict(case) | own | timed | more

    rows = []
    for shape in INSERTIONS:  # 16 in all, of 0.09 ms each: 1.44 ms; only 256@56 and 512@28 have 50 MB
        share = 0.91 if shape in ("256@56", "512@28") else 0.5
        rows += [row(shape, "forward", share, 0.05), row(shape, "forward_backward", share - 0.12, 0.09)]
    costs = {"way": "bf16, 1 clip", "precision": "bf16", "warnings": [], "peak_mib": 1.0}
    times = {"p50": 100.0, "p95": 101.0, "n": 9}
    found = {
        "operators": {"rows": rows, "insertions": [], "skipped": {}},
        "costs": {
            "geometry": {"backbone": "resnet50", "size": 224},
            "rows": [
                costs | {"variant": name, "ms": {"forward": times, "step": times | {"p50": ms}}}
                for name, ms in (("tsn", 100.0), ("ks1357", 104.0))
            ],
        },
    }
    said = page("H100", "make gpu", {"GPU": "80 GiB"}, {}, found)
    large = "tensors of 50 MB and more: of a copy's bandwidth"
    assert f"| `mixtconv`, forward, {large} | 90% | 91% to 91% | met |" in said
    assert f"| `mixtconv`, forward and backward, {large} | 80% | 79% to 79% | **missed** |" in said
    assert (
        "| 16 insertions of 64 frames, bf16, forward and backward | 1.4 ms | 1.44 ms | **missed** |" in said
    )
    assert "of `ks1357` over TSN's: bf16, 1 clip | 1.05 | 1.040 | met |" in said
    assert "## Targets" not in page("a CPU", "make gpu", {}, {}, found)
