"""Training clips that stand in for validation clips."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harness.data.config import DataConfig
from harness.data.dataset import open_data
from harness.data.index import Clip, Index
from harness.data.views import PROTOCOLS
from harness.errors import DataError

STROBE = {"name": "generated", "task": "strobe", "levels": [1, 3], "train_clips": 40, "val_clips": 8}
CONFIG = DataConfig(dataset=STROBE, num_frames=8, short_side=16, crop=16, scales=(1.0,))


def index(clips: list[Clip]) -> Index:
    return Index(folder=Path("x"), fingerprint="f", classes=["a", "b"], groups=["", ""], clips=clips)


def clip(number: int, label: int, split: str = "train", cluster: str = "") -> Clip:
    return Clip(id=f"{split}{number}", file=Path("x"), split=split, label=label, frames=1, cluster=cluster)


def test_a_part_of_each_class_and_level_is_held_out_and_no_validation_clip_is_used(tmp_path: Path) -> None:
    whole = open_data(CONFIG, tmp_path)
    part = open_data(dataclasses.replace(CONFIG, holdout=0.2), tmp_path)
    assert part.fingerprint == whole.fingerprint  # the same clips: not made again
    assert len(list(tmp_path.glob("generated-*"))) == 1
    train, held, all_train = (part.split("train").clips, part.split("val").clips, whole.split("train").clips)
    assert Counter((one.label, one.level) for one in held) == dict.fromkeys(
        [(0, 1), (0, 3), (1, 1), (1, 3)], 2
    )
    assert sorted(one.id for one in [*train, *held]) == sorted(one.id for one in all_train)
    again = open_data(dataclasses.replace(CONFIG, holdout=0.2), tmp_path).split("val")
    assert [one.id for one in again.clips] == [one.id for one in held]


def test_a_clip_that_is_held_out_shows_its_own_frames(tmp_path: Path) -> None:
    whole = open_data(CONFIG, tmp_path).split("train")
    held = open_data(dataclasses.replace(CONFIG, holdout=0.2), tmp_path).split("val")
    names = [one.id for one in whole.clips]
    for place, one in enumerate(held.clips):
        shown = held.views(place, PROTOCOLS["center_1clip"])
        np.testing.assert_array_equal(shown, whole.views(names.index(one.id), PROTOCOLS["center_1clip"]))


def test_what_belongs_together_is_held_out_together() -> None:
    clips = [clip(n, label=n % 2, cluster=f"c{n // 2}") for n in range(20)]
    found = index(clips).held_out(0.3).clips
    splits: dict[str, set[str]] = {}
    for one in found:
        splits.setdefault(one.cluster, set()).add(one.split)
    assert all(len(there) == 1 for there in splits.values())
    assert sum(one.split == "val" for one in found) == 6


def test_a_class_with_one_clip_keeps_it_to_train_on() -> None:
    found = index([clip(0, 0), clip(1, 1), clip(2, 1), clip(3, 0, split="val")]).held_out(0.5)
    assert found.clips[0].split == "train"
    assert sorted(one.split for one in found.clips[1:3]) == ["train", "val"]
    assert found.clips[3].split == ""
    with pytest.raises(DataError, match="no class has two training clips, so none can be held out"):
        index([clip(0, 0), clip(1, 1)]).held_out(0.5)


@pytest.mark.parametrize("part", [-0.1, 1.0, 2.0])
def test_no_part_of_the_clips_is_refused(part: float) -> None:
    with pytest.raises(DataError, match="use 0 to below 1"):
        DataConfig(dataset=STROBE, short_side=16, crop=16, scales=(1.0,), holdout=part)
