"""The numbers of a report, from a record whose answers are known."""

from __future__ import annotations

from builders.scores import FOUR
from builders.studies import study, trial

from harness.analysis.summary import summarize
from harness.records import CostRecord, TrialRecord
from harness.stats.differences import Verdict


def test_a_summary_tests_what_the_study_stated_and_calls_the_rest_exploratory() -> None:
    trials = [
        TrialRecord(trial_id="", variant=variant, seed=seed, status="done", last={"top1": top1})
        for variant, by_seed in FOUR.accuracy.items()
        for seed, top1 in by_seed.items()
    ]
    costs = {
        variant: CostRecord(geometry={}, params_total=1, params_added=0, macs_total=macs, macs_added=0)
        for variant, macs in (("low", 1), ("mid", 2), ("high", 4), ("alike", 3))
    }
    stated = {"margin": 1.0, "hypotheses": ["mid > low"], "pairs": ["high vs alike"]}
    found = summarize(
        study(
            trials,
            list(FOUR.accuracy),
            baseline="low",
            seeds=[*range(5)],
            costs=costs,
            reference="",
            **stated,
        )
    )
    assert [one.verdict for one in found.hypotheses] == [Verdict.SUPPORTED]
    rows = {row.variant: row.difference for row in found.rows if row.difference}
    exploratory = {variant: row.exploratory for variant, row in rows.items()}
    assert exploratory == {"mid": False, "high": True, "alike": True}
    (pair,) = found.pairs
    assert (pair.variant, pair.other, pair.verdict) == ("high", "alike", Verdict.EQUIVALENT)
    assert [(one.by, one.variants) for one in found.cheapest] == [("MACs", ("alike",))]


def test_a_band_has_the_epochs_that_were_validated() -> None:
    history = [
        {"epoch": 1.0, "train/loss": 1.0},
        {"epoch": 2.0, "val/top1": 40.0},
        {"epoch": 3.0, "val/top1": 50.0},
    ]
    record = study([trial("tsn", seed, 50.0, history=history) for seed in (0, 1)], ["tsn"])
    (band,) = summarize(record).bands
    assert (band.epochs, band.mean) == ([2, 3], [40.0, 50.0])
