"""What a network does with frames, seen by running it: which convolutions follow which, where a shortcut leads past
them, and whether the images of a batch meet.

Branches are read from autograd's graph of one forward pass on tensors without memory.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from harness.errors import first_line

SIZE = 224  # pixels of a square frame that every public network takes
SMALL = 96  # and that those without a size of their own take as well


@dataclass
class _Seen:
    """A module's first call: shapes, and the nodes of the graph at its input and output."""

    given: torch.Size
    enter: Any
    order: int
    made: torch.Size | None = None
    leave: Any = None


@dataclass
class Trace:
    """One forward pass.

    Attributes:
        network: the name of its class.
        modules: by name, as registered.
    """

    network: str
    modules: dict[str, nn.Module]
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def given(self, name: str) -> torch.Size | None:
        """The shape that a module was given; None where it was not run on a tensor."""
        return self._seen[name].given if name in self._seen else None

    def order(self, name: str) -> int:
        """When it was run."""
        return self._seen[name].order

    def size(self, name: str) -> int:
        """Pixels of the maps that it puts out."""
        made = self._seen[name].made
        assert made is not None
        return made[-2] * made[-1]


@dataclass(frozen=True)
class Branches:
    """How the convolutions of a module follow each other.

    Attributes:
        name: the module's.
        heads: convolutions that begin a branch; a projection of the shortcut, after which no other comes, begins none.
        seconds: those that follow a head and nothing else.
        has_shortcut: its output is a sum with its input, itself or projected by one convolution.
    """

    name: str
    heads: list[str]
    seconds: list[str]
    has_shortcut: bool


