"""MLflow's pages: what `harness.ui` serves, and the view of a study that they open with."""

from __future__ import annotations

import base64
import dataclasses
import json
import socket
import subprocess
import sys
import zlib
from typing import Any

import pytest
from builders.place import ROOT, Workplace
from builders.studies import small_study
from builders.tracked import PLAN
from mlflow.exceptions import MlflowException

from harness.report.variant_runs import variant_runs
from harness.tracking.recorder import Recorder
from harness.tracking.store import Store
from harness.ui import main


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


def test_a_number_that_no_port_has_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for given in ("99999", "0", "http"):
        with pytest.raises(SystemExit) as end:
            main(["--port", given])
        assert (end.value.code, capsys.readouterr().err) == (
            2,
            f"error: argument --port: {given!r} is no port; use a number from 1 to 65535; see "
            "python -m harness.ui --help\n",
        )


def view(place: Workplace, name: str) -> dict[str, Any]:
    tag = place.client().get_experiment_by_name("pair").tags[f"mlflow.sharedViewState.{name}"]
    kind, _, packed = json.loads(tag)["state"].partition(";")
    assert kind == "deflate"
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return found


def test_the_saved_views_show_variants_with_their_verdicts_and_trials_by_variant(
    recorder: Recorder, ready: Workplace
) -> None:
    """The format is MLflow's own and not documented; this pins what its 3.17 pages were seen to read."""
    variants, trials = view(ready, "variants"), view(ready, "trials")
    assert {"tags.`top1`", "tags.`vs_baseline`", "tags.`verdict`"} == set(variants["selectedColumns"])
    # Letters of 7 pixels or so and 24 of padding; 745 are left beside the panel that opens at the first visit.
    widths, order = variants["columnWidths"], variants["columnOrder"]
    assert widths["tags.`vs_baseline`"] >= 24 + 7 * len("+50.0 [49.9, 50.1]")
    assert widths["tags.`verdict`"] >= 24 + 6 * len("no difference larger than 2 points")
    assert sum(widths.values()) <= 745
    assert order == list(widths)
    scatter = variants["compareRunCharts"][0]
    assert scatter["type"] == "SCATTER"
    assert (scatter["xaxis"]["key"], scatter["yaxis"]["key"]) == ("cost/latency_ms", "mean/top1")
    assert trials["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "variant"}]
    for state in (variants, trials):
        assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {
            section["uuid"] for section in state["compareRunSections"]
        }


def test_mlflows_table_has_a_run_a_variant_with_mean_interval_and_verdict(
    recorder: Recorder, ready: Workplace
) -> None:
    def kept() -> dict[str, Any]:
        client = ready.client()
        experiment = client.get_experiment_by_name("pair")
        runs = client.search_runs([experiment.experiment_id], "tags.`mixtbench.kind` = 'variant'")
        return {run.info.run_name: run for run in runs}

    record = dataclasses.replace(small_study(), name="pair")
    recorder.keep_variants("pair", variant_runs(record))
    ks3 = kept()["ks3"]
    # 73.0 +- 7.5 and +51 [48.5, 53.5], as in the report's own sentence
    assert ks3.data.tags["top1"] == "73.0 ± 7.5"
    assert ks3.data.tags["vs_baseline"] == "+51.0 [48.5, 53.5]"
    assert ks3.data.tags["verdict"] == "better"
    assert ks3.data.metrics["mean/top1"] == 73.0
    assert ks3.info.status == "FINISHED"
    assert kept()["tsn"].data.tags["mlflow.runColor"] != ks3.data.tags["mlflow.runColor"]
    assert ks3.data.tags["latency"] == "measured"
    busy = dataclasses.replace(record.costs["ks3"], warnings=["load: 3 other processes were busy"])
    doubted = dataclasses.replace(record, costs={**record.costs, "ks3": busy})
    recorder.keep_variants("pair", variant_runs(doubted))
    assert kept()["ks3"].data.tags["latency"] == "doubtful"
    recorder.keep_variants("pair", variant_runs(record))
    assert kept()["ks3"].data.tags["latency"] == "measured"  # measured again, it loses its mark
    only = dataclasses.replace(record, variants=["tsn"])
    recorder.keep_variants("pair", variant_runs(only))
    assert set(kept()) == {"tsn"}
    assert ready.runs("pair") == []  # no trial of the study is theirs


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
