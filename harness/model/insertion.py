"""An operator put into any 2D network that works on frames: torchvision's, timm's, or one's own.

    network = torchvision.models.mobilenet_v3_small()
    insert_temporal(network, {"name": "mixtconv", "kernel_sizes": [1, 3, 5]}, num_frames=8)
    scores = network(clips.flatten(0, 1))  # (N, 8, 3, H, W) -> (N*8, classes)

An operator becomes `temporal` of a convolution, and mixes what that convolution is given. All other names of the
network's state dict stay. Shape letters as in operators/base.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from harness.errors import nearest
from harness.model.tracing import Branches, Trace, branches, refuse_mixing, trace
from operators import TemporalOp, make_operator

PLACEMENTS = ("head", "inner")

Chosen = str | type[nn.Module] | Callable[[str, nn.Module], bool]
"""Which modules: a name pattern or a type's name, a type, or whatever says so of a name and its module."""

Operator = str | Mapping[str, Any] | Callable[[int, int], TemporalOp]
"""An operator's name, its name and settings as in a study, or what makes it from C and T, such as its class."""


@dataclass(frozen=True)
class Place:
    """Where an operator stands.

    Attributes:
        conv: the name of the convolution that it stands before.
        block: the name of the module that was chosen, whose convolution that is.
        stage: 4 on the smallest maps, 3 on the next larger ones, 2, and 1 on all that are larger still.
        channels: C.
    """

    conv: str
    block: str
    stage: int
    channels: int

    @property
    def operator(self) -> str:
        """The name of the operator itself."""
        return f"{self.conv}.temporal"


def insert_temporal(
    network: nn.Module,
    operator: Operator,
    num_frames: int,
    *,
    where: Chosen | Sequence[Chosen] | None = None,
    placement: str = "head",
    stages: Iterable[int] = (1, 2, 3, 4),
    example: Tensor | None = None,
) -> dict[str, TemporalOp]:
    """Put an operator into blocks of a network over frames, which is changed in place.

    From then on the network takes whole clips: batches of N*T frames, the T of a clip after each other.

    Args:
        network: takes (N*T, 3, H, W).
        operator: is made for each block anew.
        num_frames: T.
        where: which blocks; see `find_places`.
        placement: "head", before a block's first convolution, past which a shortcut leads; "inner", before its second.
        stages: blocks of these alone, by the size of their maps.
        example: frames as the network takes them, for one that is not run on (T, 3, 224, 224).

    Returns:
        The operators by name, from input to output.

    Raises:
        ValueError: there is no such place, the operator does not fit there, or the network's images meet: in words.
    """
    places = find_places(network, where, placement=placement, stages=stages, example=example)
    with _without_operators(network):
        refuse_mixing(network, example)

    def make(place: Place) -> TemporalOp:
        if isinstance(operator, str):
            return make_operator(operator, place.channels, num_frames)
        if isinstance(operator, Mapping):
            settings = {key: value for key, value in operator.items() if key != "name"}
            return make_operator(operator["name"], place.channels, num_frames, **settings)
        return operator(place.channels, num_frames)

    return insert_at(network, places, make)


def insert_at(
    network: nn.Module, places: Sequence[Place], make: Callable[[Place], TemporalOp]
) -> dict[str, TemporalOp]:
    """Put what `make` builds at every place; nothing is changed where one of them is refused.

    Raises:
        ValueError: the operator's own, with the place; or there is an operator already.
    """
    made: dict[str, TemporalOp] = {}
    for place in places:
        conv = network.get_submodule(place.conv)
        if hasattr(conv, "temporal"):
            raise ValueError(f"{place.conv} has a `temporal` already: one operator at each place")
        try:
            made[place.operator] = make(place)
        except ValueError as error:
            raise ValueError(f"{error} (before {place.conv}, of {place.channels} channels)") from None
    for place in places:
        conv, operator = network.get_submodule(place.conv), made[place.operator]
        weight = next(conv.parameters())
        operator.to(weight.device, weight.dtype).train(conv.training)
        conv.add_module("temporal", operator)
        conv.register_forward_pre_hook(_mix)
    return made


