"""Several machines: two nodes of Ray, an MLflow server, a node that is lost, and nodes that are not as they must be."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.clusters import head, mlflow_server, node, raylet, up
from builders.place import ROOT, TINY, Workplace
from builders.processes import free_port

from harness.errors import StudyError
from harness.outside import copy_sources
from harness.run import nodes
from harness.run.checks import checked_studies
from harness.run.request import read

QUICK = {"RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "5000"}
"""Ray notices in seconds that a node is gone, not in half a minute. Set before it starts."""

OWN = """
import os, time
import torch
from operators import TemporalOp
from own_helper import FACTOR

class Own(TemporalOp):
    def __init__(self, channels, num_frames):
        super().__init__(channels, num_frames)
        self.taps = torch.nn.Parameter(torch.ones(channels, 1, 1))
    def forward(self, x):
        if not x.is_meta:
            time.sleep(float(os.environ.get("SLEEP", 0)))
        return x * self.taps * FACTOR
"""


@pytest.fixture(scope="module")
def first() -> Iterator[str]:
    """The address of a cluster, whose first node runs one trial at a time."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**QUICK, "SLEEP": "0.1"}.items():
            patch.setenv(name, value)
        with head("--num-cpus=1", "--node-name=first") as address:
            yield address


def wait(until: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not until():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def scores(place: Workplace) -> dict[str, np.ndarray]:
    found = {}
    for run in place.runs():
        name = run.info.run_name
        file = place.client().download_artifacts(run.info.run_id, "scores.npz", place.folder / "got")
        found[name] = np.load(file)["scores"]
    return found


@pytest.mark.slow
def test_a_study_survives_the_loss_of_a_node_and_has_the_bits_of_a_serial_run(
    ready: Workplace, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its operator is where only the driver finds it: in a folder on its own path, in two files."""
    mine = ready.folder / "mine"
    mine.mkdir()
    (mine / "own_cluster.py").write_text(OWN)
    (mine / "own_helper.py").write_text("FACTOR = 1.0\n")
    study = ready.study(
        variants={"own": {"model.operator": {"name": "own_cluster.Own"}}},
        baseline="own",
        seeds=[0, 1, 2],
        train={**TINY["train"], "epochs": 5},
    )
    (ready.folder / "got").mkdir()
    port = free_port()
    local, ready.uri = ready.uri, f"http://127.0.0.1:{port}"
    with (
        mlflow_server(ready.folder, port),
        node(first, "--num-cpus=1", "--node-name=second", environment={"SLEEP": "0.1"}) as second,
    ):
        up(port)
        process = ready.start(study, "--address", first, "--unchecked", path=(mine,))
        checkpoints = (ready.data / "trials").glob
        wait(lambda: len(list(checkpoints("*/checkpoint.pt"))) == 2, process)  # one on each node
        killed = 1000 * time.time()
        os.kill(raylet(second), signal.SIGKILL)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        assert "aylet" not in out
        trials = ready.load().trials
        assert [trial.status for trial in trials] == ["done"] * 3
        (lost,) = [trial for trial in trials if "note" in trial.environment]
        assert lost.environment["note"].startswith("attempt 1: node lost: second (")
        assert f"note     {lost.environment['note']}\n" in out
        assert [run.info.status for run in ready.runs()] == ["FINISHED"] * 3
        (run,) = [one for one in ready.runs() if one.data.tags["mixtbench.trial_id"] == lost.trial_id]
        points = ready.client().get_metric_history(run.info.run_id, "time/epoch_s")
        assert [point.step for point in points] == list(range(1, 6))
        assert killed < points[-1].timestamp
        # The first epoch took to the digit as long in the record as it did on the node that is lost.
        assert lost.history[0]["time/epoch_s"] == pytest.approx(points[0].value, rel=1e-5)
        on_cluster, record = scores(ready), {trial.trial_id: trial.last for trial in trials}
    ready.uri = local
    monkeypatch.syspath_prepend(mine)
    assert ready.run(study, "--unchecked").code == 0
    assert {trial.trial_id: trial.last for trial in ready.load().trials} == record
    alone = scores(ready)
    assert sorted(alone) == sorted(on_cluster)
    assert all(np.array_equal(alone[name], on_cluster[name]) for name in alone)


def refused(place: Workplace, address: str) -> list[str]:
    asked = place.command(place.study(), "--address", address, "--unchecked")
    with pytest.raises(StudyError) as error:
        checked_studies(read(asked))
    return str(error.value).splitlines()


@pytest.mark.slow
def test_a_node_with_other_code_is_refused_by_name_and_no_trial_waits_for_a_node_too_small(
    ready: Workplace, first: str
) -> None:
    """A copy of the project in which a comment was added."""
    other = ready.folder / "other"
    for room in ("harness", "operators"):
        shutil.copytree(ROOT / room, other / room, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "harness" / "seeds.py").open("a") as file:
        file.write("# edited\n")
    with node(first, "--num-cpus=2", "--node-name=edited", environment={"PYTHONPATH": str(other)}):
        (line,) = refused(ready, first)
        assert line.startswith(f"--address {first}: node edited (")
        assert "mixtbench" in line.rpartition("): ")[2]
        ready_study = ready.study(resources={"cpus": 3, "gpus": 0})
        with pytest.raises(StudyError, match=r"resources\.cpus: 3 asked for each trial, but .* 2 "):
            checked_studies(read(ready.command(ready_study, "--address", first, "--unchecked")))


def _can_hide() -> bool:
    hide = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return bool(shutil.which("unshare")) and not subprocess.run(hide, capture_output=True).returncode


@pytest.mark.slow
@pytest.mark.skipif(not _can_hide(), reason="this user cannot hide a folder from a process (unshare --mount)")
def test_a_node_that_does_not_see_the_data_folder_is_refused_by_name(ready: Workplace, first: str) -> None:
    """Something else is mounted there, as where storage is not shared."""
    hide = f'mount -t tmpfs none {ready.data} && exec "$@"'
    within = ["unshare", "--mount", "sh", "-c", hide, "sh"]
    with node(first, "--num-cpus=1", "--node-name=blind", within=within):
        (line,) = refused(ready, first)
    assert line.startswith(f"--address {first}: node blind (")
    assert line.endswith(f"): the data folder {ready.data} is another one")


def test_what_a_node_lacks_is_said_in_words(tmp_path: Path) -> None:
    with nodes.needs(tmp_path / "not yet" / "made", [tmp_path]) as needs:
        assert Path(needs.token).parent == tmp_path
        assert nodes.lacks(needs) == ""
        other = dataclasses.replace(
            needs, torch="1.0", token="/nowhere/token", paths=("/nowhere/clips", str(tmp_path))
        )
        assert nodes.lacks(other) == (
            f"torch is {needs.torch}, here 1.0; the data folder {needs.data_dir} cannot be seen; "
            "/nowhere/clips cannot be seen"
        )
        changed = dataclasses.replace(needs, content="of another machine")
        assert nodes.lacks(changed) == f"the data folder {needs.data_dir} is another one"
        edited = dataclasses.replace(needs, digest="")
        assert nodes.lacks(edited) == f"files of mixtbench differ ({needs.mixtbench} on both)"
        older = dataclasses.replace(needs, digest="", mixtbench="mixtbench 0.0.1")
        assert nodes.lacks(older) == f"mixtbench is {needs.mixtbench}, here mixtbench 0.0.1"
    assert list(tmp_path.iterdir()) == []
    assert nodes.lacks(needs) == f"the data folder {needs.data_dir} is another one"


def test_an_operators_own_files_are_sent_as_they_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mine" / "sent_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("FACTOR = 3\n")
    (package / "op.py").write_text(
        "from operators import TemporalOp\nfrom sent_package import FACTOR\nimport sent_helper\n"
        "class Sent(TemporalOp):\n    def forward(self, x):\n        return x\n"
    )
    (tmp_path / "mine" / "sent_helper.py").write_text("VALUE = 1\n")
    (tmp_path / "mine" / "unused.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path / "mine")
    out = tmp_path / "out"
    assert copy_sources(out, "sent_package.op.Sent")
    found = sorted(str(file.relative_to(out)) for file in out.rglob("*.py"))
    assert found == ["sent_helper.py", "sent_package/__init__.py", "sent_package/op.py"]
    assert not copy_sources(tmp_path / "none", "shift")
    assert not (tmp_path / "none").exists()
