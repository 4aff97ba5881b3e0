"""What the finished trials of a study scored, and the differences between them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from harness.seeds import seed_for
from harness.stats.clips import Hits, pair_clips
from harness.stats.differences import Difference, correct, paired_difference


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What the finished trials of a study scored.

    accuracy: top-1 by seed, by variant. hits: the same clip by clip, where it was kept.
    margin: points that do not matter; 0 where the study names none.
    at_level: top-1 by seed, by variant, by level, where clips have levels.
    """

    accuracy: Mapping[str, Mapping[int, float]]
    hits: Mapping[str, Hits | None] = field(default_factory=dict)
    margin: float = 0.0
    at_level: Mapping[float, Mapping[str, Mapping[int, float]]] = field(default_factory=dict)

    def at(self, level: float) -> Scores:
        """On the clips of one level alone; empty where there are none."""
        hits = {variant: one.at(level) if one else None for variant, one in self.hits.items()}
        return Scores(accuracy=self.at_level.get(level, {}), hits=hits, margin=self.margin)

    def difference(self, variant: str, other: str, margin: float | None = None) -> Difference:
        """variant - other, on its own: no correction, no verdict."""
        return paired_difference(
            self.accuracy.get(variant, {}),
            self.accuracy.get(other, {}),
            pair_clips(self.hits.get(variant), self.hits.get(other)),
            self.margin if margin is None else margin,
            names=(variant, other),
        )

    @cached_property
    def every_pair(self) -> dict[tuple[str, str], Difference]:
        """Of any two variants, the earlier minus the later, without a margin."""
        pairs = itertools.combinations(self.accuracy, 2)
        return {(one, other): self.difference(one, other, 0.0) for one, other in pairs}

    def table(self, pairs: Iterable[tuple[str, str]]) -> list[Difference]:
        """The differences of one table, corrected together, each with its bootstrap beside it."""
        return [self._with_bootstrap(row) for row in correct([self.difference(*names) for names in pairs])]

    def _with_bootstrap(self, row: Difference) -> Difference:
        clips = pair_clips(self.hits.get(row.variant), self.hits.get(row.other))
        if row.error is None or clips is None:
            return row
        generator = np.random.default_rng(seed_for("bootstrap", row.variant, row.other))
        return replace(row, bootstrap=clips.bootstrap(generator))
