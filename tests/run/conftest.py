"""What tests of the command share."""

from __future__ import annotations

import pytest


@pytest.fixture
def no_trial_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training here; the tests of tracking have the figures."""
    for name in ("curves", "confusion_matrix"):
        monkeypatch.setattr(f"harness.plots.{name}", lambda path, *rest: path.write_bytes(b""))
