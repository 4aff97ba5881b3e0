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


def accuracies(
    scores: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str],
    clusters: Sequence[str] = (),
    level_name: str = "",
    levels: Sequence[float | None] = (),
) -> dict[str, float]:
    """`top1`, `top5`, `pair`, `group/<name>` and `<level name>/<level>`: top-1 over the clips of a group or a level.

    Args:
        scores: (clips, classes).
        labels: (clips,), class indices.
        groups: the group of every class, "" where a data set has none.
        clusters: (clips,), what clips share that belong together; empty where nobody asks for `pair`, which is then
            not there, as where no two clips are twins.
        level_name, levels: what a level is called, and that of every clip; empty where clips have none.
    """
    result = {"top1": topk(scores, labels, 1), "top5": topk(scores, labels, 5)}
    if len(clusters) and (pairs := twins(clusters, labels)):
        right = scores.argmax(axis=1) == labels
        result["pair"] = 100.0 * float(np.mean([right[list(pair)].all() for pair in pairs]))
    group_of_clip = np.asarray(groups, dtype=object)[labels]
    for group in sorted({g for g in groups if g}):
        chosen = group_of_clip == group
        result[f"group/{group}"] = topk(scores[chosen], labels[chosen], 1)
    for level in sorted({level for level in levels if level is not None}):
        chosen = np.array([one == level for one in levels])
        result[level_metric(level_name, level)] = topk(scores[chosen], labels[chosen], 1)
    return result


def level_metric(level_name: str, level: float) -> str:
    """What top-1 at one level is called: `lag/3`."""
    return f"{level_name}/{level:g}"


def twins(clusters: Sequence[str], labels: np.ndarray) -> list[tuple[int, int]]:
    """The places of clips that are each other's twins: the two of a cluster of two, where their labels differ."""
    members: dict[str, list[int]] = {}
    for place, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(place)
    pairs = [(both[0], both[1]) for both in members.values() if len(both) == 2]
    return [(one, other) for one, other in pairs if labels[one] != labels[other]]


def counts(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes): how often each true class, a row, was taken for each class, a column."""
    pairs = labels * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
