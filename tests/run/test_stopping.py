"""A study that is stopped, killed, or asked for twice at once goes on with nothing lost and nothing twice."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.own import operators
from builders.place import TINY, TINY_DATA, Workplace
from builders.processes import leftovers

from harness.data.dataset import open_data
from harness.study.load import load_study
from harness.train.loop import fit

pytestmark = pytest.mark.usefixtures("no_trial_figures")


def stopped(process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    """What a command wrote that was sent a signal. Python drops one that comes during a finaliser, and the hanging
    trial then never ends its epoch: a user presses Ctrl-C again."""
    for _ in range(2):
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=45)
    raise AssertionError(f"{number.name} did not stop the command")


def slow_study(place: Workplace) -> Path:
    """Two trials of four epochs; with HANG set, the first one hangs in its second epoch."""
    variants = {"slow": operators(place, slow="Slow")["slow"], "other": TINY["variants"]["ks13"]}
    return place.study(variants=variants, baseline="slow", train={**TINY["train"], "epochs": 4})


def until_epoch(place: Workplace, process: subprocess.Popen[str], epoch: int) -> None:
    """Wait until the slow trial has tracked this many epochs."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(Exception):
            if any(
                run.data.metrics["time/epoch"] >= epoch
                for run in place.runs()
                if run.data.params["variant"] == "slow"
            ):
                return
        time.sleep(0.1)
    raise AssertionError("the trial did not come that far")


def scores(place: Workplace) -> dict[str, np.ndarray]:
    """Every finished trial's scores, from the store."""
    client = place.client()
    found = {}
    for run in place.runs():
        assert run.info.status == "FINISHED"
        file = client.download_artifacts(run.info.run_id, "scores.npz", str(place.folder / run.info.run_id))
        found[run.info.run_name] = np.load(file)["scores"]
    return found


def check_that_it_went_on(place: Workplace, study: Path) -> None:
    """The same command again ends as an unbroken run does, with nothing lost and nothing twice."""
    resumed = place.run(study)
    assert (resumed.code, resumed.err) == (0, "")
    found = scores(place)
    assert sorted(found) == ["other-s0", "slow-s0"]
    for run in place.runs():
        for metric in ("val/top1", "train/loss"):
            history = place.client().get_metric_history(run.info.run_id, metric)
            assert [point.step for point in history] == [1, 2, 3, 4]
    for name, settings in load_study(study).variants.items():
        _, _, unbroken = fit(settings, 0, open_data(settings.data, place.data), torch.device("cpu"))
        assert np.array_equal(found[f"{name}-s0"], unbroken.scores)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "ray", "code"),
    [
        (signal.SIGINT, False, 130),
        (signal.SIGTERM, False, 143),
        (signal.SIGKILL, False, -9),
        pytest.param(signal.SIGINT, True, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, True, -9, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_study_goes_on_where_it_stopped(
    ready: Workplace,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    ray: bool,
    code: int,
) -> None:
    study = slow_study(ready)
    monkeypatch.setenv("HANG", "1")
    process = ready.start(study, "--unchecked", *([] if ray else ["--serial"]))
    until_epoch(ready, process, 1)
    out, err = stopped(process, number)
    assert process.returncode == code
    assert err == ""
    assert leftovers(process.pid) == []
    if number != signal.SIGKILL:
        assert "Traceback" not in out
        assert out.count("\nstopping; trials that are under way end at their last whole epoch") == 1
        last = out.splitlines()[-1]
        assert re.fullmatch(
            r"stopped  [01] done, 0 failed, [12] still to run; the same command goes on from here", last
        )
        assert {run.info.status for run in ready.runs()} <= {"KILLED", "FINISHED"}
    assert any(t.reason.startswith("stopped after epoch ") for t in ready.load().trials)
    monkeypatch.delenv("HANG")
    check_that_it_went_on(ready, study)


def test_a_signal_before_the_first_trial_says_so(place: Workplace) -> None:
    dataset = {**TINY_DATA, "train_clips": 4000}
    process = place.start(place.study(data={**TINY["data"], "dataset": dataset}))
    assert process.stdout is not None
    assert process.stdout.readline() == "data     preparing 4,016 clips, once\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "")
    assert out == (
        "\nstopping; trials that are under way end at their last whole epoch: up to half a minute\n"
        "stopped  no trial is under way; the same command starts again from here\n"
    )
    assert not list(place.data.glob("generated-*"))


def test_what_a_signal_broke_while_it_was_loaded_is_a_stop_too(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(request: object) -> int:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        raise RecursionError

    monkeypatch.setattr("harness.run.__main__._run", broken)
    outcome = place.run(place.study())
    assert (outcome.code, outcome.err) == (130, "")
    assert outcome.out == "stopped  no trial is under way; the same command starts again from here\n"


def test_a_second_process_does_not_run_the_same_trials(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = slow_study(ready)
    monkeypatch.setenv("HANG", "1")
    process = ready.start(study, "--serial", "--unchecked")
    until_epoch(ready, process, 1)
    try:
        second = ready.run(study, "--unchecked")
        assert second.code == 2
        assert second.err == (
            "error: slow seed=0 is being run by another process; wait for it, or choose others with "
            "--variants or --seeds\n"
        )
        monkeypatch.delenv("HANG")
        assert ready.run(study, "--seeds", "5", "--variants", "other").code == 0
        assert next(t.reason for t in ready.load().trials if t.status == "running").startswith(
            "running after epoch"
        )
    finally:
        process.kill()
        process.communicate()
