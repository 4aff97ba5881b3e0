"""A trial cannot touch another, nor the run: whatever an operator does, it is that trial's failure, with its reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from builders.own import operators
from builders.place import TINY, Workplace

from harness.data.dataset import open_data
from harness.study.load import load_study
from harness.train.loop import fit

pytestmark = pytest.mark.usefixtures("no_trial_figures")

HOSTILE = r"""
import glob, os, shutil, signal, sys, time
import torch
from operators import TemporalOp

torch.set_default_dtype(torch.float64)
torch.set_num_threads(3)
torch.backends.mkldnn.enabled = False
os.environ["MIXTBENCH_DATA_DIR"] = os.environ["TMPDIR"] = "/nowhere"
os.chdir("/")

class Wild(BaseException):
    pass

class Mute(Exception):
    def __str__(self):
        raise ValueError("not even that")

def throw(error):
    raise error

DEEDS = {
    "wild": lambda: throw(Wild("no exception\nof yours")),
    "mute": lambda: throw(Mute()),
    "garbled": lambda: throw(ValueError("caf\udce9 \x1b[31m red")),
    "long": lambda: throw(ValueError("a" * 100_000)),
    "interrupts": lambda: throw(KeyboardInterrupt()),
    "leaves": lambda: sys.exit(0),
    "leaves_loudly": lambda: sys.exit("enough"),
    "vanishes": lambda: os._exit(3),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crashes": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "aborts": os.abort,
    "closes": lambda: os.closerange(3, 4096),
    "deletes": lambda: [shutil.rmtree(folder) for folder in glob.glob(FOLDERS)],
    "hangs": lambda: time.sleep(600),
    "forks": lambda: os.fork() or time.sleep(600),
    "starves": lambda: bytearray(2**60),
    "noisy": lambda: [os.write(number, bytes(range(256)) * 40) for number in (1, 2)],
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "slow_convolutions": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "no_gradients": lambda: torch.set_grad_enabled(False),
    "double": lambda: torch.set_default_dtype(torch.float64),
}

class Hostile(TemporalOp):
    def __init__(self, channels, num_frames, deed):
        super().__init__(channels, num_frames)
        self.deed = deed

    def forward(self, x):
        if x.is_meta:  # counted, in the process that drives the study
            return x
        deed, self.deed = self.deed, ""
        if deed:
            DEEDS[deed]()
        return x
