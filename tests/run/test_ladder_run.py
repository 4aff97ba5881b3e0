"""A study whose clips have levels, from the command to the page: what trials keep, what is predicted, what is shown."""

from __future__ import annotations

from typing import Any

import pytest
from builders.ladders import ladder
from builders.place import TINY, Workplace

from harness.data.dataset import find_data
from harness.report.write import write_study
from harness.run import dry
from harness.run.checks import checked_studies
from harness.run.plan import Plan, by_variant
from harness.run.request import read

pytestmark = pytest.mark.usefixtures("no_trial_figures")

STROBE = {"name": "generated", "task": "strobe", "levels": [1, 3], "train_clips": 8, "val_clips": 16}
DATA: dict[str, Any] = {"dataset": STROBE, "num_frames": 8, "short_side": 16, "crop": 16, "scales": [1.0]}
ROWS = {
    "tsn": {"model.operator": {"name": "identity"}},
    "ks3": {"model.operator": {"name": "depthwise", "kernel_size": 3}},
    "ks7": {"model.operator": {"name": "depthwise", "kernel_size": 7}},
}


def test_levels_go_from_the_clips_into_results_predictions_and_the_page(ready: Workplace) -> None:
    study = ready.study(data=DATA, variants=ROWS, model={**TINY["model"], "stages": [3]})
    outcome = ready.run(study)
    assert (outcome.code, outcome.err) == (0, "")
    (titles,) = [line for line in outcome.out.splitlines() if line.startswith("variant")]
    assert titles.split()[:5] == ["variant", "top1", "[%]", "lag", "1"]
    record = ready.load()
    assert (record.level_name, record.chance) == ("lag", 50.0)
    assert record.horizons == {"tsn": 0, "ks3": 2, "ks7": 6}
    for trial in record.trials:
        kept = trial.predictions
        assert sorted(kept["level"]) == [1] * 8 + [3] * 8
        right = [a == b for a, b in zip(kept["label"], kept["predicted"], strict=True)]
        for level in (1, 3):  # counted again, clip by clip
            here = [hit for hit, at in zip(right, kept["level"], strict=True) if at == level]
            assert trial.last[f"lag/{level}"] == 100 * sum(here) / 8
        pairs: dict[str, list[bool]] = {}
        for cluster, hit in zip(kept["cluster"], right, strict=True):
            pairs.setdefault(cluster, []).append(hit)
        assert trial.last["pair"] == 100 * sum(map(all, pairs.values())) / 8
        assert trial.history[-1]["val/pair"] == trial.last["pair"]
        assert trial.history[-1]["lag/3"] == trial.last["lag/3"]
    (tsn,) = [trial for trial in record.trials if trial.variant == "tsn"]
    assert (tsn.last["top1"], tsn.last["pair"]) == (50.0, 0.0)  # it cannot tell a clip from its twin
    page = (write_study(record, ready.folder / "reports") / "README.md").read_text(encoding="utf-8")
    assert "| variant | seeds | predicted horizon | measured | lag 1 [%] | lag 3 [%] |" in page


def test_a_dry_run_says_where_an_earlier_run_was_at_the_ceiling(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    request = read(place.command(place.study(), "--dry-run"))
    (study,) = checked_studies(request)
    plan = Plan(study, request, by_variant(study, lambda data: find_data(data, request.data_dir)), {})
    dry.show(plan, ladder({"tsn": [[20]] * 3, "ks13": [[20]] * 3}, [1]))
    assert "before   Every row is at the ceiling, 98 % or more at every lag: " in capsys.readouterr().out
    dry.show(plan, ladder({"tsn": [[0]] * 3, "ks13": [[20]] * 3}, [1]))
    assert "before" not in capsys.readouterr().out


def test_a_study_without_levels_predicts_nothing(ready: Workplace) -> None:
    ready.run(ready.study())
    record = ready.load()
    assert (record.level_name, record.horizons) == ("", {})
    assert all("level" not in trial.predictions for trial in record.trials)