def find_places(
    network: nn.Module,
    where: Chosen | Sequence[Chosen] | None = None,
    *,
    placement: str = "head",
    stages: Iterable[int] = (1, 2, 3, 4),
    example: Tensor | None = None,
) -> list[Place]:
    """Where an operator would stand, from input to output. The network is run once, on shapes alone.

    Args:
        where: None takes every block with a shortcut: the innermost modules whose output is a sum of what convolutions
            make of their input and of that input, itself or projected by one convolution. Else modules of a type
            ("BasicBlock", or the class), of a name ("layer[34].*"; `*` stands for one name between dots, `**` for any
            number of them), those of which a callable says True, or several of these. A convolution stands for itself.
        placement, stages, example: as for `insert_temporal`.

    Raises:
        ValueError: nothing is found; what is found has no such place.
    """
    if placement not in PLACEMENTS:
        raise ValueError(
            f"placement: {placement!r} is none of {', '.join(PLACEMENTS)} in a network of this kind"
        )
    with _without_operators(network):
        seen = trace(network, example)
    blocks = _blocks(seen) if where is None else _chosen(seen, where)
    sizes = sorted({seen.size(block.name) for block in blocks})
    stage_of = {size: max(1, 4 - i) for i, size in enumerate(sizes)}
    wanted = set(stages)
    places: dict[str, Place] = {}
    for block in blocks:
        stage = stage_of[seen.size(block.name)]
        if stage not in wanted:
            continue
        conv = _place(seen, block, placement)
        if conv in places:
            raise ValueError(
                f"where: {conv} is what both {places[conv].block} and {block.name} mean; choose one of them"
            )
        channels = seen.modules[conv].in_channels
        assert isinstance(channels, int)
        places[conv] = Place(conv, block.name, stage, channels)
    if not places:
        there = ", ".join(str(stage) for stage in sorted(set(stage_of.values())))
        asked = ", ".join(str(stage) for stage in sorted(wanted)) or "none"
        raise ValueError(f"stages: no block in stages {asked}; there are blocks in {there}")
    return sorted(places.values(), key=lambda place: seen.order(place.conv))


@contextmanager
def _without_operators(network: nn.Module) -> Iterator[None]:
    """Frame by frame, whatever was put into the network before."""
    taken = [
        (module, dict(module._forward_pre_hooks))
        for module in network.modules()
        if hasattr(module, "temporal")
    ]
    try:
        for module, hooks in taken:
            for key in [key for key, hook in hooks.items() if hook is _mix]:
                del module._forward_pre_hooks[key]
        yield
    finally:
        for module, hooks in taken:
            module._forward_pre_hooks.clear()
            module._forward_pre_hooks.update(hooks)


