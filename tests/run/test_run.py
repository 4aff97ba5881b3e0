"""The command a user types: what it prints, writes and returns, and what stops it."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.place import ROOT, TINY, TINY_DATA, Workplace

from harness.data import open_data
from harness.study.load import load_study
from harness.train.loop import fit

RAY_LINES = r"""study    tiny: Does a tiny study run\?
plan     2 variants x 2 seeds = 4 trials; 0 done before, 4 to run
data     generated \([0-9a-f]{12}\) in \S+
each     1 cpu, 0 gpu, 1 epochs of resnet_tiny
cost     at resnet_tiny, 4 frames of 32x32, 174 classes, \d+ s
(\[\d/4\] \S+ seed=[01] +done    top1 +\d+\.\d % +\d+ s(   \d+ (s|min) left)?
){4}
variant +top1 \[%\] +short +long +static +vs tsn \[points\] +MACs +latency \[ms\]
tsn +\d+\.\d \(n=2\)( +\d+\.\d){3} +baseline +0\.\d\d G +not measured
own +\d+\.\d \(n=2\)( +\d+\.\d){3} +[+-]\d+\.\d \(n=2\) too few seeds to tell +not stated +not measured
± and \[ \]: 95 % interval, paired by seed; .*
MACs at resnet_tiny, 32x32, 4 frames
time     a trial takes \d+\.\d s: start \d+ %, .*
next     python -m harness.report --out reports/   or browse: make ui
"""

OWN = """
import os, time, torch
from operators import TemporalOp

class Fine(TemporalOp):
    def forward(self, x):
        return x * 1.0

class Broken(TemporalOp):
    def forward(self, x):
        raise ValueError("no idea")

class Hungry(TemporalOp):
    def forward(self, x):
        raise MemoryError

class Dying(TemporalOp):
    def forward(self, x):
        if x.is_meta:  # counted, in the process that drives the study
            return x
        os._exit(3)

class Slow(TemporalOp):
    def __init__(self, channels, num_frames):
        super().__init__(channels, num_frames)
        self.taps = torch.nn.Parameter(torch.ones(channels, 1, 1))
        self.calls = 0
    def forward(self, x):
        self.calls += 1
        while "HANG" in os.environ and self.calls > 4:  # in the second epoch: 2 steps and 1 evaluation each
            time.sleep(0.05)
        return x * self.taps
"""


def operators(place: Workplace, **classes: str) -> dict[str, Any]:
    """Variants with the operators of OWN, in a file beside the study."""
    (place.folder / "own_run.py").write_text(OWN)
    plain = {"tsn": TINY["variants"]["tsn"]}
    return plain | {name: {"model.operator": {"name": f"own_run.{cls}"}} for name, cls in classes.items()}


def no_terminal_codes(text: str) -> bool:
    return "\x1b" not in text and "\r" not in text


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training here; test_tracking.py has the figures."""
    for name in ("curves", "confusion_matrix"):
        monkeypatch.setattr(f"harness.plots.{name}", lambda path, *rest: path.write_bytes(b""))


# ---- a study, run -------------------------------------------------------------------------------------------------


def test_a_study_asked_twice_runs_once(ready: Workplace) -> None:
    study = ready.study()
    first = ready.run(study)
    assert (first.code, first.err) == (0, "")
    assert "plan     2 variants x 1 seeds = 2 trials; 0 done before, 2 to run" in first.out
    assert "[2/2] ks13 seed=0" in first.out
    assert no_terminal_codes(first.out)
    second = ready.run(study)
    assert (second.code, second.err) == (0, "")
    assert "2 done before, 0 to run" in second.out
    assert "seed=0" not in second.out
    assert first.out.splitlines()[-6:] == second.out.splitlines()[-6:]
    assert len(ready.runs()) == 2


def test_a_tracked_trial_leaves_nothing_in_the_data_folder(ready: Workplace) -> None:
    """A store that is deleted is started anew: no result comes back from a cache behind the user's back."""
    study = ready.study()
    ready.run(study)
    for trial in ready.load().trials:
        assert not (ready.data / "trials" / trial.trial_id).exists()


def test_a_longer_list_of_variants_runs_only_the_new_one(ready: Workplace) -> None:
    ready.run(ready.study())
    more = {**TINY["variants"], "tsm": {"model.operator": {"name": "shift"}}}
    again = ready.run(ready.study(variants=more))
    assert "3 trials; 2 done before, 1 to run" in again.out
    assert "[1/1] tsm seed=0" in again.out


