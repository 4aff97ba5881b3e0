"""Settings under `data:` of a study: which data set, and how its clips are sampled, cropped and tested."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.data.generated.config import GeneratedConfig
from harness.data.generated.tasks import find_task
from harness.data.sampling import SAMPLING_WORDS, WINDOW
from harness.data.sources.readers import READERS, ReaderConfig
from harness.data.views import MIRRORS, EvalConfig
from harness.errors import DataError, nearest
from harness.records import with_name

DATASETS: dict[str, type[GeneratedConfig] | type[ReaderConfig]] = {
    "generated": GeneratedConfig,
    **READERS,
}
"""Settings of each data set, by its name."""

ON_UNREADABLE = ("error", "skip")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which clips, and how they are sampled and cropped. Defaults: MixTConv paper, Sec. 4.1, and TSN's crops.

    dataset: a name, or a mapping of `name` and the data set's own settings.
    num_frames: T, the frames of a clip that the network sees.
    short_side: pixels of a frame's shorter side, before cropping.
    crop: pixels of the square that the network sees.
    scales: sizes of training crops, as parts of the short side.
    sampling: "segment", one frame from each of T equal segments; "dense", T frames of a 64-frame window.
    mirror: of training clips. "on" mirrors each with probability 1/2; "swap_labels" also makes a mirrored clip of
        "left" one of "right", and so for every class that names a direction (mirror.py).
    holdout: part of the training clips, of each class and level, that is left out of training and stands in for the
        validation clips, which are then not used at all; 0: none.
    on_unreadable: what becomes of a clip that cannot be read: "error" stops, "skip" leaves it out, and counts and
        names it in the result. No clip ever takes another one's place.
    test: how results are taken.
    """

    dataset: str | Mapping[str, Any] = "generated"
    num_frames: int = 8  # T, one from each segment
    short_side: int = 256  # pixels, before cropping
    crop: int = 224  # pixels, what the network sees
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)  # of short_side, training crops
    sampling: str = "segment"
    mirror: bool | str = "off"  # YAML reads a bare on and off as true and false
    holdout: float = 0.0
    on_unreadable: str = "error"
    test: EvalConfig = field(default_factory=EvalConfig)

    def __post_init__(self) -> None:
        for name in ("num_frames", "short_side", "crop"):
            if getattr(self, name) < 1:
                raise DataError(f"{name}: {getattr(self, name)} is too few; use 1 or more")
        if self.crop > self.short_side:
            raise DataError(f"crop: {self.crop} pixels do not fit into short_side {self.short_side}")
        if not 0 <= self.holdout < 1:
            raise DataError(f"holdout: {self.holdout:g} is no part of the training clips; use 0 to below 1")
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise DataError(f"scales: {list(self.scales)}: use one or more numbers above 0 and up to 1")
        if self.sampling not in SAMPLING_WORDS:
            raise DataError(f"sampling: {self.sampling!r} is none of {', '.join(SAMPLING_WORDS)}")
        if self.sampling == "dense" and self.num_frames > WINDOW:
            raise DataError(
                f"num_frames: {self.num_frames} frames do not fit into a dense window of {WINDOW}"
            )
        if self.sampling == "segment" and self.test.resolved().clips > 2:
            raise DataError(
                f"test.clips: {self.test.resolved().clips}: segment sampling has 1 or 2 clips a video; "
                "use sampling: dense for more"
            )
        if isinstance(self.mirror, bool):
            object.__setattr__(self, "mirror", "on" if self.mirror else "off")
        for name, choices in (("mirror", MIRRORS), ("on_unreadable", ON_UNREADABLE)):
            if getattr(self, name) not in choices:
                raise DataError(f"{name}: {getattr(self, name)!r} is none of {', '.join(choices)}")
        source = self.source()
        if isinstance(source, GeneratedConfig) and source.levels:
            self._check_whole(source)

    def _check_whole(self, source: GeneratedConfig) -> None:
        """What cut a clip would show another level than it has."""
        whole = self.crop == self.short_side and self.scales == (1.0,) and source.width == source.height
        if not whole or self.sampling != "segment":
            raise DataError(
                f"dataset: objects of {source.task} go around the frame's edges, and clips must be seen whole; "
                "use width = height, crop = short_side, scales: [1.0] and sampling: segment"
            )

    @property
    def dataset_name(self) -> str:
        """The data set's key."""
        return str(with_name(self.dataset)["name"])

    def levels(self) -> tuple[str, tuple[float, ...]]:
        """What the levels of clips are called, and which there are; "" and none where clips have no level."""
        source = self.source()
        if not isinstance(source, GeneratedConfig):
            return "", ()
        return find_task(source.task).level_name, source.levels

    def source(self) -> GeneratedConfig | ReaderConfig:
        """The checked settings of the data set itself.

        Raises:
            DataError: no such data set or setting, or a value of the wrong kind.
        """
        settings = with_name(self.dataset)
        name = settings.pop("name", None)
        if not isinstance(name, str) or name not in DATASETS:
            raise DataError(f"dataset: no data set {name!r}{nearest(str(name), DATASETS)}")
        kind = DATASETS[name]
        hints = typing.get_type_hints(kind)
        known = [field.name for field in dataclasses.fields(kind)]
        for key, value in settings.items():
            if key not in known:
                raise DataError(f"dataset.{key}: {name} has no such setting{nearest(key, known)}")
            if not _is(value, hints[key]):
                raise DataError(f"dataset.{key}: {value!r} is not {_WORDS[hints[key]]}")
        try:
            if kind is GeneratedConfig:
                return GeneratedConfig.seen(self.num_frames, settings)
            return kind(**settings)
        except DataError as error:
            raise DataError(f"dataset.{error}") from None


_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float | None: "a number",
    tuple[int, ...]: "a list of whole numbers",
    tuple[str, ...]: "a list of words",
}
"""What the settings of a data set are, in words."""


def _is(value: object, kind: object) -> bool:
    for of in (int, str):
        if kind == tuple[of, ...]:  # type: ignore[valid-type]
            return isinstance(value, list | tuple) and all(type(item) is of for item in value)
    if kind == float | None:
        return type(value) in (int, float)
    return type(value) is kind
