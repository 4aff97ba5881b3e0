"""The loader's measurements: what they measure is there; how fast it is, is not tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench.loading import main, worker_memory

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork\\(\\):DeprecationWarning")


@pytest.mark.slow
def test_a_workers_memory_stays_flat_however_many_videos_it_opens(tmp_path: Path) -> None:
    looks = list(worker_memory(tmp_path, 2000))
    assert [opened for opened, *_ in looks] == list(range(200, 2001, 200))
    peaks = [peak for *_, peak in looks]
    assert peaks[-1] <= 1.1 * peaks[0]
    assert all(0 < resident <= peak for _, resident, peak in looks)


@pytest.mark.slow
def test_every_source_of_clips_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speed", "--clips", "16", "--seconds", "0", "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    sources = [line.split("  ")[0].split(",")[0] for line in lines[1:]]
    assert sources == ["pictures (jpg)", "pictures (jpg)", "videos", "decoded frames"]
    assert all(float(line.split(" clips/s")[0].split()[-1]) > 0 for line in lines[1:])
