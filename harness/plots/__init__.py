"""Figures from numbers that are already computed: the only door to matplotlib.

Every function writes `<path>.svg` and `<path>.png` (a suffix in `path` is left out) and returns nothing.
The same numbers give the same bytes.
"""

from harness.plots.accuracy import Gap, accuracy_against, accuracy_by_kernel_size, forest, group_accuracy
from harness.plots.details import (
    Curve,
    Taps,
    class_gains,
    confusion_matrix,
    cost_bars,
    filters,
    learning_curves,
    paired_points,
)
from harness.plots.ladder import Line, Panel, accuracy_by_level, accuracy_by_setting
from harness.plots.roofline import Kernel, roofline
from harness.plots.style import Point

__all__ = [
    "Curve",
    "Gap",
    "Kernel",
    "Line",
    "Panel",
    "Point",
    "Taps",
    "accuracy_against",
    "accuracy_by_kernel_size",
    "accuracy_by_level",
    "accuracy_by_setting",
    "class_gains",
    "confusion_matrix",
    "cost_bars",
    "filters",
    "forest",
    "group_accuracy",
    "learning_curves",
    "paired_points",
    "roofline",
]
