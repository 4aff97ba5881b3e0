"""What a dry run says of a plan before anything is trained."""

from __future__ import annotations

import re

import pytest
from builders.place import ROOT, TINY, Workplace

from harness.data.config import DataConfig
from harness.data.dataset import open_data
from harness.run.dry import detects, weak
from harness.stats.power import Noise
from harness.tracking.store import Store
from harness.train import apart

pytestmark = pytest.mark.usefixtures("no_trial_figures")


def test_a_dry_run_prints_the_costs_of_table_2_and_writes_nothing(place: Workplace) -> None:
    outcome = place.run(ROOT / "studies" / "kernel_sizes.yaml", "--parts", "reach", "--dry-run")
    assert outcome.code == 0
    assert "10 variants x 3 seeds = 30 trials; 0 done before, 30 to run" in outcome.out
    (detects,) = [line for line in outcome.out.splitlines() if line.startswith("detects  ")]
    assert " points as one of 9 rows, " in detects
    assert ", with 3 seeds and 3,840 validation clips at 80 % power; assumed: " in detects
    rows = {line.split()[0]: line.split()[-5:-1] for line in outcome.out.splitlines() if " +" in line}
    expected = {  # parameters and GMACs added to ResNet-50, 8 frames, 224x224: FACTS.md section 1
        "tsn": ("+0", "+0.00000"),
        "tsm": ("+0", "+0.00000"),
        "ks3": ("+39,360", "+0.13487"),
        "ks5": ("+65,600", "+0.22479"),
        "ks7": ("+91,840", "+0.31470"),
        "ks13": ("+26,240", "+0.08992"),
        "ks135": ("+39,316", "+0.13455"),
        "ks1357": ("+52,480", "+0.17983"),
        "ks357": ("+39,360", "+0.13487"),
    }
    assert {name: (rows[name][1], rows[name][3]) for name in expected} == expected
    assert rows["tsn"][0] == "23,864,558"
    assert rows["tsn"][2] == "32.70"
    assert round(float(rows["ordinary"][3]), 2) == 74.30
    assert list(place.folder.iterdir()) == []


def test_a_dry_run_names_the_protocol_the_memory_of_a_step_and_what_is_missing(place: Workplace) -> None:
    model = {"backbone": "resnet50", "weights": str(place.folder / "none.pth")}
    data = TINY["data"] | {"num_frames": 8, "short_side": 256, "crop": 224}
    study = place.study(model=model, data=data, train={"batch_size": 64}, resources={"gpus": 10_000})
    before = sorted(place.folder.rglob("*"))
    outcome = place.run(study, "--dry-run")
    assert outcome.code == 0, outcome.err
    assert (
        "optimiser                  sgd with momentum 0.9, lr 0.01 (x0.1 at epochs 30, 40, 45), weight decay "
        in outcome.out
    )
    assert "batch                      64 clips, shared out among 10000 processes; " in outcome.out
    assert f"missing  weights: model.weights: no file {place.folder}/none.pth\n" in outcome.out
    assert "missing  GPUs: resources.gpus: 10000 asked for each trial, but there are " in outcome.out
    assert "1 clip of the 64, in the largest row " in outcome.out
    too_few = "variants.tsn: train.batch_size: 64 clips are too few for 10000 processes"
    assert f"missing  recipe: {too_few}\n" in outcome.out
    assert sorted(place.folder.rglob("*")) == before


def test_a_dry_run_names_folders_that_cannot_be_written(place: Workplace) -> None:
    (place.folder / "file").touch()
    place.data, place.uri = place.folder / "file" / "data", "sqlite:////proc/x/mlflow.db"
    outcome = place.run(place.study(resources={"gpus": 0}), "--dry-run")
    data, store = [line for line in outcome.out.splitlines() if line.startswith("missing")]
    assert data.startswith(f"missing  folder: --data-dir {place.folder}/file/data: cannot be written: ")
    assert store.startswith(
        "missing  folder: --tracking-uri sqlite:////proc/x/mlflow.db: cannot be written: /proc"
    )


def test_a_dry_run_says_when_nothing_is_missing(place: Workplace) -> None:
    outcome = place.run(place.study(resources={"gpus": 0}), "--dry-run")
    assert "missing  nothing: this machine can run it\n" in outcome.out


def test_a_dry_run_of_the_zoo_waits_for_no_other_process(place: Workplace) -> None:
    apart.close()
    assert place.run(place.study(resources={"gpus": 0}), "--dry-run").code == 0
    assert apart._kept == []