def test_force_runs_again_and_leaves_one_result_a_trial(ready: Workplace) -> None:
    study = ready.study()
    ready.run(study)
    before = {run.info.run_id for run in ready.runs()}
    outcome = ready.run(study, "--force", "--variants", "tsn")
    assert "2 done before, 1 to run, 1 left out by --variants or --seeds" in outcome.out
    after = ready.runs()
    assert [run.info.run_name for run in after] == ["ks13-s0", "tsn-s0"]
    assert len(before & {run.info.run_id for run in after}) == 1


def test_chosen_variants_run_and_the_others_stay_in_the_table(ready: Workplace) -> None:
    outcome = ready.run(ready.study(), "--variants", "ks13")
    assert outcome.code == 0
    assert re.search(r"^tsn +none of 1 done ", outcome.out, re.MULTILINE)
    assert "nothing to compare" in outcome.out
    assert {t.variant: t.status for t in ready.load().trials} == {"tsn": "missing", "ks13": "done"}


def test_new_seeds_join_the_studys(ready: Workplace) -> None:
    study = ready.study(seeds=[0, 1])
    outcome = ready.run(study, "--seeds", "1,7", "--variants", "tsn")
    assert "2 variants x 3 seeds = 6 trials; 0 done before, 2 to run, 4 left out" in outcome.out
    done = [(t.variant, t.seed) for t in ready.load().trials if t.status == "done"]
    assert done == [("tsn", 1), ("tsn", 7)]


def test_a_set_value_makes_other_trials(ready: Workplace) -> None:
    study = ready.study()
    ready.run(study)
    assert "0 done before, 2 to run" in ready.run(study, "--set", "train.lr=0.5").out
    assert "2 done before, 0 to run" in ready.run(study, "--set", "train.workers=1").out


def test_a_preset_is_a_study_of_its_own(ready: Workplace) -> None:
    study = ready.study("my-tiny", presets={"long": {"train.epochs": 2}})
    assert ready.run(study, "--preset", "long").code == 0
    record = ready.load("my-tiny-long")
    assert [len(t.history) for t in record.trials] == [2, 2]
    assert (record.file, record.preset, record.part) == ("my-tiny.yaml", "long", "")


def test_an_operator_in_the_working_directory_is_found(ready: Workplace) -> None:
    (ready.folder / "own_here.py").write_text(OWN)
    (ready.folder / "elsewhere").mkdir()
    variants = TINY["variants"] | {"own": {"model.operator": {"name": "own_here.Fine"}}}
    study = ready.study(variants=variants).rename(ready.folder / "elsewhere" / "tiny.yaml")
    assert ready.run(study).code == 0


# ---- trials that fail -----------------------------------------------------------------------------------------------


def test_failed_trials_are_kept_with_their_reasons_and_the_others_go_on(ready: Workplace) -> None:
    variants = operators(ready, broken="Broken", hungry="Hungry", fine="Fine")
    variants["hot"] = {"model.operator": {"name": "shift"}, "train.lr": 1e30, "train.epochs": 2}
    outcome = ready.run(ready.study(variants=variants))
    assert (outcome.code, outcome.err) == (1, "")
    trials = {t.variant: t for t in ready.load().trials}
    assert {name: t.status for name, t in trials.items()} == {
        "tsn": "done", "broken": "failed", "hungry": "failed", "fine": "done", "hot": "failed",
    }  # fmt: skip
    assert trials["broken"].reason == "ValueError: no idea"
    assert trials["hungry"].reason.startswith("out of memory at batch_size 16; try train.micro_batch: 8")
    assert re.match(r"loss is \w+ at epoch \d, step \d; try a lower train.lr", trials["hot"].reason)
    for name in ("broken", "hungry", "hot"):
        assert f"failed   {name} seed=0: {trials[name].reason}" in outcome.out
    broken = next(run for run in ready.runs() if run.info.run_name == "broken-s0")
    artifact = ready.client().download_artifacts(broken.info.run_id, "traceback.txt", str(ready.folder))
    assert "raise ValueError" in Path(artifact).read_text()


