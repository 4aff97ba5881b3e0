"""MLflow's pages: what `harness.ui` serves, and the view of a study that they open with."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import zlib
from typing import Any

from builders.place import ROOT, Workplace
from builders.tracked import PLAN
from mlflow.exceptions import MlflowException

from harness.tracking.recorder import Recorder
from harness.tracking.store import Store


def ui(place: Workplace, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.ui", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_the_pages_of_an_empty_store_are_not_served(ready: Workplace) -> None:
    done = ui(ready, "--tracking-uri", ready.uri)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no study in sqlite:///")
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line(recorder: Recorder, ready: Workplace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = ui(ready, "--tracking-uri", ready.uri, "--port", str(port))
    assert (done.returncode, done.stderr) == (
        2,
        f"error: --port {port}: cannot be used here; try --port {port + 1}\n",
    )


def test_the_saved_view_shows_accuracy_against_latency_grouped_by_variant(
    recorder: Recorder, ready: Workplace
) -> None:
    """The format is MLflow's own and not documented; this pins what its 3.17 pages were seen to read."""
    tag = ready.client().get_experiment_by_name("pair").tags["mlflow.sharedViewState.accuracy-latency"]
    kind, _, packed = json.loads(tag)["state"].partition(";")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert kind == "deflate"
    assert state["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "variant"}]
    scatter = state["compareRunCharts"][0]
    assert scatter["type"] == "SCATTER"
    assert (scatter["xaxis"]["key"], scatter["yaxis"]["key"]) == ("cost/latency_ms", "val/top1")
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {
        section["uuid"] for section in state["compareRunSections"]
    }


def test_a_view_that_mlflow_refuses_does_not_stop_a_study(ready: Workplace, caplog: Any) -> None:
    store = Store.open(ready.uri)
    recorder = Recorder(store)
    client = store.connection.client
    real = client.set_experiment_tag

    def refuse(experiment: str, key: str, value: str) -> None:
        if "sharedViewState" in key:
            raise MlflowException("too long")
        real(experiment, key, value)

    client.set_experiment_tag = refuse
    recorder.begin_study(PLAN)
    assert store.studies() == ["pair"]
    assert "no saved view in MLflow: too long" in caplog.text


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = (
        "import sys, harness.ui\n"
        "try: harness.ui.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'mlflow', 'ray', 'scipy', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--tracking-uri" in done.stdout
