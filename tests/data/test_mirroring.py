"""Training clips that are mirrored, and what becomes of their labels."""

from pathlib import Path

import pytest
import torch
from builders.datasets import open_

from harness.data.batches import TrainBatches
from harness.data.clips import TrainKey
from harness.data.config import DataConfig
from harness.data.dataset import DataSet
from harness.errors import DataError


def drawn(data: DataSet, epochs: int) -> list[tuple[torch.Tensor, int, int]]:
    train = data.split("train")
    items = [train[TrainKey(5, epoch, clip)] for epoch in range(epochs) for clip in range(len(train))]
    return [(clip, label, index) for clip, label, index in items if clip is not None]


def test_mirroring_changes_no_other_draw_and_half_of_the_clips(roots: dict[str, Path]) -> None:
    root = roots["jester"]
    plain, mirrored = (drawn(open_("jester", root, mirror=choice), 50) for choice in ("off", "on"))
    flipped = 0
    for (a, label_a, _), (b, label_b, _) in zip(plain, mirrored, strict=True):
        assert torch.equal(a, b) or torch.equal(a.flip(-1), b)
        assert label_a == label_b
        flipped += not torch.equal(a, b)
    assert 70 <= flipped <= 130  # of 200; 4 standard deviations


def test_swapping_gives_a_mirrored_left_the_label_of_right(roots: dict[str, Path]) -> None:
    root = roots["jester"]
    data = open_("jester", root, mirror="swap_labels")
    assert data.mirrored == [1, 0, 2]  # sorted: left, right, pushing
    plain, swapped = drawn(open_("jester", root), 20), drawn(data, 20)
    for (a, label_a, _), (b, label_b, _) in zip(plain, swapped, strict=True):
        assert label_b == (label_a if torch.equal(a, b) else [1, 0, 2][label_a])
    assert {label for _, label, index in swapped if index == 1} == {0, 1}


def test_mirroring_depends_on_seed_epoch_and_clip_alone(roots: dict[str, Path]) -> None:
    data = open_("jester", roots["jester"], mirror="on")
    alone = {index: clip for clip, _, index in drawn(data, 1)}
    for batch in TrainBatches(data.split("train"), 2, seed=5).epoch(0):
        for clip, index in zip(batch.clips, batch.indices.tolist(), strict=True):
            assert torch.equal(clip, alone[index])


def test_classes_without_names_cannot_be_swapped(roots: dict[str, Path]) -> None:
    with pytest.raises(DataError, match=r"mirror: swap_labels needs class names; give dataset\.labels"):
        open_("list", roots["list"], mirror="swap_labels")


@pytest.mark.parametrize(("given", "read"), [(True, "on"), (False, "off"), ("swap_labels", "swap_labels")])
def test_a_bare_on_or_off_of_yaml_is_understood(given: bool | str, read: str) -> None:
    assert DataConfig(mirror=given).mirror == read


@pytest.mark.parametrize(("key", "value"), [("mirror", "left"), ("on_unreadable", "replace")])
def test_an_unknown_choice_is_named_with_the_known_ones(key: str, value: str) -> None:
    with pytest.raises(DataError, match=f"{key}: '{value}' is none of "):
        DataConfig(**{key: value})  # type: ignore[arg-type]
