"""Videos with damaged bytes: how many are read as if they were whole, by container and kind of damage."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from builders.damaged import DAMAGE, OUTCOMES, WHOLE, damaged, frames_of, outcome, whole
from hypothesis import settings

LONG = settings.get_current_profile_name() == "long"
EACH = max(2, settings().max_examples // (len(WHOLE) * len(DAMAGE)))


def test_few_damaged_videos_are_read_and_none_of_those_is_merely_shorter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally: Counter[tuple[str, str, str]] = Counter()
    for row, name in enumerate(WHOLE):
        video = whole(name, tmp_path)
        assert outcome(video, frames_of(video)) == "unchanged"
        for column, kind in enumerate(DAMAGE):
            for number in range(EACH):
                rng = np.random.default_rng([row * len(DAMAGE) + column, number])
                (changed := tmp_path / f"damaged-{name}").write_bytes(damaged(video.read_bytes(), kind, rng))
                tally[name, kind, outcome(changed, frames_of(video))] += 1
    if LONG:
        with capsys.disabled():
            print(f"\n{EACH * len(WHOLE) * len(DAMAGE)} damaged videos: {', '.join(OUTCOMES)}")
            for name in WHOLE:
                for kind in DAMAGE:
                    print(f"{name:27}{kind:14}", *(f"{tally[name, kind, found]:5}" for found in OUTCOMES))
    for (
        name,
        kind,
        found,
    ) in tally:  # damage within a packet may show another picture, which nothing tells from a film's own
        assert found in ("unreadable", "unchanged") or kind in ("flipped bits", "zeros"), (name, kind, found)
    found_in_all = Counter(found for _, _, found in tally.elements())
    assert found_in_all["shorter"] * 1000 <= tally.total()  # none of few
    assert found_in_all["other count"] * 100 <= tally.total()
    assert found_in_all["other frames"] * 8 <= tally.total()