def test_a_failed_trial_is_run_again_when_asked_again(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = ready.study(variants=operators(ready, broken="Broken"))
    ready.run(study)
    again = ready.run(study)
    assert "1 done before, 1 to run" in again.out
    assert again.code == 1
    import own_run

    monkeypatch.setattr(own_run.Broken, "forward", lambda self, x: x * 1.0)
    mended = ready.run(study)
    assert mended.code == 0
    assert [(run.info.run_name, run.info.status) for run in ready.runs()] == [
        ("broken-s0", "FINISHED"),
        ("tsn-s0", "FINISHED"),
    ]
    assert "failed   broken" not in mended.out


# ---- bad requests ---------------------------------------------------------------------------------------------------


def refused(place: Workplace, *args: object) -> str:
    """The one line of a request that is refused; nothing may be left behind."""
    before = sorted(place.folder.rglob("*"))
    outcome = place.run(*args)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    after = [p for p in sorted(place.folder.rglob("*")) if "__pycache__" not in p.parts]
    assert after == before
    return outcome.err.removeprefix("error: ").strip()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--variants", "ks31"], "--variants: no variant 'ks31'; did you mean 'ks13'?"),
        (["--preset", "paper"], "presets: no preset 'paper'; the study has none"),
        (["--profile", "paper"], "a study at another scale is called a preset now: --preset paper"),
        (["--profile"], "a study at another scale is called a preset now: --preset NAME"),
        (["--seeds", "abc"], "argument --seeds: 'abc' is not a list of whole numbers, as in 0,1,2"),
        (["--seeds", "1,1"], "argument --seeds: '1,1': give each seed once, none below 0, as in 0,1,2"),
        (["--set", "train.epoch=2"], "--set train.epoch=2: train.epoch: unknown key; did you mean 'epochs'?"),
        (["--sett", "train.epochs=2"], "unrecognized arguments: --sett train.epochs=2"),
        (["--address", "127.0.0.1:9"], "--address 127.0.0.1:9: no Ray cluster there"),
        (["--set", "resources.cpus=4096"], "resources.cpus: 4096 asked for each trial, but there are"),
        (["--set", "resources.gpus=64"], "resources.gpus: 64 asked for each trial, but there are"),
        (["--data-dir", "file/x"], "cannot be written"),
        (["--data-dir", "/proc/x"], "--data-dir /proc/x: cannot be written: /proc: "),
        (["--tracking-uri", "sqlite:///file/x.db"], "cannot write file/x.db"),
        (["--tracking-uri", "sqlite:////proc/x.db"], "cannot write /proc/x.db"),
        (["--tracking-uri", "sqlite:///file"], "file is not an SQLite file"),
        (["--tracking-uri", "sqlite:///."], "cannot write . (Is a directory)"),
        (["--tracking-uri", "mlruns"], "--tracking-uri mlruns: use sqlite:///FILE or http://HOST:PORT"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_one_line_and_leaves_nothing(
    place: Workplace, args: list[str], expected: str
) -> None:
    (place.folder / "file").write_text("a file, no folder and no database")
    study = place.study()
    place.command = lambda *given: [
        str(a) for a in ("--data-dir", place.data, "--tracking-uri", place.uri, *given)
    ]  # type: ignore[method-assign]
    assert expected in refused(place, study, *args)


def test_a_wrong_study_is_one_line_and_leaves_nothing(place: Workplace) -> None:
    wrong = place.study(variants={"tsn": {"model.operator": {"name": "identty"}}})
    assert refused(place, wrong).endswith("no operator 'identty'; did you mean 'identity'?")
    assert "did you mean 'tiny'?" in refused(place, place.folder / "tinny.yaml")
    (place.folder / "broken.yaml").write_text("question: [")
    assert "broken.yaml:1:12: not valid YAML" in refused(place, place.folder / "broken.yaml")


def test_a_store_with_a_torn_page_is_one_line(ready: Workplace) -> None:
    file = ready.folder / "mlflow.db"
    file.write_bytes(file.read_bytes()[:100] + b"\0" * 5000)
    outcome = ready.run(ready.study())
    assert outcome.code == 2
    assert outcome.err.startswith("error: tracking store ")
    assert outcome.err.count("\n") == 1


def test_no_study_at_all_is_one_line(place: Workplace) -> None:
    place.command = lambda *args: [str(a) for a in args]  # type: ignore[method-assign]
    assert refused(place).startswith("the following arguments are required: study; see ")


# ---- the plan -------------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_the_costs_of_table_2_and_writes_nothing(place: Workplace) -> None:
    outcome = place.run(ROOT / "studies" / "kernel_sizes.yaml", "--dry-run")
    assert outcome.code == 0
    assert "10 variants x 3 seeds = 30 trials; 0 done before, 30 to run" in outcome.out
    (detects,) = [line for line in outcome.out.splitlines() if line.startswith("detects  ")]
    assert " points as one of 9 rows, " in detects
    assert ", with 3 seeds and 480 validation clips at 80 % power; assumed: " in detects
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


def test_the_parts_of_a_study_run_one_after_the_other_as_studies_of_their_own(ready: Workplace) -> None:
    parts = {"low": {"train.lr": 0.001}, "high": {"train.lr": 0.01}}
    study = ready.study(parts=parts)
    outcome = ready.run(study, "--parts", "high", "--variants", "tsn")
    assert outcome.code == 0, outcome.err
    assert "study    tiny-high: " in outcome.out
    assert "tiny-low" not in outcome.out
    outcome = ready.run(study, "--variants", "tsn")
    assert outcome.code == 0, outcome.err
    assert (
        "2 variants x 1 seeds = 2 trials; 0 done before, 1 to run"
        in outcome.out.split("study    tiny-high")[0]
    )
    assert (
        "2 variants x 1 seeds = 2 trials; 1 done before, 0 to run"
        in outcome.out.split("study    tiny-high")[1]
    )
    low, high = ready.load("tiny-low"), ready.load("tiny-high")
    assert [record.settings["tsn"]["train"]["lr"] for record in (low, high)] == [0.001, 0.01]


def test_an_unknown_part_is_one_line(place: Workplace) -> None:
    outcome = place.run(place.study(parts={"low": {}}), "--parts", "lwo")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "parts: no part 'lwo'; did you mean 'low'?" in outcome.err


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


def test_a_dry_run_says_when_nothing_is_missing(place: Workplace) -> None:
    outcome = place.run(place.study(resources={"gpus": 0}), "--dry-run")
    assert "missing  nothing: this machine can run it\n" in outcome.out


def test_a_dry_run_goes_on_where_an_operator_needs_real_tensors(place: Workplace) -> None:
    (place.folder / "own_real.py").write_text(
        "from operators import TemporalOp\n\n\nclass Real(TemporalOp):\n"
        "    def forward(self, x):\n        return x + float(x.sum())\n"
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


def test_help_answers_before_anything_heavy_is_imported() -> None:
    check = (
        "import sys; from harness.run.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'numpy', 'matplotlib'} & set(sys.modules)))"
    )
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.monotonic() - begin < 5  # 0.2 s on a quiet machine; the promise is 1 s
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--dry-run" in done.stdout


# ---- stopped, killed, asked at once ---------------------------------------------------------------------------------


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


def leftovers(group: int) -> list[str]:
    """Processes that are still in the session of an ended command, a moment granted to those that are ending.

    Two helpers of a killed Ray find out by themselves after half a minute or more: they are not waited for.
    """
    deadline = time.monotonic() + 20
    while True:
        alive = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                command = (folder / "cmdline").read_text().replace("\0", " ")
                if int(fields[3]) == group and fields[0] != "Z" and "Agent" not in command:
                    alive.append(command[:100])
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.2)


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
    process = ready.start(study, *([] if ray else ["--serial"]))
    until_epoch(ready, process, 1)
    out, err = stopped(process, number)
    assert process.returncode == code
    assert err == ""
    assert leftovers(process.pid) == []
    if number != signal.SIGKILL:
        assert "Traceback" not in out
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
    assert out == "stopped: no trial is under way; the same command starts again from here\n"
    assert not list(place.data.glob("generated-*"))


def test_a_second_process_does_not_run_the_same_trials(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = slow_study(ready)
    monkeypatch.setenv("HANG", "1")
    process = ready.start(study, "--serial")
    until_epoch(ready, process, 1)
    try:
        second = ready.run(study)
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


# ---- Ray ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_under_ray_the_whole_output_is_the_plan_a_line_a_trial_and_the_table(ready: Workplace) -> None:
    variants = operators(ready, own="Fine")
    process = ready.start(ready.study(variants=variants, seeds=[0, 1]))
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert re.fullmatch(RAY_LINES, out), out
    assert leftovers(process.pid) == []
    assert sorted(p.name for p in ready.folder.iterdir() if p.name != "__pycache__") == [
        "data", "mlflow.db", "mlruns", "own_run.py", "tiny.yaml",
    ]  # fmt: skip
    assert list((ready.data / "ray").iterdir()) == []
    assert "4 done before, 0 to run" in ready.run(ready.folder / "tiny.yaml").out


@pytest.mark.slow
def test_under_ray_a_process_that_dies_is_a_failed_trial_and_the_others_go_on(ready: Workplace) -> None:
    process = ready.start(ready.study(variants=operators(ready, dying="Dying", broken="Broken", fine="Fine")))
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (1, "")
    trials = {t.variant: t for t in ready.load().trials}
    assert {name: t.status for name, t in trials.items()} == {
        "tsn": "done", "dying": "failed", "broken": "failed", "fine": "done",
    }  # fmt: skip
    assert trials["dying"].reason.startswith("its process died; the system may have been out of memory")
    assert trials["broken"].reason == "ValueError: no idea"
    assert f"failed   dying seed=0: {trials['dying'].reason}" in out
