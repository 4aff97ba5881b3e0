"""Accuracy of a trial: scores are (clips, classes), labels are (clips,), accuracies are percentages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def topk(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Percentage of clips whose label is among the k highest scores. NaN without clips."""
    if len(labels) == 0:
        return float("nan")
    k = min(k, scores.shape[1])
    highest = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return 100.0 * float((highest == labels[:, None]).any(axis=1).mean())


def accuracies(scores: np.ndarray, labels: np.ndarray, groups: Sequence[str]) -> dict[str, float]:
    """`top1`, `top5`, and `group/<name>`: top-1 over the clips whose class is in that group.

    Args:
        scores: (clips, classes).
        labels: (clips,), class indices.
        groups: the group of every class, "" where a data set has none.
    """
    result = {"top1": topk(scores, labels, 1), "top5": topk(scores, labels, 5)}
    group_of_clip = np.asarray(groups, dtype=object)[labels]
    for group in sorted({g for g in groups if g}):
        chosen = group_of_clip == group
        result[f"group/{group}"] = topk(scores[chosen], labels[chosen], 1)
    return result


def counts(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes): how often each true class, a row, was taken for each class, a column."""
    pairs = labels * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
