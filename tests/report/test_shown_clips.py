"""Pictures of clips on a report: only where the study asks, and of those that were lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from builders.place import TINY
from builders.studies import study, trial
from PIL import Image

from harness.analysis.summary import summarize
from harness.data.config import DataConfig
from harness.data.dataset import find_data, open_data
from harness.records import StudyRecord
from harness.report.clips import _data
from harness.report.write import write_study


@pytest.fixture
def record(tiny_data: Path) -> StudyRecord:
    """tsn is right about every clip, ks3 about all but the first two, which it takes for the class after theirs."""
    data = find_data(DataConfig(**TINY["data"]), tiny_data)
    assert data is not None
    clips = data.split("val").clips
    kept = {"clip": [clip.id for clip in clips], "label": [clip.label for clip in clips]}
    wrong = [
        (label + 1) % len(data.classes) if place < 2 else label for place, label in enumerate(kept["label"])
    ]
    trials = [
        trial("tsn", seed, 100.0, predictions={**kept, "predicted": kept["label"]}) for seed in range(3)
    ]
    trials += [trial("ks3", seed, 87.5, predictions={**kept, "predicted": wrong}) for seed in range(3)]
    return dataclasses.replace(
        study(trials, ["tsn", "ks3"]),
        classes=data.classes,
        groups=data.groups,
        settings={"tsn": {"data": TINY["data"]}},
        clips=True,
    )


def test_examples_and_lost_clips_stand_in_the_page_itself(
    record: StudyRecord, tmp_path: Path, tiny_data: Path, no_figures: None
) -> None:
    folder = write_study(record, tmp_path, tiny_data)
    page = (folder / "index.html").read_text(encoding="utf-8")
    pictures = sorted(file.name for file in (folder / "clips").iterdir())
    assert page.count('src="data:image/jpeg;base64,') == len(pictures)
    assert "Clips that ks3 loses and tsn wins" in page
    many = len(record.trials[0].predictions["clip"])
    assert f"2 clips of {many}, over the seeds that both have; 0 the other way around." in page
    with (
        Image.open(folder / "clips" / "lost.jpg") as lost,
        Image.open(folder / "clips" / "class-0.jpg") as one,
    ):
        examples = min(2, record.trials[0].predictions["label"].count(0))
        assert lost.height * examples == one.height * 2  # two clips, and none that both are right about
    assert "![Clips of " in (folder / "README.md").read_text(encoding="utf-8")


def test_a_seed_that_one_of_the_two_lacks_loses_no_clip(
    record: StudyRecord, tmp_path: Path, tiny_data: Path, no_figures: None
) -> None:
    """Else every clip that ks3 has right twice and tsn three times would be called lost."""
    page = (
        write_study(dataclasses.replace(record, trials=record.trials[:-1]), tmp_path, tiny_data) / "README.md"
    ).read_text(encoding="utf-8")
    assert "2 clips of " in page


def test_no_frame_leaves_the_data_set_where_a_study_does_not_ask(
    record: StudyRecord, tmp_path: Path, tiny_data: Path, no_figures: None
) -> None:
    folder = write_study(dataclasses.replace(record, clips=False), tmp_path, tiny_data)
    assert not (folder / "clips").exists()
    assert "data:image" not in (folder / "index.html").read_text(encoding="utf-8")


def test_without_the_data_set_the_page_says_so_until_it_is_found(
    record: StudyRecord, tmp_path: Path, tiny_data: Path, no_figures: None
) -> None:
    words = "The data set was not found, so no clips are shown."
    folder = write_study(record, tmp_path, tmp_path / "nothing")
    assert words in (folder / "README.md").read_text(encoding="utf-8")
    write_study(record, tmp_path, tiny_data)
    assert words not in (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / "clips" / "lost.jpg").exists()


def test_settings_of_a_kept_record_find_the_data_too(tmp_path: Path) -> None:
    """JSON has lists where settings have tuples, which the ladder's tasks compare with."""
    source = {"name": "generated", "task": "strobe", "levels": [1], "train_clips": 2, "val_clips": 2}
    data = {"dataset": source, "num_frames": 8, "short_side": 16, "crop": 16, "scales": [1.0]}
    open_data(DataConfig(**{**data, "scales": (1.0,)}), tmp_path)
    kept = study([], ["tsn"], settings={"tsn": {"data": data}})
    assert _data(summarize(kept), tmp_path) is not None
