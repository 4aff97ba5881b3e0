"""A full disk, wherever it is felt first: a line that names the path, nothing lost, and the same command goes on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.place import ROOT, TINY, Workplace

from harness.data.dataset import open_data
from harness.files import write_whole
from harness.study.load import load_study
from harness.train.loop import fit
from harness.train.trial import reason_of

pytestmark = pytest.mark.usefixtures("no_trial_figures")

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from harness.run.__main__ import main
sys.exit(main())
"""


def limited(place: Workplace, size: int, *args: object) -> subprocess.CompletedProcess[str]:
    """The command where no file can grow beyond so many bytes: that is what a full disk is for whoever writes one."""
    command = [sys.executable, "-c", LIMITED, str(size), *place.command(*args), "--serial"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, "--wait-for-store", "0"],
        cwd=place.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


SIZES = [0, 3_000, 20_000, 60_000, 200_000, 600_000, 800_000, 1_200_000, 2_000_000, 3_000_000]
"""Bytes: smaller than the first clip, frames, store, result, network, checkpoint."""


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_a_disk_that_is_full_at_any_place_is_one_line_and_loses_nothing(place: Workplace, size: int) -> None:
    study = place.study(train={**TINY["train"], "epochs": 2})
    stopped = limited(place, size, study)
    text = stopped.stdout + stopped.stderr
    assert "Traceback" not in text
    assert stopped.returncode in (0, 1, 2), text
    lines = [line for line in text.splitlines() if "error: " in line or " failed " in line]
    if stopped.returncode:
        assert lines
        assert all(str(place.folder) in line for line in lines), lines
        assert stopped.stderr.count("\n") <= 1, stopped.stderr
    resumed = place.run(study)
    assert (resumed.code, resumed.err) == (0, ""), stopped.stdout + stopped.stderr + resumed.err
    for name, settings in load_study(study).variants.items():
        _, _, unbroken = fit(settings, 0, open_data(settings.data, place.data), torch.device("cpu"))
        run = next(run for run in place.runs() if run.data.params["variant"] == name)
        file = place.client().download_artifacts(run.info.run_id, "scores.npz", str(place.folder))
        assert np.array_equal(np.load(file)["scores"], unbroken.scores)


def test_a_trial_that_cannot_save_its_checkpoint_says_where(ready: Workplace) -> None:
    """And so does the next one: it was tried. The network's own numbers alone take more."""
    study = ready.study()
    stopped = limited(ready, 1_000_000, study)
    assert (stopped.returncode, stopped.stderr) == (1, "")
    for trial in ready.load().trials:
        file = ready.data / "trials" / trial.trial_id / "checkpoint.pt"
        assert trial.reason == f"{file}: File too large; give the same command to go on from its last epoch"
    assert ready.run(study).code == 0


def test_whoever_writes_a_file_is_told_which_one(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = tmp_path / "file"
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        with pytest.raises(OSError, match="File too large") as caught:
            write_whole(file, bytes(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    settings = next(iter(load_study(ROOT / "studies" / "smoke.yaml").variants.values()))
    assert reason_of(caught.value, settings).startswith(f"{file}: File too large; give the same command")
    assert list(tmp_path.iterdir()) == []
