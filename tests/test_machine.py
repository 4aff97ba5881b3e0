"""What is said of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.machine import usable_cpus


def write(groups: Path, **files: str) -> Path:
    for name, content in files.items():
        file = groups / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return groups


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no process to processors")
def test_a_container_has_as_many_processors_as_its_limit_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    assert usable_cpus(tmp_path / "none") == 8
    for number, (limit, count) in enumerate(
        {
            "max 100000": 8,
            "200000 100000": 2,
            "150000 100000": 1,
            "50000 100000": 1,
            "1600000 100000": 8,
        }.items()
    ):
        assert usable_cpus(write(tmp_path / str(number), cpu_dot_max=limit)) == count, limit
    for name, limit, count in (("a", "-1", 8), ("b", "300000", 3)):  # the older kind of control groups
        groups = write(tmp_path / name, cpu__cpu_dot_cfs_quota_us=limit, cpu__cpu_dot_cfs_period_us="100000")
        assert usable_cpus(groups) == count
    assert usable_cpus(write(tmp_path / "odd", cpu_dot_max="")) == 8


def test_a_process_that_is_bound_to_one_processor_has_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert usable_cpus(tmp_path) == 1
