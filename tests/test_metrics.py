"""Accuracies against counting by hand."""

from __future__ import annotations

import math

import numpy as np

from harness.metrics import accuracies, counts, topk, twins

SCORES = np.array([[9, 1, 0], [9, 8, 0], [0, 9, 8], [3, 1, 2]], dtype=float)
LABELS = np.array([0, 1, 2, 2])


def test_accuracies_are_those_counted_by_hand() -> None:
    assert topk(SCORES, LABELS, 1) == 25.0
    assert topk(SCORES, LABELS, 2) == 100.0
    found = accuracies(SCORES, LABELS, ["short", "short", "static"])
    assert found == {"top1": 25.0, "top5": 100.0, "group/short": 50.0, "group/static": 0.0}


def test_a_pair_is_right_where_both_of_its_twins_are() -> None:
    """By hand: a has 0 right and 1 wrong, b both right; c and d are no twins: one label, and three clips."""
    labels = np.array([0, 1, 0, 1, 2, 2, 0, 1, 0])
    predicted = np.array([0, 0, 0, 1, 2, 2, 0, 1, 0])
    clusters = ["a", "a", "b", "b", "c", "c", "d", "d", "d"]
    found = accuracies(np.eye(3)[predicted], labels, ["", "", ""], clusters)
    assert found["pair"] == 50.0
    assert twins(clusters, labels) == [(0, 1), (2, 3)]


def test_a_network_that_cannot_order_frames_has_half_of_the_clips_and_no_pair() -> None:
    """It says the same of a clip and of its twin, so it is right about one of the two."""
    labels = np.array([0, 1] * 20)
    predicted = np.repeat(np.random.default_rng(0).integers(0, 2, 20), 2)
    clusters = [str(place // 2) for place in range(40)]
    found = accuracies(np.eye(2)[predicted], labels, ["", ""], clusters)
    assert (found["top1"], found["pair"]) == (50.0, 0.0)


def test_clips_without_twins_have_no_pair_accuracy() -> None:
    clusters = ["1", "2", "3", "4"]
    assert "pair" not in accuracies(SCORES, LABELS, ["", "", ""], clusters)


def test_every_level_has_its_own_accuracy() -> None:
    found = accuracies(SCORES, LABELS, ["", "", ""], level_name="contrast", levels=[0.5, 1.0, None, 0.5])
    assert found == {"top1": 25.0, "top5": 100.0, "contrast/0.5": 50.0, "contrast/1": 0.0}


def test_no_clips_have_no_accuracy() -> None:
    assert math.isnan(topk(SCORES[:0], LABELS[:0], 1))


def test_confusions_have_a_row_for_the_true_class() -> None:
    assert counts(LABELS, SCORES.argmax(axis=1), 3).tolist() == [[1, 0, 0], [1, 0, 0], [1, 1, 0]]
