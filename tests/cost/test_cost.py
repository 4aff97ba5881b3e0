"""Costs of a study: kept until something that decides them changes, shown by a command, put on the summary run."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from builders.costs import CPU, TINY, VARIANTS, take
from builders.place import ROOT, Workplace

from harness.cost import cache, profiling
from harness.cost.__main__ import main
from harness.records import CostRecord, to_json


def trusted(folder: Path, taken: dict[str, CostRecord]) -> dict[str, CostRecord]:
    """The same, kept without its doubts: the machine that runs the tests may be busy."""
    for file in folder.glob("*.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"warnings": []}))
    return {name: dataclasses.replace(one, warnings=[]) for name, one in taken.items()}


def test_costs_are_kept_until_something_that_decides_them_changes(tmp_path: Path) -> None:
    first = trusted(tmp_path, take(tmp_path, ks1357="a"))
    assert take(tmp_path, ks1357="a") == first
    changed = take(tmp_path, ks1357="b")
    assert changed["ks1357"].latency_ms != first["ks1357"].latency_ms
    assert changed["tsn"] == first["tsn"]  # another variant is no reason to measure it anew
    assert all(CostRecord(**json.loads(json.dumps(to_json(record)))) == record for record in first.values())


def test_a_doubtful_latency_is_measured_again_and_a_good_one_when_asked(tmp_path: Path) -> None:
    first = trusted(tmp_path, take(tmp_path))
    (file,) = [f for f in tmp_path.glob("*.json") if json.loads(f.read_text())["params_added"] == 0]
    doubt = ["load: other processes used 1.9 of 2 cores meanwhile; stop them and measure again"]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"warnings": doubt}))
    told: list[tuple[int, int]] = []
    second = take(tmp_path, begin=lambda *counts: told.append(counts))
    assert told == [(1, 1)]
    assert second["tsn"].latency_ms != first["tsn"].latency_ms
    assert second["ks1357"] == first["ks1357"]
    trusted(tmp_path, second)
    third = take(tmp_path, remeasure=True, begin=lambda *counts: told.append(counts))
    assert told[1:] == [(2, 0)]
    assert third["ks1357"].latency_ms != first["ks1357"].latency_ms


def test_rows_with_the_same_network_share_what_was_measured(tmp_path: Path) -> None:
    tsn, other = VARIANTS["tsn"], VARIANTS["ks1357"]
    rows = {"tsn@16": tsn, "tsn@32": tsn, "ks1357@16": other, "ks1357@32": other, "longer": (tsn[0], 6)}
    assert cache.first_alike(rows) == {
        "tsn@16": "tsn@16",
        "tsn@32": "tsn@16",
        "ks1357@16": "ks1357@16",
        "ks1357@32": "ks1357@16",
        "longer": "longer",
    }
    taken = cache.costs(
        dataclasses.replace(TINY, repeats=1),
        rows,
        {},
        CPU,
        tmp_path,
        channels_last=True,
        allocator="default",
    )
    assert list(taken) == list(rows)
    assert taken["tsn@32"].latency_ms == taken["tsn@16"].latency_ms != taken["longer"].latency_ms
    assert len(list(tmp_path.iterdir())) == 3


def test_a_profile_asked_for_later_leaves_the_latencies(tmp_path: Path) -> None:
    first = trusted(tmp_path, take(tmp_path))
    second = take(tmp_path, tmp_path / "profiles")
    assert second["tsn"].latency_ms == first["tsn"].latency_ms
    assert first["tsn"].heaviest == []
    assert 0 < len(second["tsn"].heaviest) <= 10
    assert set(second["tsn"].temporal_share) == {"forward", "step"}
    with (tmp_path / "profiles" / "operators.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["variant"] for row in rows} == {"tsn", "ks1357"}
    trace = json.loads(cache.trace_file(tmp_path / "profiles", "ks1357").read_text())
    names = [event.get("name", "") for event in trace["traceEvents"]]
    assert names.count("temporal_op::mixtconv") == 4 * profiling.STEPS
    assert "ProfilerStep#1" in names


def run(place: Workplace, *args: object) -> tuple[int, str, str]:
    place._capsys.readouterr()
    try:
        code = main([*map(str, args), "--data-dir", str(place.data)])
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, *place._capsys.readouterr()


def test_command_shows_the_paper_beside_what_is_computed(place: Workplace) -> None:
    study = ROOT / "studies" / "kernel_sizes.yaml"
    chosen = "--variants", "tsn,ordinary,ks1357", "--set", "cost.latency=false", "--set", "resources.gpus=0"
    code, out, _ = run(place, study, "--preset", "paper", *chosen, "--out", place.folder / "out")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "32.70" in rows["tsn"]
    assert "not reproduced: computed +74.3" in rows["ordinary"]
    assert "33.18" in rows["ks1357"]
    assert "+0.17983" in rows["ks1357"]
    assert "not reproduced" not in rows["ks1357"]
    saved = json.loads((place.folder / "out" / "kernel_sizes-paper" / "costs.json").read_text())
    assert [row["variant"] for row in saved["rows"]] == ["tsn", "ordinary", "ks1357"]
    assert [row["reproduced"] for row in saved["rows"]] == [None, False, True] or saved["rows"][0][
        "reproduced"
    ]
    assert saved["rows"][2]["paper_gmacs"] == 33.18


def test_command_measures_every_way_and_names_the_profile(place: Workplace) -> None:
    study = place.study(cost={"backbone": "resnet_tiny", "size": 32, "repeats": 2})
    code, out, err = run(place, study, "--profile")
    assert (code, err) == (0, "")
    assert "all threads, warm" in out
    assert "fwd+bwd p50, p95 [ms]" in out
    folder = place.data / "profiles" / "tiny"
    assert sorted(p.name for p in folder.iterdir()) == [
        "costs.json",
        "operators.csv",
        "timeline.html",
        "trace",
    ]
    assert sorted(p.name for p in (folder / "trace").iterdir()) == ["ks13.pt.trace.json", "tsn.pt.trace.json"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--variants", "tsm"], "--variants: no variant 'tsm'; did you mean 'tsn'?"),
        (["--preset", "paper"], "no preset 'paper'"),
        (["--part", "reach"], "parts: no part 'reach'; the study has none"),
        (["--set", "cost.size=0"], "cost.size: 0 is below 1"),
        (["--set", "cost.precision=fp8"], "cost.precision: 'fp8' is none of fp32, bf16, fp16"),
    ],
)
def test_command_refuses_in_one_line(place: Workplace, args: list[str], says: str) -> None:
    code, out, err = run(place, place.study(), *args)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err


def test_a_study_that_asks_for_it_has_its_profiles_on_the_summary_run(ready: Workplace) -> None:
    outcome = ready.run(ready.study(profile=True))
    assert outcome.code == 0, outcome.err
    client = ready.client()
    experiment = client.get_experiment_by_name("tiny")
    (summary,) = client.search_runs([experiment.experiment_id], "tags.`mixtbench.kind` = 'summary'")
    run_id = summary.info.run_id
    there = {entry.path for entry in client.list_artifacts(run_id, "profile")}
    assert there == {"profile/operators.json", "profile/timeline.html", "profile/trace"}
    traces = {entry.path for entry in client.list_artifacts(run_id, "profile/trace")}
    assert traces == {f"profile/trace/{name}.pt.trace.json.gz" for name in ("tsn", "ks13")}
    packed = client.download_artifacts(run_id, "profile/trace/ks13.pt.trace.json.gz", str(ready.folder))
    assert json.loads(gzip.decompress(Path(packed).read_bytes()))["traceEvents"]
    heaviest: list[dict[str, Any]] = ready.load().costs["ks13"].heaviest
    assert heaviest
    metrics = ready.runs()[0].data.metrics
    assert {"cost/activation_mib", "cost/peak_memory_step_mib", "cost/temporal_share_step"} <= set(metrics)
