"""What a result depends on is verified: what was damaged is set aside or made anew, and said in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from builders.place import TINY, Workplace

from harness.errors import TrackingError
from harness.records import TrialRecord
from harness.run.recorder import RunRecorder
from harness.run.watch import Watch
from harness.train.trial import Job

pytestmark = pytest.mark.usefixtures("no_trial_figures")


def scores(place: Workplace, name: str) -> np.ndarray:
    (run,) = [run for run in place.runs() if run.info.run_name == name]
    file = place.client().download_artifacts(run.info.run_id, "scores.npz", str(place.folder))
    found: np.ndarray = np.load(file)["scores"]
    return found


def own_copy(file: Path) -> Path:
    """Of a file that tests share."""
    shutil.copy(file, copy := file.with_suffix(".copy"))
    copy.replace(file)
    return file


def test_zeros_in_the_decoded_frames_are_found_and_change_no_result(
    ready: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    study = ready.study(variants={"tsn": TINY["variants"]["tsn"]})
    assert ready.run(study).code == 0
    before = scores(ready, "tsn-s0")
    file = own_copy(next(ready.data.glob("generated-*/frames-24.npy")))
    whole = file.read_bytes()
    with file.open("r+b") as opened:
        opened.seek(len(whole) // 2)
        opened.write(bytes(4096))
    assert ready.run(study, "--force").code == 0
    assert caplog.messages == [f"{file}: not as it was written; it is made anew"]
    assert file.read_bytes() == whole
    assert np.array_equal(scores(ready, "tsn-s0"), before)


def left_behind(place: Workplace, study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a trial whose result the store refused."""
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> None:
            raise TrackingError("no room")

        patch.setattr(RunRecorder, "ended", refuse)
        assert place.run(study).code == 2
    (folder,) = (place.data / "trials").iterdir()
    return folder


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("result.json", "one byte"),
        ("result.json", "cut"),
        ("scores.npz", "one byte"),
        ("scores.npz", "gone"),
        ("model.pt", "garbage"),
    ],
)
def test_a_damaged_result_is_set_aside_and_its_trial_run_again(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    study = ready.study(variants={"tsn": TINY["variants"]["tsn"]})
    folder = left_behind(ready, study, monkeypatch)
    file = folder / name
    content = file.read_bytes()
    middle = len(content) // 2
    if how == "one byte":
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "cut":
        file.write_bytes(content[:middle])
    elif how == "gone":
        file.unlink()
    else:
        file.write_bytes(b"garbage")
    again = ready.run(study)
    aside = folder.with_name(f"{folder.name}.damaged")
    words = f"{name}: No such file or directory" if how == "gone" else name
    assert (
        f"note     tsn seed=0: its result was not as it was saved ({words}): it is {aside} now; "
        "the trial is run again\n"
    ) in again.out
    assert (again.code, again.err) == (0, "")
    assert (aside / "result.json").exists()
    assert [trial.status for trial in ready.load().trials] == ["done"]


def test_a_result_that_is_whole_is_taken_over(ready: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    study = ready.study(variants={"tsn": TINY["variants"]["tsn"]})
    folder = left_behind(ready, study, monkeypatch)
    with np.load(folder / "scores.npz") as saved:
        before = saved["scores"]
    again = ready.run(study)
    assert (again.code, "note " in again.out) == (0, False)
    assert np.array_equal(scores(ready, "tsn-s0"), before)


def test_a_result_damaged_before_it_is_tracked_is_a_failure(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Watch.ended

    def damage(self: Watch, job: Job, record: TrialRecord) -> None:
        (job.folder / "model.pt").write_bytes(b"garbage")
        ended(self, job, record)

    study = ready.study(variants={"tsn": TINY["variants"]["tsn"]})
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "ended", damage)
        assert ready.run(study).code == 1
    (trial,) = ready.load().trials
    assert trial.status == "failed"
    assert trial.reason.startswith("tsn seed=0: its result was not as it was saved (model.pt): it is ")
    assert ready.run(study).code == 0


def test_weights_that_are_no_numbers_fail_the_trial_as_diverged(ready: Workplace) -> None:
    """The loss of the only step is finite; what the step made of the weights is not."""
    settings = {"lr": 1e30, "optimizer": "sgd", "schedule": "step", "batch_size": 48}
    result = ready.run(ready.study(), *(f"--set=train.{key}={value}" for key, value in settings.items()))
    assert result.code == 1
    reason = "diverged: scores of clips are not finite in eval; try a lower train.lr"
    assert [trial.reason for trial in ready.load().trials] == [reason] * 2


HELPED = """
from operators import TemporalOp
import helping_hand

class Helped(TemporalOp):
    def forward(self, x):
        return x * (1 + helping_hand.SCALE)
"""


def test_a_changed_helper_of_an_own_operator_is_named_and_its_trials_are_run_again(ready: Workplace) -> None:
    (ready.folder / "helped.py").write_text(HELPED)
    helper = ready.folder / "helping_hand.py"
    helper.write_text("SCALE = 0.0\n")
    variants = {"tsn": TINY["variants"]["tsn"], "own": {"model.operator": {"name": "helped.Helped"}}}
    study = ready.study(variants=variants)
    assert ready.run(study).code == 0
    before = scores(ready, "own-s0")
    helper.write_text("SCALE = 0.5\n")
    again = ready.run(study)
    assert "2 trials; 1 done before, 1 to run\n" in again.out
    assert (
        "changed  helping_hand.py since own was last run: its earlier results no longer count, " in again.out
    )
    newest = next(trial.run_id for trial in ready.load().trials if trial.variant == "own")
    file = ready.client().download_artifacts(newest, "scores.npz", str(ready.folder))
    assert not np.array_equal(np.load(file)["scores"], before)
    third = ready.run(study)
    assert "2 done before, 0 to run\n" in third.out
    assert "\nchanged" not in third.out
