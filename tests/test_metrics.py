"""Accuracies against counting by hand."""

from __future__ import annotations

import math

import numpy as np

from harness.metrics import accuracies, counts, topk

SCORES = np.array([[9, 1, 0], [9, 8, 0], [0, 9, 8], [3, 1, 2]], dtype=float)
LABELS = np.array([0, 1, 2, 2])


def test_accuracies_are_those_counted_by_hand() -> None:
    assert topk(SCORES, LABELS, 1) == 25.0
    assert topk(SCORES, LABELS, 2) == 100.0
    found = accuracies(SCORES, LABELS, ["short", "short", "static"])
    assert found == {"top1": 25.0, "top5": 100.0, "group/short": 50.0, "group/static": 0.0}


def test_no_clips_have_no_accuracy() -> None:
    assert math.isnan(topk(SCORES[:0], LABELS[:0], 1))


def test_confusions_have_a_row_for_the_true_class() -> None:
    assert counts(LABELS, SCORES.argmax(axis=1), 3).tolist() == [[1, 0, 0], [1, 0, 0], [1, 1, 0]]
