"""How long a variant takes: every way is sampled, and what is doubtful has a name."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
import torch
from builders.costs import CPU, TINY, VARIANTS

from harness import machine
from harness.cost import cache, latency
from harness.records import CostRecord


def test_every_way_is_sampled_as_often_as_asked() -> None:
    config = dataclasses.replace(TINY, step=True)
    cases = latency.build(config, VARIANTS, CPU, channels_last=True)
    with machine.threads(2):
        timings = latency.measure(config, cases, CPU)
    ways = {"forward", "forward_backward", "step"}
    for timing in timings.values():
        assert set(timing.samples) == ways | {f"{way}@1_thread" for way in ways}
        assert {len(samples) for samples in timing.samples.values()} == {3}
        pairs = zip(timing.samples["forward_backward"], timing.samples["step"], strict=True)
        assert all(0 < backward < step for backward, step in pairs)
    assert torch.get_num_threads() == 1


def test_after_the_time_that_is_given_three_rounds_are_enough() -> None:
    config = dataclasses.replace(TINY, repeats=50)
    cases = latency.build(config, {"tsn": VARIANTS["tsn"]}, CPU, channels_last=True)
    timings = latency.measure(config, cases, CPU, seconds=0)
    assert len(timings["tsn"].samples["forward"]) == 3


def test_many_clips_are_one_clip_many_times_and_keep_their_memory_format() -> None:
    one, many = (
        latency.build(TINY, {"tsn": VARIANTS["tsn"]}, CPU, True, clips)["tsn"].clip for clips in (1, 3)
    )
    assert all(torch.equal(clip, one[0]) for clip in many)
    assert len(many) == 3
    assert many.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_a_timed_step_leaves_the_weights_and_no_gradient() -> None:
    case = latency.build(TINY, VARIANTS, CPU, channels_last=True)["ks1357"]
    before = [p.clone() for p in case.model.parameters()]
    case.step()
    assert all(torch.equal(old, new) for old, new in zip(before, case.model.parameters(), strict=True))
    assert all(p.grad is None for p in case.model.parameters())


def test_quiet_samples_are_not_doubted() -> None:
    timing = latency.Timings({"forward": [10.0, 10.1, 10.2, 9.9, 10.0]}, {"forward": 14.0})
    assert latency.doubts(timing, drifted=0.02, others=0.1, cores=2) == []
    assert latency.doubts(timing, drifted=0.02, others=None, cores=2) == []


@pytest.mark.parametrize(
    ("name", "samples", "first", "drifted", "others", "says"),
    [
        ("load", [10.0] * 5, 10.0, 0.0, 0.7, "0.7 of 2 cores"),
        ("thermal", [10.0] * 5, 10.0, 0.25, 0.0, "25 % longer"),
        ("spread", [8.0, 9.0, 10.0, 11.0, 12.0], 10.0, 0.0, 0.0, "forward 20 %"),  # quartiles 9 and 11
        ("first_call", [10.0] * 5, 9_000.0, 0.0, 0.0, "9.0 s, 900 times"),
        ("first_call", [16.0, 10.0, 10.0, 10.0, 10.0], 20.0, 0.0, 0.0, "forward 1.6 times"),
    ],
)
def test_a_doubtful_measurement_has_a_name_and_advice(
    name: str, samples: list[float], first: float, drifted: float, others: float, says: str
) -> None:
    (warning,) = latency.doubts(latency.Timings({"forward": samples}, {"forward": first}), drifted, others, 2)
    assert warning.startswith(f"{name}: ")
    assert says in warning
    assert "; " in warning or ": allow" in warning


def test_a_machine_that_got_slower_beside_other_work_is_called_busy_and_not_hot() -> None:
    timing = latency.Timings({"forward": [10.0] * 5}, {"forward": 10.0})
    (warning,) = latency.doubts(timing, drifted=0.25, others=0.7, cores=2)
    assert warning.startswith("load: ")


def test_a_latency_is_doubtful_for_what_was_wrong_with_its_own_passes() -> None:
    cost = CostRecord(geometry={}, params_total=1, params_added=0, macs_total=1, macs_added=0)
    for warning, doubtful in {
        "load: other processes used 0.7 of 2 cores": True,
        "spread: quartiles far apart, as part of the median: forward 20 %, step 11 %": True,
        "spread: quartiles far apart, as part of the median: step 11 %, forward@1_thread 12 %": False,
        "first_call: the first of all took long (forward 9.0 s, 900 times its median)": False,
        "first_call: slow even after warm-up (forward 1.6 times its median); measure again": True,
        "counts: torch counts others": False,
    }.items():
        assert bool(dataclasses.replace(cost, warnings=[warning]).doubts) is doubtful, warning


def test_drift_compares_the_last_third_with_the_first_over_all_variants() -> None:
    # By turns, a fast and a slow variant; both take 20 % longer from the fourth round on.
    slower = latency.drift([[10.0, 10.0, 10.0, 12.0, 12.0, 12.0], [100.0, 100.0, 100.0, 120.0, 120.0, 120.0]])
    assert slower == pytest.approx(0.2)
    assert latency.drift([[10.0, 20.0]]) == 0.0


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system does not tell")
def test_load_of_others_leaves_out_our_own_work() -> None:
    def busy() -> float:  # of all cores, in seconds: user, nice, system, irq, softirq, steal
        numbers = [int(word) for word in Path("/proc/stat").read_text().split()[1:9]]
        return sum(numbers[i] for i in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")

    load, before, own, end = machine.Load(), busy(), time.process_time(), time.monotonic() + 2
    while time.monotonic() < end:
        pass
    expected = (busy() - before - (time.process_time() - own)) / 2
    assert load.others() == pytest.approx(max(0.0, expected), abs=0.2)


def test_a_warning_that_all_share_is_printed_once() -> None:
    record = CostRecord(
        geometry={}, params_total=1, params_added=0, macs_total=1, macs_added=0, warnings=["load: busy; wait"]
    )
    own = dataclasses.replace(record, warnings=["load: busy; wait", "spread: wide; repeat"])
    assert cache.warnings({"a": record, "b": own}) == [
        "all variants: load: busy; wait",
        "b: spread: wide; repeat",
    ]
