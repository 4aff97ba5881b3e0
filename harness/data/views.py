"""Test protocols: which clips of a video a network sees, which crops of them, and how their scores are fused.

Named ones and their parts. Sources: FACTS of the field as the public TSN and TSM code has them. Public code
disagrees on whether logits or probabilities are averaged, so `fusion` is a setting and part of every result.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.errors import DataError, nearest

CROPS: dict[str, tuple[tuple[float, float], ...]] = {
    "centre": ((0.5, 0.5),),
    "left_centre_right": ((0.0, 0.5), (0.5, 0.5), (1.0, 0.5)),
    "corners_centre": ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)),
}
"""Where square crops lie: (along, across) as parts of the free room; `along` is x, or y in a portrait video's
`left_centre_right`, which else were three times the same crop."""

_CROP_WORDS = {
    "centre": "centre",
    "left_centre_right": "left, centre and right",
    "corners_centre": "corners and centre",
}

_MIRROR_WORDS = {
    "off": "",
    "on": ", each with its mirror image",
    "swap_labels": ", each with its mirror image (left and right exchanged in its scores)",
}

SIZES = ("crop", "short_side")

FUSIONS = ("scores", "logits")

MIRRORS = ("off", "on", "swap_labels")


@dataclass(frozen=True, kw_only=True)
class TestProtocol:
    """A resolved protocol.

    Attributes:
        clips: temporal clips of each video.
        crops: a key of CROPS: which squares of each frame.
        size: their side: "crop" is `data.crop`, "short_side" the whole `data.short_side` (full resolution).
        mirror: "off"; "on" adds every crop's mirror image; "swap_labels" too, and reads its score of "left" as that
            of "right", and so for every class that names a direction (mirror.py).
        fusion: "scores" averages the views' probabilities, "logits" what the network puts out.
    """

    __test__ = False  # pytest: not a test

    name: str
    clips: int
    crops: str
    size: str
    mirror: str = "off"
    fusion: str = "scores"

    def words(self, crop: int, short_side: int) -> str:
        """The protocol in words, as reports print it."""
        side = crop if self.size == "crop" else short_side
        mirror = _MIRROR_WORDS[self.mirror]
        count = len(self.views())
        fusion = {"scores": "probabilities", "logits": "logits"}[self.fusion]
        parts = [
            f"{self.clips} clip{'s' * (self.clips > 1)} a video",
            f"short side {short_side}",
            f"{_CROP_WORDS[self.crops]} {side}x{side}{mirror}",
            f"{count} view{'s' * (count > 1)}",
            *([f"{fusion} averaged over views"] if count > 1 else []),
        ]
        return f"{self.name}: {', '.join(parts)}"

    def views(self) -> list[View]:
        """Clip by clip, crop by crop, and each one before its mirror image."""
        mirrors = (False,) if self.mirror == "off" else (False, True)
        return [
            View(clip, along, across, mirrored)
            for clip in range(self.clips)
            for along, across in CROPS[self.crops]
            for mirrored in mirrors
        ]


class View(NamedTuple):
    """One clip that is cut from a video: which temporal clip, where (parts of the free room), mirrored or not."""

    clip: int
    along: float
    across: float
    mirrored: bool


PROTOCOLS = {
    p.name: p
    for p in (
        TestProtocol(name="center_1clip", clips=1, crops="centre", size="crop"),
        TestProtocol(name="fullres_2clip", clips=2, crops="left_centre_right", size="short_side"),
        TestProtocol(name="ten_crop", clips=1, crops="corners_centre", size="crop", mirror="on"),
    )
}


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How results are taken: a protocol by its name, and any part of it in its own words.

    protocol: `center_1clip`, `fullres_2clip` or `ten_crop`; None of the other parts keeps the protocol's own.
    clips: of each video.
    crops: of each clip: `centre`, `left_centre_right`, or `corners_centre`.
    size: of a crop: `crop`, or `short_side`, which is full resolution.
    mirror: `on` adds every crop's mirror image; `swap_labels` counts its "left" as "right".
    fusion: `scores` averages the views' probabilities, `logits` what the network puts out.
    """

    protocol: str = "center_1clip"
    clips: int | None = None
    crops: str | None = None
    size: str | None = None
    mirror: bool | str | None = None  # YAML reads a bare on and off as booleans
    fusion: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.mirror, bool):
            object.__setattr__(self, "mirror", "on" if self.mirror else "off")
        if self.protocol not in PROTOCOLS:
            raise DataError(f"protocol: no protocol {self.protocol!r}{nearest(self.protocol, PROTOCOLS)}")
        if self.clips is not None and self.clips < 1:
            raise DataError(f"clips: {self.clips} is too few; use 1 or more")
        choices = {"crops": tuple(CROPS), "size": SIZES, "fusion": FUSIONS, "mirror": MIRRORS}
        for name, known in choices.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise DataError(f"{name}: {value!r} is none of {', '.join(known)}")

    def resolved(self) -> TestProtocol:
        """The named protocol with the parts that are set; its name then says that it was changed."""
        parts: dict[str, Any] = {
            name: value for name, value in dataclasses.asdict(self).items() if value is not None
        }
        named = PROTOCOLS[parts.pop("protocol")]
        chosen = dataclasses.replace(named, **parts)
        return chosen if chosen == named else dataclasses.replace(chosen, name=f"{named.name}, changed")
