"""`make gpu`: rehearsed on a CPU, where what it must do without is hidden; on a GPU, its checks as tests."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.cost.counting import network
from harness.gpu import __main__ as gpu
from harness.gpu import checks, costs, ladder
from harness.gpu import place as places
from harness.gpu.place import Place
from harness.gpu.report import page
from harness.machine import tf32

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
    monkeypatch.setattr(gpu, "STEPS", {"costs": (0.02, 0.02), "no such": (60, 60)})
    assert gpu.main(["--device", "cpu", "--quick", "--out", str(tmp_path)]) == 1
    page = (tmp_path / "README.md").read_text()
    assert "| costs | stopped after 0.1 s, its time limit" in page
    assert "| no such | failed after" in page
    assert "'no such'" in page


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
