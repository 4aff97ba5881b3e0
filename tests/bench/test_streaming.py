"""The bench of streams: what it compares, and what it says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.bench.__main__ import main
from harness.bench.streaming import streaming, table


def test_a_row_has_its_ratio_and_what_is_remembered() -> None:
    rows = streaming(["resnet_tiny"], ["contiguous"], torch.device("cpu"), rounds=3)
    kept = {row["operator"]: row["state_bytes"] for row in rows}
    # operators before blocks of 16, 16, 32 and 64 channels at 32, 32, 16 and 8 pixels a side
    numbers = 16 * 32 * 32 + 16 * 32 * 32 + 32 * 16 * 16 + 64 * 8 * 8
    assert kept == {"none": 0, "causal_shift": numbers * 4 // 8, "causal_depthwise": 2 * numbers * 4}
    assert all(row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"] for row in rows)


def test_a_ratio_above_what_is_wanted_is_said() -> None:
    row: dict[str, Any] = {
        "network": "resnet50",
        "format": "contiguous",
        "threads": 2,
        "operator": "causal_shift",
        "step_ms": 20.0,
        "state_bytes": 2048,
        "ratio": {"median": 1.3, "low": 1.1, "high": 1.4},
    }
    assert table([row])[1][-4:] == ["20.0", "1.30 [1.10, 1.40]", "2.0", "above 1.15"]
    assert table([{**row, "ratio": {**row["ratio"], "median": 1.1}}])[1][-1] == ""


def test_the_command_measures_streams_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "streams.json"
    words = ["--stream", "--networks", "resnet_tiny", "--format", "channels_last", "--rounds", "2"]
    assert main([*words, "--json", str(file)]) == 0
    assert "over a plain frame" in capsys.readouterr().out
    written = json.loads(file.read_text())["streaming"]
    assert [row["operator"] for row in written] == ["none", "causal_shift", "causal_depthwise"]