"""

ENDS = {
    "wild": "Wild: no exception",
    "mute": "Mute: (its message cannot be read)",
    "garbled": r"ValueError: caf\udce9 \x1b[31m red",
    "long": f"ValueError: {'a' * 149}...{'a' * 148}",
    "interrupts": "KeyboardInterrupt",
    "leaves": "its code called sys.exit(0)",
    "leaves_loudly": "its code called sys.exit('enough')",
    "vanishes": "its process exited with 3",
    "killed": "its process was ended by signal 9 (SIGKILL); "
    "the system may have been out of memory (see resources.cpus)",
    "crashes": "its process was ended by signal 11 (SIGSEGV)",
    "aborts": "its process was ended by signal 6 (SIGABRT)",
    "closes": "its process exited with 1",
    "starves": "out of memory at batch_size 16; try train.micro_batch: 8, which keeps the batch, "
    "or train.batch_size: 8",
    "hangs": "no step for 0.05 min (train.stall_limit); traceback.txt says where it stood",
    "no_gradients": "RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn",
}
"""What is recorded of those that fail."""


def hostile_study(place: Workplace, *deeds: str, **changes: object) -> Path:
    """Between two that do nothing wrong, operators that do."""
    folders = str(place.data / "trials" / "*")
    (place.folder / "hostile.py").write_text(f"FOLDERS = {folders!r}\n{HOSTILE}")
    variants = {"first": TINY["variants"]["tsn"]}
    for deed in deeds:
        variants[deed] = {"model.operator": {"name": "hostile.Hostile", "deed": deed}}
        if deed == "hangs":
            variants[deed]["train.stall_limit"] = 0.05
    variants["last"] = TINY["variants"]["ks13"]
    return place.study(variants=variants, baseline="first", **changes)


def scores(place: Workplace, variant: str) -> np.ndarray:
    client = place.client()
    run = next(run for run in place.runs() if run.data.params["variant"] == variant)
    file = client.download_artifacts(run.info.run_id, "scores.npz", str(place.folder / run.info.run_id))
    found: np.ndarray = np.load(file)["scores"]
    return found


def check_neighbours(place: Workplace, study: Path) -> None:
    """Those that did nothing wrong have the scores, to the last bit, that the loop alone gives."""
    for name, settings in load_study(study).variants.items():
        if name in ("first", "last"):
            _, _, alone = fit(settings, 0, open_data(settings.data, place.data), torch.device("cpu"))
            assert np.array_equal(scores(place, name), alone.scores)


def test_whatever_ends_a_trial_is_its_reason_and_its_neighbours_do_not_notice(ready: Workplace) -> None:
    harmless = ["noisy", "forks", "deterministic", "slow_convolutions", "double", "deletes"]
    study = hostile_study(ready, *ENDS, *harmless)
    result = ready.run(study, "--unchecked")
    assert result.code == 1
    trials = {trial.variant: trial for trial in ready.load().trials}
    assert {name: trials[name].reason for name in ENDS} == ENDS
    assert {trials[name].status for name in ENDS} == {"failed"}
    notes = {name: trials[name].environment["note"] for name in ENDS if "note" in trials[name].environment}
    assert notes == {"killed": f"attempt 1: {ENDS['killed']}"}  # the only end that may have been luck
    assert [trials[name].status for name in ("first", "last", *harmless)] == ["done"] * 8
    check_neighbours(ready, study)
    assert np.array_equal(
        scores(ready, "noisy"), scores(ready, "first")
    )  # its file's state of torch is not its own
    for name, words in (("crashes", "Segmentation fault"), ("hangs", "in forward")):
        run = next(run for run in ready.runs() if run.data.params["variant"] == name)
        file = ready.client().download_artifacts(run.info.run_id, "traceback.txt", str(ready.folder))
        assert words in Path(file).read_text()


def test_a_trial_that_takes_too_long_is_ended_and_goes_on_when_asked_again(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs in its second epoch, the first time."""
    variants = {"slow": operators(ready, slow="Slow")["slow"]}
    train = {**TINY["train"], "epochs": 3}
    study = ready.study(variants=variants, baseline="slow", train=train | {"time_limit": 0.1})
    monkeypatch.setenv("HANG", "1")
    assert ready.run(study, "--unchecked").code == 1
    (trial,) = ready.load().trials
    reason = "not done after 0.1 min (train.time_limit); give the same command to go on from there"
    assert (trial.status, trial.reason) == ("failed", reason)
    monkeypatch.delenv("HANG")
    study = ready.study(variants=variants, baseline="slow", train=train | {"time_limit": 10})
    assert ready.run(study).code == 0
    (run,) = ready.runs()
    assert run.data.metrics["time/epoch"] == 3


UNLUCKY = """
import os, pathlib, signal
from operators import TemporalOp

class Unlucky(TemporalOp):
    reach = 0

    def __init__(self, channels, num_frames):
        super().__init__(channels, num_frames)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        flag = pathlib.Path(FLAG)
        if self.calls > 4 and not flag.exists():  # in the second epoch: 2 steps and 1 evaluation each
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x * 1.0
"""


def test_a_trial_whose_process_is_killed_once_goes_on_by_itself_and_says_so(ready: Workplace) -> None:
    flag = str(ready.folder / "killed")
    (ready.folder / "unlucky.py").write_text(f"FLAG = {flag!r}\n{UNLUCKY}")
    variants = {"unlucky": {"model.operator": {"name": "unlucky.Unlucky"}}}
    study = ready.study(variants=variants, baseline="unlucky", train={**TINY["train"], "epochs": 3})
    result = ready.run(study, "--unchecked")
    assert (result.code, result.err) == (0, "")
    assert f"note     attempt 1: {ENDS['killed']}\n" in result.out
    (trial,) = ready.load().trials
    assert (trial.status, trial.environment["note"]) == ("done", f"attempt 1: {ENDS['killed']}")
    (run,) = ready.runs()
    assert [p.step for p in ready.client().get_metric_history(run.info.run_id, "val/top1")] == [1, 2, 3]
    (settings,) = load_study(study).variants.values()
    _, _, alone = fit(settings, 0, open_data(settings.data, ready.data), torch.device("cpu"))
    assert np.array_equal(scores(ready, "unlucky"), alone.scores)
    (ready.folder / "killed").unlink()
    assert ready.run(study, "--unchecked", "--seeds", "1", "--set", "train.retries=0").code == 1


@pytest.mark.slow
def test_under_ray_too(ready: Workplace) -> None:
    study = hostile_study(ready, *ENDS, "slow_convolutions", "forks")
    process = ready.start(study, "--unchecked")
    _, err = process.communicate(timeout=600)
    assert (process.returncode, err) == (1, "")
    trials = {trial.variant: trial for trial in ready.load().trials}
    assert {name: trials[name].reason for name in ENDS} == ENDS
    assert trials["killed"].environment["note"] == f"attempt 1: {ENDS['killed']}"
    check_neighbours(ready, study)