def test_a_dry_run_goes_on_where_an_operator_needs_real_tensors(place: Workplace) -> None:
    (place.folder / "own_real.py").write_text(
        "from operators import TemporalOp\n\n\nclass Real(TemporalOp):\n"
        "    def forward(self, x):\n        return x * (1 + 0 * float(x[0, 0, 0, 0, 0]))\n"
    )
    study = place.study(variants=TINY["variants"] | {"own": {"model.operator": {"name": "own_real.Real"}}})
    outcome = place.run(study, "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "memory   of own is not known: its operator does not run on shapes alone (" in outcome.out


def test_a_dry_run_knows_what_is_done_and_changes_nothing(ready: Workplace) -> None:
    study = ready.study()
    ready.run(study, "--variants", "tsn")
    before = {path: path.stat().st_mtime_ns for path in ready.folder.rglob("*") if path.is_file()}
    outcome = ready.run(study, "--dry-run")
    assert "1 done before, 1 to run" in outcome.out
    assert before == {path: path.stat().st_mtime_ns for path in ready.folder.rglob("*") if path.is_file()}
    other = ready.run(ready.study("other"), "--dry-run")  # a study that the store does not know
    assert (other.code, other.err) == (0, "")
    data = open_data(DataConfig(**TINY["data"]), ready.data).fingerprint
    assert Store.open(ready.uri).alike(data) == [[t.last["top1"] for t in ready.load().trials if t.last]]
    assert Store.open(ready.uri).alike("other data") == []


def test_a_plan_says_what_it_can_detect_and_what_it_assumes() -> None:
    assert detects(19, 1, 0).startswith(
        "0.9 points as one of 1 row, with 19 seeds and 11,522 validation clips (assumed) at 80 % power; assumed: on "
        "11,522 clips top-1 has an sd of 0.33 points between trainings, as published on Something-Something v1; two "
    )
    assert ", with 5 seeds and 480 validation clips at" in detects(5, 3, 0, 480, 240)
    with_hypotheses = detects(3, 9, 4)
    assert " points as one of 9 rows, " in with_hypotheses
    assert " as one of 4 hypotheses, with 3 seeds and " in with_hypotheses


def test_a_plan_assumes_the_noise_of_earlier_trainings_on_its_data_where_there_are_any() -> None:
    noise = Noise(sd=2.345, clips=480, trainings=30)
    words = detects(5, 3, 0, 480, 240, noise=noise)
    assert (
        "; assumed: top-1 has an sd of 2.3 points between trainings, as 30 earlier ones on this data set had; "
        in words
    )
    assert "published" not in words
    assert weak(5, 3, 0, 480, 240, noise=noise).startswith(
        f"a row that differs by 5 to {words.split()[0]} points may"
    )


def test_too_few_seeds_to_decide_anything_are_said() -> None:
    assert detects(2, 9, 0) == "no difference: 2 of the 3 seeds that an interval needs"


def test_a_study_that_may_leave_open_what_matters_says_so_and_what_would_help() -> None:
    """What it says of 5 seeds is what a study with 5 seeds says of itself."""
    words = weak(3, 37, 0, 320, 160, margin=2.0)
    row = detects(3, 37, 0, 320, 160).split()[0]
    assert words.startswith(
        f"a row that differs by 2 to {row} points may stay undecided; what would help: 5 seeds ("
    )
    assert f"5 seeds ({detects(5, 37, 0, 320, 160).split()[0]} points)" in words
    assert "one comparison stated as a hypothesis (" in words
    assert "as a hypothesis" not in weak(3, 37, 10, 320, 160, margin=2.0)
    assert weak(10, 2, 0, 100_000, margin=2.0) == ""
    assert weak(2, 37, 0, margin=2.0) == ""  # which says already that it can decide nothing


def test_a_dry_run_of_a_sweep_shows_its_rows_and_what_varies(place: Workplace) -> None:
    outcome = place.run(ROOT / "studies" / "kernel_sizes.yaml", "--parts", "clips", "--dry-run")
    assert (
        "plan     6 variants x 5 train_clips x 3 seeds = 90 trials; 0 done before, 90 to run\n" in outcome.out
    )
    assert "each     1 cpu, 0 gpu, 10 to 60 epochs of resnet_tiny\n" in outcome.out
    rows = re.findall(r"^(\S+)@(\d+) .* \+(\S+) +\S+$", outcome.out, re.MULTILINE)
    clips = ["64", "96", "128", "192", "384"]
    added = {"tsm": "0.00000", "ordinary": "74.29580", "ks3": "0.13487", "ks5": "0.22479", "ks7": "0.31470"}
    wanted = [(name, value, macs) for name, macs in added.items() for value in clips]
    assert set(wanted) < set(rows)
    assert "sweep    data.dataset.train_clips: 64, 96, 128, 192, 384\n" in outcome.out
    assert "sweep    train.epochs: 60, 40, 30, 20, 10\n" in outcome.out
    assert "differs  " not in outcome.out
    assert (
        " points as one of 25 rows, " in outcome.out
    )  # 30 rows, of which 5 are the baseline at its own value
