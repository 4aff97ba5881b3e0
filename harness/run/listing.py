"""What studies can be made of, and the studies that are there: `python -m harness.run --list`."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from harness import shipped
from harness.data.generated.tasks import TASKS, Task
from harness.data.sources.readers import READERS
from harness.data.views import PROTOCOLS, TestProtocol
from harness.model.config import VOLUMES
from harness.model.resnet import BACKBONES, Backbone
from operators.base import TemporalOp


def listing() -> Iterator[tuple[str, str]]:
    """Lines to say: a heading, and a name with words for each thing under it."""
    yield from _block("operators (model.operator)", dict(_operators()))
    yield from _block("backbones (model.backbone)", dict(_backbones()))
    yield from _block(
        "generated tasks (data.dataset.task)", {name: _task(one) for name, one in TASKS.items()}
    )
    readers = {name: _of(cls) for name, cls in READERS.items()}
    yield from _block("data sets (data.dataset.name)", {"generated": "The tasks above.", **readers})
    yield from _block(
        "test protocols (data.test.protocol)", {name: _protocol(one) for name, one in PROTOCOLS.items()}
    )
    yield from _block("studies", dict(_studies()))


def _block(title: str, lines: dict[str, str]) -> Iterator[tuple[str, str]]:
    width = max(map(len, lines), default=0)
    yield "", title
    for name, words in lines.items():
        yield f"  {name:<{width}} ", words
    yield "", ""


def _operators() -> Iterator[tuple[str, str]]:
    """With the other names under which each is found."""
    for name, cls in sorted(TemporalOp.registry.items()):
        also = ", ".join(cls.facts.also) if cls.facts else ""
        yield name, f"{_of(cls)} Also called {also}." if also else _of(cls)


def _backbones() -> Iterator[tuple[str, str]]:
    yield from ((name, _backbone(one)) for name, one in BACKBONES.items())
    yield "bninception", "the 2D network of TSN, TRN and ECO"
    yield from ((name, "takes a clip as a volume, and no operator") for name in VOLUMES)
    yield "timm/NAME", "a network of timm; torchvision/NAME likewise; my_net.Net is one of your own"


def _of(cls: type) -> str:
    """The first sentence of a class's own words."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


def _backbone(one: Backbone) -> str:
    blocks = ", ".join(map(str, one.blocks))
    return f"{one.block.__name__}, {blocks} blocks in its four stages"


def _task(one: Task) -> str:
    levels = f"; {one.level_name} {', '.join(map(str, one.levels))}" if one.levels else ""
    return f"{len(one.classes)} classes{levels}"


def _protocol(one: TestProtocol) -> str:
    clips = f"{one.clips} clip{'s' * (one.clips > 1)} a video"
    return f"{clips}, crops: {one.crops.replace('_', ', ')}, as large as data.{one.size}"


def _studies() -> Iterator[tuple[str, str]]:
    for name in shipped.studies():
        raw = yaml.safe_load((shipped.FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
        yield name, str(raw.get("question", ""))
