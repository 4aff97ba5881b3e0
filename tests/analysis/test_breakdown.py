"""Where a gain comes from, on records whose answer is known by hand."""

from __future__ import annotations

from typing import Any

import pytest
from builders.studies import study

from harness.analysis.breakdown import break_down
from harness.records import StudyRecord, TrialRecord

CLASSES = ["up", "down", "cat"]


def record(trials: list[TrialRecord]) -> StudyRecord:
    groups = ["short", "short", "static"]
    return study(trials, ["tsn", "op"], seeds=[0, 1], classes=CLASSES, groups=groups, twins=[[0, 1]])


def trial(variant: str, seed: int, per_class: list[float], predicted: list[int], **more: Any) -> TrialRecord:
    return TrialRecord(
        trial_id="",
        variant=variant,
        seed=seed,
        status="done",
        per_class=dict(zip(CLASSES, per_class, strict=True)),
        predictions={"label": [0, 0, 1, 1, 2, 2], "predicted": predicted},
        **more,
    )


TSN = [trial("tsn", 0, [50, 50, 90], [1, 0, 0, 1, 2, 2]), trial("tsn", 1, [50, 40, 80], [0, 1, 0, 0, 2, 0])]
OP = [trial("op", 0, [100, 80, 80], [0, 0, 0, 1, 2, 0]), trial("op", 1, [90, 80, 80], [0, 0, 1, 1, 2, 0])]


def test_classes_that_changed_most_come_first_and_are_paired_by_seed() -> None:
    found = break_down(record([*TSN, *OP]), {"tsn": TSN, "op": OP})["op"]
    assert [(one.name, one.change.mean) for one in found.gained] == [("up", 45.0), ("down", 35.0)]
    assert [(one.name, one.group, one.change.mean) for one in found.lost] == [("cat", "static", -5.0)]
    assert found.gained[0].change.n == 2


def test_a_seed_that_the_baseline_lacks_is_left_out_of_the_change() -> None:
    found = break_down(record([*TSN[:1], *OP]), {"tsn": TSN[:1], "op": OP})["op"]
    assert [(one.name, one.change.mean, one.change.n) for one in found.gained] == [
        ("up", 50.0, 1),
        ("down", 30.0, 1),
    ]


def test_the_baseline_has_no_classes_gained() -> None:
    found = break_down(record(TSN), {"tsn": TSN, "op": []})
    assert set(found) == {"tsn"}
    assert found["tsn"].gained == found["tsn"].lost == []


def test_twins_come_first_among_confusions_and_rates_are_of_the_true_class() -> None:
    """op takes "down" for "up" in 1 of 2 clips with seed 0, in none with seed 1; "cat" for "up" in half, always."""
    found = break_down(record([*TSN, *OP]), {"tsn": TSN, "op": OP})["op"].confusions
    assert [(one.true, one.predicted, one.twins, one.rate.mean) for one in found] == [
        ("down", "up", True, 25.0),
        ("up", "down", True, 0.0),
        ("cat", "up", False, 50.0),
    ]
    assert found[0].baseline is not None
    assert found[0].baseline.mean == 75.0


def test_orders_are_compared_with_the_clips_as_they_are_under_the_same_protocol() -> None:
    probes = {"order": {"as_is": {"top1": 80.0, "top5": 99.0}, "reversed": {"top1": 30.0, "top5": 99.0}}}
    trials = [trial("op", seed, [0, 0, 0], [0] * 6, probes=probes, last={"top1": 85.0}) for seed in (0, 1)]
    (found,) = break_down(record(trials), {"op": trials})["op"].orders
    assert (found.order, set(found.accuracy)) == ("reversed", {"top1"})
    assert (found.accuracy["top1"].mean, found.change["top1"].mean) == (30.0, -50.0)


def test_filters_and_reach_are_averaged_over_seeds() -> None:
    trials = []
    for seed, moved in ((0, 0.1), (1, 0.3)):
        taps = {"operator": "layer1.0.temporal", "stage": 1, "offsets": [-1, 0, 1], "channels": [0]}
        taps |= {"initial": [[0, 1, 0]], "final": [[0, seed, 0]], "moved": moved}
        reach = {"stage": 1, "offsets": [-1, 0, 1], "share": [moved, 1 - moved, 0.0], "radius": moved}
        probes = {"filters": [taps], "reach": [reach]}
        trials.append(trial("op", seed, [0, 0, 0], [0] * 6, probes=probes))
    found = break_down(record(trials), {"op": trials})["op"]
    assert found.filters[0].moved.mean == pytest.approx(0.2)
    assert found.filters[0].final == [[0, 0, 0]]  # of the first seed
    assert found.reach[0].share == pytest.approx([0.2, 0.8, 0.0])
    assert found.reach[0].radius.mean == pytest.approx(0.2)


def test_a_stage_that_is_dead_in_one_seed_is_averaged_over_the_others() -> None:
    def stage(number: int, radius: float) -> dict[str, Any]:
        return {"stage": number, "offsets": [-1, 0], "share": [radius, 1 - radius], "radius": radius}

    reaches = [[stage(2, 0.5)], [stage(1, 0.2), stage(2, 0.7)], []]
    trials = [
        trial("op", seed, [0, 0, 0], [0] * 6, probes={"reach": one}) for seed, one in enumerate(reaches)
    ]
    found = break_down(record(trials), {"op": trials})["op"].reach
    assert [(one.stage, one.radius.n) for one in found] == [(1, 1), (2, 2)]
    assert [one.radius.mean for one in found] == pytest.approx([0.2, 0.6])
    assert found[1].share == pytest.approx([0.6, 0.4])


def test_trials_without_probes_or_predictions_have_nothing_to_show() -> None:
    bare = [TrialRecord(trial_id="", variant="op", seed=0, status="done")]
    found = break_down(record(bare), {"op": bare})["op"]
    assert found.confusions == found.orders == found.filters == found.reach == []
