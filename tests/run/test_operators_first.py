"""Operators are held to the contract before anything is trained, whatever they do to the process that tries them."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders.place import ROOT, TINY, Workplace

from harness.errors import StudyError
from harness.report import figures
from harness.report.__main__ import main as report
from harness.run import recorder
from harness.run.contract import check_operators
from harness.study.load import load_study
from harness.train import apart

pytestmark = pytest.mark.usefixtures("no_trial_figures")

OWN = """
import os, signal, sys, time
from operators import TemporalOp

class MixesClips(TemporalOp):
    reach = 0
    def forward(self, x):
        return x + x.mean(dim=0, keepdim=True)

class MixesWide(MixesClips):
    def forward(self, x):
        return super().forward(x) if self.channels == 32 else 2 * x

class LooksFar(TemporalOp):
    def __init__(self, channels, num_frames, by):
        super().__init__(channels, num_frames)
        self.reach, self.by = 1, by
    def forward(self, x):
        return x + x.roll(self.by, dims=1)

class Asked(TemporalOp):
    @property
    def reach(self):
        sys.exit(0)
    def forward(self, x):
        return x * 1.0

class Hostile(TemporalOp):
    def __init__(self, channels, num_frames, deed):
        super().__init__(channels, num_frames)
        self.deed = deed
    def forward(self, x):
        DEEDS[self.deed]()
        return x

DEEDS = {
    "vanishes": lambda: os._exit(3),
    "crashes": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "leaves": lambda: sys.exit("enough"),
    "hangs": lambda: time.sleep(600),
}
"""


def own_study(place: Workplace, cls: str, **settings: object) -> Path:
    """The tiny study, and beside it an operator of the user's own."""
    (place.folder / "own_first.py").write_text(OWN)
    operator = {"name": f"own_first.{cls}", **settings}
    return place.study(variants=TINY["variants"] | {"own": {"model.operator": operator}})


def refused(place: Workplace, study: Path, *args: object) -> str:
    outcome = place.run(study, *args)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    return outcome.err.removeprefix("error: ").strip()


@pytest.mark.parametrize("args", [[], ["--dry-run"]])
def test_a_broken_promise_is_one_line_before_anything_is_written(place: Workplace, args: list[str]) -> None:
    line = refused(place, own_study(place, "MixesClips"), *args)
    assert line.startswith(
        "variants.own: model.operator: own_first.MixesClips breaks the promise 'never mixes clips'"
    )
    assert "changing one clip changed another" in line
    assert line.endswith(
        "; try python -m operators.check own_first.MixesClips --channels 16 --frames 4, or --unchecked"
    )
    assert "..." not in line  # what was found is not cut
    assert not place.data.exists()
    assert not (place.folder / "mlflow.db").exists()


def test_settings_and_frames_are_those_of_the_study(place: Workplace) -> None:
    assert "--frames 4 --set by=2" in refused(place, own_study(place, "LooksFar", by=2), "--dry-run")


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("vanishes", "own_first.Hostile cannot be checked: its process exited with 3"),
        ("crashes", "own_first.Hostile cannot be checked: its process was ended by signal 11 (SIGSEGV)"),
        ("hangs", "own_first.Hostile cannot be checked: its process was not done after 2 s"),
        ("leaves", "more): its code called sys.exit('enough') (own_first.py:39)"),
    ],
)
def test_whatever_an_operator_does_there_the_command_goes_on_and_says_it(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, deed: str, words: str
) -> None:
    monkeypatch.setattr(apart, "PATIENCE", 2)
    line = refused(place, own_study(place, "Hostile", deed=deed), "--dry-run")
    assert f"{words}; try " in line


def test_variants_that_are_not_asked_for_are_not_checked(place: Workplace) -> None:
    study = own_study(place, "MixesClips")
    assert place.run(study, "--dry-run", "--variants", "tsn,ks13").code == 0


def test_an_operator_of_the_users_own_is_tried_at_the_channels_of_every_block(place: Workplace) -> None:
    assert "--channels 32 --frames 4" in refused(place, own_study(place, "MixesWide"), "--dry-run")


def test_what_the_user_wants_unchecked_is_trained_and_the_report_says_so(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "draw", lambda summary, folder: [])  # this test reads words
    outcome = ready.run(own_study(ready, "MixesClips"), "--unchecked", "--variants", "own")
    assert outcome.code == 0
    words = "whether the operator keeps the contract was not tried (--unchecked), so it may mix clips"
    assert f"warning  {words}: own\n" in outcome.out
    ready.run(ready.folder / "tiny.yaml", "--variants", "tsn")
    records = {trial.variant: trial for trial in ready.load().trials}
    assert records["own"].environment["contract"] == "not checked: --unchecked"
    assert "contract" not in records["tsn"].environment
    assert report(["--out", str(ready.folder / "out"), "--tracking-uri", ready.uri]) == 0
    page = (ready.folder / "out" / "tiny" / "README.md").read_text()
    assert f"{words}: `own`" in page
    assert "| contract | not checked: --unchecked |" in page


def test_an_unchecked_operator_that_fails_to_say_its_reach_has_no_horizon(place: Workplace) -> None:
    study = load_study(own_study(place, "Asked"))
    assert recorder._horizons(study) == {"tsn": 0, "ks13": 3, "own": None}


def test_an_unchecked_operator_that_ends_its_process_does_not_end_a_dry_run(place: Workplace) -> None:
    outcome = place.run(own_study(place, "Hostile", deed="vanishes"), "--dry-run", "--unchecked")
    assert (outcome.code, outcome.err) == (0, "")
    assert (
        "memory   of own is not known: its operator does not run on shapes alone (its process exited with 3)\n"
        in outcome.out
    )


def test_batch_statistics_are_named_before_a_run(place: Workplace) -> None:
    variants = TINY["variants"] | {"gsm": {"model.operator": {"name": "gsm"}}}
    outcome = place.run(place.study(variants=variants), "--dry-run")
    assert "batch    in training the clips of a batch meet inside the operator of gsm\n" in outcome.out


def test_rows_and_parts_with_one_operator_are_one_check(place: Workplace) -> None:
    variants = TINY["variants"] | {"longer": {**TINY["variants"]["ks13"], "train.epochs": 2}}
    study = load_study(place.study(variants=variants))
    assert check_operators([study, study], ()) == 2
    assert check_operators([study], ["tsn"]) == 1


def test_the_whole_zoo_is_checked_as_the_study_of_reaches_has_it() -> None:
    """Zoo and settings: 43 rows and more; a broken promise would raise."""
    assert check_operators([load_study(ROOT / "studies" / "reach.yaml")], ()) >= 43


def test_a_refusal_is_the_studys_error(place: Workplace) -> None:
    with pytest.raises(StudyError):
        check_operators([load_study(own_study(place, "MixesClips"))], ["own"])