def trace(network: nn.Module, example: Tensor | None = None) -> Trace:
    """Run a copy of the network on shapes alone.

    Args:
        example: frames as the network takes them; None for two of (3, 224, 224).

    Raises:
        ValueError: it cannot be run so.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise ValueError(
            "network: is compiled by torch.jit, and nothing can be put into it; use its Python class"
        )
    shape = tuple(example.shape) if example is not None else (2, 3, SIZE, SIZE)
    seen = Trace(type(network).__name__, dict(network.named_modules()))
    try:
        twin = copy.deepcopy(network).to("meta").eval()
        with _watched(twin, seen), torch.enable_grad(), torch.device("meta"):
            twin(torch.empty(shape, requires_grad=True))
    except Exception as error:  # whatever somebody's network raises
        raise ValueError(
            f"network: {seen.network} cannot be run on frames {shape}: {first_line(error)}; "
            "give `example`, frames as it takes them"
        ) from error
    return seen


@contextmanager
def _watched(network: nn.Module, seen: Trace) -> Iterator[None]:
    hooks = []
    for name, module in network.named_modules():
        hooks.append(
            module.register_forward_pre_hook(lambda module, inputs, name=name: _enter(seen, name, inputs))
        )
        hooks.append(
            module.register_forward_hook(lambda module, inputs, made, name=name: _leave(seen, name, made))
        )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _enter(seen: Trace, name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """A copy of the input is a node of its own, from which to tell what comes from there."""
    if (
        name in seen._seen
        or not inputs
        or not isinstance(inputs[0], Tensor)
        or not inputs[0].is_floating_point()
    ):
        return None
    x = inputs[0] if inputs[0].requires_grad else inputs[0].detach().requires_grad_()
    x = x.clone()
    seen._seen[name] = _Seen(x.shape, x.grad_fn, len(seen._seen))
    return (x, *inputs[1:])


def _leave(seen: Trace, name: str, made: Any) -> None:
    one = seen._seen.get(name)
    if one is not None and one.leave is None and isinstance(made, Tensor):
        one.made, one.leave = made.shape, made.grad_fn


def branches(seen: Trace, name: str) -> Branches | None:
    """Of a module that takes and makes maps; None of any other, and of one without convolutions on maps."""
    block = seen._seen.get(name)
    if block is None or block.leave is None or len(block.given) != 4 or len(block.made or ()) != 4:
        return None
    convs = _convolutions(seen, name)
    if not convs:
        return None
    ends = {one.leave: conv for conv, one in convs.items()}
    before: dict[str, set[str]] = {}
    for conv, one in convs.items():
        before[conv] = _reached(one.enter, ends, block.enter)
    firsts = [conv for conv in convs if not before[conv]]
    leading = [conv for conv in firsts if any(conv in others for others in before.values())]
    heads = leading or firsts
    projections = set(firsts).difference(heads)
    into_sum = _summed(block.leave, ends, block.enter)
    return Branches(
        name=name,
        heads=heads,
        seconds=[conv for conv in convs if before[conv] and before[conv] <= set(heads)],
        has_shortcut="" in into_sum or bool(projections & into_sum),
    )


def _convolutions(seen: Trace, name: str) -> dict[str, _Seen]:
    """Those within a module that were run on maps, in the order of their calls. A convolution on single pixels is part
    of a gate, as in squeeze and excitation."""
    inside = {
        key: seen._seen[key]
        for key, module in seen.modules.items()
        if isinstance(module, nn.Conv2d) and key in seen._seen and (key == name or key.startswith(f"{name}."))
    }
    on_maps = {
        key: one for key, one in inside.items() if one.given[-2] * one.given[-1] > 1 and one.leave is not None
    }
    return dict(sorted(on_maps.items(), key=lambda item: item[1].order))


def _reached(start: Any, ends: dict[Any, str], enter: Any) -> set[str]:
    """The convolutions whose output a node takes, with no other between."""
    found: set[str] = set()
    known, waiting = {start}, [start]
    while waiting:
        node = waiting.pop()
        if node in ends:
            found.add(ends[node])
        elif node is not enter:
            fresh = {other for other, _ in node.next_functions if other is not None and other not in known}
            known |= fresh
            waiting += fresh
    return found


def _summed(leave: Any, ends: dict[Any, str], enter: Any) -> set[str]:
    """What is added up to an output: names of convolutions, "" for the module's input itself.

    A gate, the product of a map with what convolutions make of it, is no sum, nor is a concatenation.
    """
    found: set[str] = set()
    known, waiting = {leave}, [leave]
    while waiting:
        node = waiting.pop()
        if node in ends:
            found.add(ends[node])
        elif node is enter:
            found.add("")
        elif type(node).__name__ != "CatBackward0":
            others = [other for other, _ in node.next_functions if other is not None]
            if type(node).__name__ == "MulBackward0":
                made = [other for other in others if _reached(other, ends, enter)]
                others = made or others
            fresh = set(others) - known
            known |= fresh
            waiting += fresh
    return found


def refuse_mixing(network: nn.Module, example: Tensor | None = None) -> None:
    """Refuse a network in which an image changes another's output, in eval: clips would meet. One on tensors without
    memory is not tried.

    Raises:
        ValueError: names the innermost module that does it.
    """
    for name, module in network.named_modules():
        if (
            isinstance(module, _NormBase)
            and not module.track_running_stats
            and "Instance" not in type(module).__name__
        ):
            raise ValueError(
                f"network: {name} ({type(module).__name__}) has no running statistics, so clips meet in it"
            )
    weight = next(network.parameters(), None)
    if weight is None or weight.is_meta:
        return
    shapes = [tuple(example.shape[1:])] if example is not None else [(3, SMALL, SMALL), (3, SIZE, SIZE)]
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        for shape in shapes:
            try:
                culprit = _mixing(network, shape, weight)
                break
            except Exception:  # of a network that takes frames of one size alone
                if shape == shapes[-1]:
                    raise
    finally:
        for module, training in was_training.items():
            module.training = training
    if culprit is not None:
        kind = type(network.get_submodule(culprit)).__name__
        raise ValueError(
            f"network: {culprit or 'its forward'} ({kind}) mixes the images of a batch, so clips would meet"
        )


@torch.no_grad()
def _mixing(network: nn.Module, shape: tuple[int, ...], like: Tensor) -> str | None:
    """The first module to finish whose output for an image depends on the other one of the batch, and its input not."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, *shape, generator=generator).to(like)
    first: list[
        tuple[Tensor | None, Tensor | None]
    ] = []  # what each call was given and made of the first image
    found: list[str] = []
    calls = 0

    def keep(name: str, inputs: tuple[Any, ...], made: Any) -> None:
        first.append((_first_image(inputs[:1]), _first_image((made,))))

    def compare(name: str, inputs: tuple[Any, ...], made: Any) -> None:
        nonlocal calls
        given, before = first[calls] if calls < len(first) else (None, None)
        calls += 1
        if not _differs(given, _first_image(inputs[:1])) and _differs(before, _first_image((made,))):
            found.append(name)

    for pair, look in ((images[:2], keep), (images[::2], compare)):
        hooks = [
            module.register_forward_hook(
                lambda module, inputs, made, name=name, look=look: look(name, inputs, made)
            )
            for name, module in network.named_modules()
        ]
        try:
            with torch.random.fork_rng(devices=[like.device] if like.is_cuda else []):
                torch.manual_seed(0)
                network(pair)
        finally:
            for hook in hooks:
                hook.remove()
    return found[0] if found else None


def _first_image(values: tuple[Any, ...]) -> Tensor | None:
    is_batch = values and isinstance(values[0], Tensor) and values[0].dim() and len(values[0]) == 2
    return values[0][0].clone() if is_batch else None


def _differs(one: Tensor | None, other: Tensor | None) -> bool:
    """By more than rounding."""
    if one is None or other is None or one.shape != other.shape or not one.numel():
        return False
    return float((one - other).abs().max()) > 1e-4 * float(one.abs().max())
