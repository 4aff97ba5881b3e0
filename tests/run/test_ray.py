"""Whole studies under Ray: what a user sees, and a process that dies."""

from __future__ import annotations

import re

import pytest
from builders.own import operators
from builders.place import Workplace
from builders.processes import leftovers

RAY_LINES = r"""study    tiny: Does a tiny study run\?
plan     2 variants x 2 seeds = 4 trials; 0 done before, 4 to run
data     generated \([0-9a-f]{12}\) in \S+
each     1 cpu, 0 gpu, 1 epoch of resnet_tiny
cost     at resnet_tiny, 4 frames of 32x32, 174 classes, \d+ s
(\[\d/4\] \S+ seed=[01] +done    top1 +\d+\.\d % +\d+ s(   \d+ (s|min) left)?
){4}
variant +top1 \[%\] +short +long +half +static +vs tsn \[points\] +MACs
tsn +\d+\.\d \(n=2\)( +\d+\.\d){4} +baseline +0\.\d\d G
own +\d+\.\d \(n=2\)( +\d+\.\d){4} +[+-]\d+\.\d \(n=2\) too few seeds to tell +not stated
± and \[ \]: 95 % interval, paired by seed; .*
MACs at resnet_tiny, 32x32, 4 frames
time     a trial takes \d+\.\d s: \w+ \d+ %, .*
next     python -m harness.report --out reports/ (?P<s>--tracking-uri \S+)   or browse: python -m harness.ui (?P=s)
"""


@pytest.mark.slow
def test_under_ray_the_whole_output_is_the_plan_a_line_a_trial_and_the_table(ready: Workplace) -> None:
    variants = operators(ready, own="Fine")
    process = ready.start(ready.study(variants=variants, seeds=[0, 1]))
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert re.fullmatch(RAY_LINES, out), out
    assert leftovers(process.pid) == []
    assert sorted(p.name for p in ready.folder.iterdir() if p.name != "__pycache__") == [
        "data",
        "mlflow.db",
        "mlflow.db.lock",
        "mlruns",
        "own_run.py",
        "tiny.yaml",
    ]
    assert list((ready.data / "ray").iterdir()) == []
    assert "4 done before, 0 to run" in ready.run(ready.folder / "tiny.yaml").out


@pytest.mark.slow
def test_under_ray_a_process_that_dies_is_a_failed_trial_and_the_others_go_on(ready: Workplace) -> None:
    study = ready.study(variants=operators(ready, dying="Dying", broken="Broken", fine="Fine"))
    process = ready.start(study, "--unchecked")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (1, "")
    trials = {t.variant: t for t in ready.load().trials}
    assert {name: t.status for name, t in trials.items()} == {
        "tsn": "done",
        "dying": "failed",
        "broken": "failed",
        "fine": "done",
    }
    assert trials["dying"].reason == "its process exited with 3"
    assert trials["broken"].reason == "ValueError: no idea"
    assert f"failed   dying seed=0: {trials['dying'].reason}" in out
