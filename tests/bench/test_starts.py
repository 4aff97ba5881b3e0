"""Where a trial's time goes: the command runs a real one, and its parts are the whole."""

from __future__ import annotations

import pytest

from harness.bench.starts import main


@pytest.mark.slow
def test_the_parts_of_a_trial_are_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "1", "--epochs", "1", "--clips", "64"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "seconds, median of 1 (least to most); ks7 in stage 3 on 64 clips of strobe"
    seconds = {line[:48].rstrip(): float(line[48:].split()[0]) for line in lines}
    assert {"fresh process: and torch", "forked process: starts, ends", "  forward", "  backward"} <= set(
        seconds
    )
    parts = [value for name, value in seconds.items() if name.startswith("  ")]
    assert sum(parts) == pytest.approx(seconds["trial, in all"], abs=0.01)
    assert min(seconds.values()) >= 0
    assert seconds["fresh process: and all that a trial needs"] > seconds["forked process: starts, ends"]


def test_a_request_that_cannot_be_read_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--epochs", "none"])
    assert stop.value.code == 2
    assert "'none' is not a whole number above 0" in capsys.readouterr().err
