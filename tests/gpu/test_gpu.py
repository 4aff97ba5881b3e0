"""`make gpu`: rehearsed on a CPU, where what it must do without is hidden; on a GPU, its checks as tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.gpu import __main__ as gpu
from harness.gpu import checks, ladder
from harness.gpu.place import Place

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