def _mix(conv: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a convolution with an operator does before anything else."""
    operator = conv.temporal
    assert isinstance(operator, TemporalOp)
    x, frames = inputs[0], operator.num_frames
    if x.shape[0] % frames:
        raise ValueError(f"a batch of {x.shape[0]} frames is no whole number of clips of {frames} frames")
    mixed = operator(x.unflatten(0, (-1, frames))).flatten(0, 1)
    if mixed.shape != x.shape or mixed.dtype != x.dtype:
        given, made = (f"{tuple(one.shape)} {one.dtype}" for one in (x, mixed))
        raise ValueError(f"{type(operator).__name__} makes {made} of {given}; it must keep shape and dtype")
    return (mixed, *inputs[1:])


def _blocks(seen: Trace) -> list[Branches]:
    """The innermost modules with a shortcut."""
    found = [
        block for name in seen.modules if name and (block := branches(seen, name)) and block.has_shortcut
    ]
    inside = {block.name for block in found for other in found if other.name.startswith(f"{block.name}.")}
    innermost = [block for block in found if block.name not in inside]
    if not innermost:
        raise ValueError(
            f"where: no block of {seen.network} has convolutions and a shortcut past them; {_there(seen)}"
        )
    return innermost


def _chosen(seen: Trace, where: Chosen | Sequence[Chosen]) -> list[Branches]:
    """The modules that are asked for; all of them must have convolutions."""
    asked: list[Chosen] = list(where) if isinstance(where, (list, tuple)) else [where]  # type: ignore[list-item]
    names: dict[str, None] = {}
    for one in asked:
        matching = [name for name, module in seen.modules.items() if name and _matches(one, name, module)]
        if not matching:
            words = repr(one) if isinstance(one, str) else getattr(one, "__name__", repr(one))
            types = {type(module).__name__ for module in seen.modules.values()}
            hint = nearest(one, types) if isinstance(one, str) and one.isidentifier() else ""
            hint = hint if hint.startswith("; did you mean") else ""
            raise ValueError(f"where: {words} matches no module of {seen.network}{hint}; {_there(seen)}")
        names |= dict.fromkeys(matching)
    return [_with_convolutions(seen, name) for name in names]


def _matches(asked: Chosen, name: str, module: nn.Module) -> bool:
    if isinstance(asked, type):
        return isinstance(module, asked)
    if isinstance(asked, str):
        return asked == type(module).__name__ or re.fullmatch(_pattern(asked), name) is not None
    return bool(asked(name, module))


def _pattern(glob: str) -> str:
    """As a regular expression: `*` and `?` stay between dots, `**` does not, `[34]` and `[1-3]` are as in a shell."""
    pattern = re.escape(glob)
    for shown, meant in (("**", ".*"), ("*", "[^.]*"), ("?", "[^.]"), ("[", "["), ("]", "]"), ("-", "-")):
        pattern = pattern.replace(re.escape(shown), meant)
    return pattern


def _with_convolutions(seen: Trace, name: str) -> Branches:
    block, kind = branches(seen, name), type(seen.modules[name]).__name__
    if block is not None:
        return block
    shape = seen.given(name)
    if shape is None:
        raise ValueError(f"where: {name} ({kind}) is not run with one tensor, so nothing can be put into it")
    if len(shape) != 4:
        raise ValueError(
            f"where: {name} ({kind}) works on tokens or vectors {tuple(shape)}; operators need maps (N*T, C, H, W)"
        )
    if isinstance(seen.modules[name], nn.Conv2d):
        raise ValueError(
            f"where: {name} ({kind}) works on single pixels {tuple(shape)}, as in a gate; leave it out"
        )
    raise ValueError(
        f"where: {name} ({kind}) has no nn.Conv2d before which an operator could stand; {_there(seen)}"
    )


def _place(seen: Trace, block: Branches, placement: str) -> str:
    kind = type(seen.modules[block.name]).__name__
    if block.heads == [block.name]:
        if placement != "head":
            raise ValueError(
                f"placement: {block.name} is a convolution itself, so {placement!r} says nothing of it"
            )
        return block.name
    found = block.heads if placement == "head" else block.seconds
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(f"placement: {block.name} ({kind}) has no second convolution; use placement 'head'")
    raise ValueError(
        f"where: {block.name} ({kind}) has {len(found)} branches, which begin with {', '.join(found)}; "
        "name the convolutions themselves"
    )


def _there(seen: Trace) -> str:
    """Modules that can be chosen, by type: what would have matched."""
    kinds: dict[str, list[str]] = {}
    for name, module in seen.modules.items():
        if name and (isinstance(module, nn.Conv2d) or (branches(seen, name) and not _is_torchs(module))):
            kinds.setdefault(type(module).__name__, []).append(name)
    if not kinds:
        return f"it has no nn.Conv2d that works on maps{_tokens(seen)}"
    many = sorted(kinds.items(), key=lambda item: ("Conv2d" in item[0], -len(item[1])))
    listed = [
        f"{len(names)} {kind} ({names[0]}{f' to {names[-1]}' if names[1:] else ''})"
        for kind, names in many[:6]
    ]
    return f"there are {', '.join(listed)}{_tokens(seen)}"


def _tokens(seen: Trace) -> str:
    for name, module in seen.modules.items():
        shape = seen.given(name)
        if shape is not None and len(shape) == 3 and not _is_torchs(module):
            return f"; {name} ({type(module).__name__}) works on tokens {tuple(shape)}, not on maps (N*T, C, H, W)"
    return ""


def _is_torchs(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.")
