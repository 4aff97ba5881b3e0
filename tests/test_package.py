"""The project as a package: one command for all commands, and a wheel that needs no clone."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from builders.place import ROOT

from harness import __main__ as door
from harness import shipped

NAMES = ("run", "report", "data", "cost", "bench", "predict", "export", "ui", "stats", "check")


def test_the_command_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main([]) == door.main(["--help"]) == 0
    listed = capsys.readouterr().out
    for name in NAMES:
        assert f"\n  {name} " in listed


def test_every_command_that_is_listed_can_be_called() -> None:
    for module, words in door.COMMANDS.values():
        assert callable(importlib.import_module(module).main)
        assert words


def test_a_mistyped_command_is_one_line_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["reprot"]) == 2
    assert capsys.readouterr().err == "error: no command 'reprot'; did you mean 'report'?\n"


def test_words_after_a_command_are_the_commands_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        door.main(["run", "--help"])
    assert stop.value.code == 0
    assert "--preset NAME" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["smoke", "smoke.yaml", "studies/smoke.yaml"])
def test_a_shipped_study_is_found_by_its_name_where_no_file_is(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped.study_file(text).samefile(ROOT / "studies" / "smoke.yaml")


def test_a_file_of_ones_own_goes_before_a_shipped_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("smoke.yaml").write_text("question: mine\n")
    assert shipped.study_file("smoke.yaml") == Path("smoke.yaml")
    assert shipped.study_file("mine/smoke.yaml") == Path("mine/smoke.yaml")
    assert shipped.study_file("paper_tables") == Path("paper_tables")  # which is no study


@pytest.mark.slow
def test_a_wheel_in_a_fresh_environment_runs_a_study_outside_the_clone(tmp_path: Path) -> None:
    """Nothing is downloaded: outside packages are those of the environment that runs the tests."""
    source, dist, away = (tmp_path / name for name in ("source", "dist", "away"))
    away.mkdir()
    for name in ("harness", "operators", "studies"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index"]
    _do([*pip, "wheel", *offline, "--no-build-isolation", "-w", str(dist), str(source)], away)
    (wheel,) = dist.glob("mixtbench-*.whl")
    shipped_files = {name for name in zipfile.ZipFile(wheel).namelist() if "/studies/" in name}
    assert shipped_files == {f"harness/studies/{path.name}" for path in (ROOT / "studies").glob("*.*")}

    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    _do([sys.executable, "-m", "pip", "--python", str(python), "-q", "install", *offline, str(wheel)], away)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    # A path in a .pth file brings packages, not the editable installation of the clone that lies among them.
    (packages / "outside.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    mixtbench = str(tmp_path / "env" / "bin" / "mixtbench")
    where = _do([str(python), "-c", "import harness; print(harness.__file__)"], away)
    assert Path(where.strip()).is_relative_to(packages)
    options = ["--serial", "--set", "cost.latency=false", "--data-dir", str(tmp_path / "data")]
    ran = _do([mixtbench, "run", "smoke", *options], away)
    assert f"smoke comes with mixtbench: {packages}" in ran
    assert "4 trials" in ran
    _do([mixtbench, "report", "--out", "reports"], away)
    report = away / "reports" / "smoke"
    assert "python -m harness.run smoke.yaml" in (report / "README.md").read_text(encoding="utf-8")
    record = json.loads((report / "results.json").read_text(encoding="utf-8"))["record"]
    assert record["environment"]["commit"] == f"mixtbench {wheel.name.split('-')[1]}"


def _do(words: list[str], folder: Path) -> str:
    """What a command prints; it must end well, and knows nothing of this checkout."""
    hidden = ("PYTHONPATH", "MIXTBENCH_DATA_DIR", "MLFLOW_TRACKING_URI")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
