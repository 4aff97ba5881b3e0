"""What every data set is brought to before its frames are read: classes, and a list of clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.columns import SPLITS, Clip, chosen, in_split, with_problem
from harness.errors import DataError
from harness.seeds import seed_for


def only_one_class(classes: list[str]) -> str:
    """What is wrong with such a data set, in words."""
    return f"has one class, {classes[0]!r}; there is nothing to tell it from"


@dataclass(frozen=True, kw_only=True)
class Index:
    """A data set as it lies on the disk.

    folder: where what is made of it lies, such as decoded frames.
    fingerprint: changes whenever any clip or label does.
    groups: the group of each class, "" where a data set has none.
    height, width: of every frame, in pixels; 0 where clips differ or nobody looked. Only clips of one size can be
        decoded into one file (frames.py).
    files: changes whenever the file of a clip does, and is part of the name of their decoded frames; "" for clips
        that this project wrote itself, which know their own bytes.
    skipped: ids of the clips that were left out because they cannot be read, by split (`on_unreadable: skip`).
    named_classes: whether `classes` are words; else they are the numbers that the annotation gives.
    twins: pairs of class indices whose clips are each other's, played backwards.
    level_name: what the level of every clip counts, such as "lag"; "" where clips have no level.
    chance: top-1 of a network that guesses or sees no order, in per cent; None where that is not known.
    """

    folder: Path
    fingerprint: str
    classes: list[str]
    groups: list[str]
    clips: Sequence[Clip]
    height: int = 0
    width: int = 0
    files: str = ""
    skipped: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    named_classes: bool = True
    twins: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    level_name: str = ""
    chance: float | None = None

    @property
    def one_size(self) -> bool:
        """All frames of all clips have the same size."""
        return self.height > 0

    def readable(self, on_unreadable: str) -> Index:
        """Without the clips that cannot be read, where the user chose so.

        Args:
            on_unreadable: "error" or "skip".

        Raises:
            DataError: "error", and there is such a clip; or no clip of a split can be read.
        """
        problems = with_problem(self.clips)
        bad = chosen(self.clips, np.flatnonzero(problems))
        if len(bad) and on_unreadable == "error":
            more = f" (and {len(bad) - 1:,} more clips)" if len(bad) > 1 else ""
            raise DataError(
                f"clip {bad[0].id}: {bad[0].problem}{more}; `python -m harness.data check` lists every such clip, "
                "and data.on_unreadable: skip leaves them out and counts them"
            )
        for split in SPLITS:
            if not (in_split(self.clips, split) & ~problems).any():
                first = next((f": clip {c.id}: {c.problem}" for c in bad if c.split == split), "")
                raise DataError(f"split {split!r} of this data set has no clip that can be read{first}")
        if not len(bad):
            return self
        good = chosen(self.clips, np.flatnonzero(~problems))
        skipped = {s: [c.id for c in bad if c.split == s] for s in SPLITS}
        return dataclasses.replace(self, clips=good, skipped={s: ids for s, ids in skipped.items() if ids})

    def held_out(self, part: float) -> Index:
        """Some training clips in the place of the validation clips, which are in no split then.

        So large a part of each class and level, one at least; of a class with one clip, none. The same clips
        whenever the data set is the same; what belongs to a cluster goes together.

        Raises:
            DataError: no class has two training clips.
        """
        first: dict[str, tuple[int, float | None]] = {}
        for clip in self.clips:
            if clip.split == "train":
                first.setdefault(clip.cluster or clip.id, (clip.label, clip.level))
        kinds: dict[tuple[int, float | None], list[str]] = {}
        for name, kind in first.items():
            kinds.setdefault(kind, []).append(name)
        held: set[str] = set()
        for (label, level), names in kinds.items():
            count = min(len(names) - 1, max(1, round(part * len(names))))
            order = np.random.default_rng(seed_for("holdout", label, str(level))).permutation(len(names))
            held.update(names[place] for place in order[:count])
        if not held:
            raise DataError(f"holdout: {part:g}: no class has two training clips, so none can be held out")
        clips = []
        for clip in self.clips:
            split = "val" if (clip.cluster or clip.id) in held else "train"
            clips.append(dataclasses.replace(clip, split=split if clip.split == "train" else ""))
        return dataclasses.replace(self, clips=clips)
