"""A backbone from outside: timm's, torchvision's, or the user's own, as the skeleton takes it: without its classifier.

What is found out about one by running it (does a batch's images meet? where is its classifier? where do operators
stand?) is found out once a process.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.errors import in_a_line
from harness.model import packages
from harness.model.insertion import Place, find_places, insert_at
from harness.model.pixels import MEAN, STD
from harness.model.tracing import SIZE, refuse_mixing
from operators import TemporalOp


class AnyBackbone(nn.Module):
    """Features of frames, by a network that was made for images.

    Args:
        name: as for `packages.build`.

    Attributes:
        network: as it was built, its classifier replaced by nothing. Names of its parameters are its own.
        classifier: the name of the linear layer that was its classifier; "" if it had none.
        channels: of the features.
        places: where operators stand.

    Shape:
        (B, 3, H, W), normalised as clips are -> (B, channels). Where the network says that its weights expect other
        pixels, they are made here.

    Raises:
        ValueError: `backbone: ...`: there is no such network, or it cannot be used.
    """

    scale: Tensor | None
    shift: Tensor | None

    def __init__(self, name: str) -> None:
        super().__init__()
        known = _known(name)
        self.classifier, self.channels = known.classifier, known.channels
        self.places: list[Place] = []
        if torch.get_default_device().type == "meta":
            self.network = copy.deepcopy(known.network)
        else:
            self.network = _without(packages.build(name), known.classifier)
        scale, shift = known.pixels
        as_they_are = scale == (1.0, 1.0, 1.0) and shift == (0.0, 0.0, 0.0)
        for buffer, values in (("scale", scale), ("shift", shift)):
            tensor = None if as_they_are else torch.tensor(values)[:, None, None]
            self.register_buffer(buffer, tensor, persistent=False)

    def insert(
        self, name: str, where: tuple[str, ...], placement: str, stages: tuple[int, ...],
        make: Callable[[Place], TemporalOp],
    ) -> None:  # fmt: skip
        """Put operators into it; see `find_places`.

        Raises:
            ValueError: there is no such place, or an operator does not fit.
        """
        self.places = list(_places(name, where, placement, stages))
        insert_at(self.network, self.places, make)

    def last_of_stages(self) -> dict[int, nn.Module]:
        """The last block with an operator in each stage that has one."""
        return {place.stage: self.network.get_submodule(place.block) for place in self.places}

    def forward(self, frames: Tensor) -> Tensor:
        if self.scale is not None and self.shift is not None:
            frames = frames * self.scale + self.shift
        features: Tensor = self.network(frames)
        return features


@dataclass(frozen=True)
class _Known:
    """What is known of a network; `network` is without memory and without classifier."""

    network: nn.Module
    classifier: str
    channels: int
    pixels: tuple[tuple[float, ...], tuple[float, ...]]


@functools.lru_cache
def _known(name: str) -> _Known:
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(0)
        network = packages.build(name).eval()
        try:
            refuse_mixing(network)
        except ValueError as error:
            raise ValueError(f"backbone: {name}: {str(error).removeprefix('network: ')}") from None
        except Exception as error:  # whatever somebody's network raises
            raise ValueError(
                f"backbone: {name} cannot be run on frames (2, 3, {SIZE}, {SIZE}): {in_a_line(error)}"
            ) from None
    pixels = _pixels(network)
    network = network.to("meta")
    classifier, shape = _classifier(name, network)
    channels = shape[1]
    if classifier:
        linear = network.get_submodule(classifier)
        assert isinstance(linear, nn.Linear)
        channels = linear.in_features
    return _Known(_without(network, classifier), classifier, channels, pixels)


@functools.lru_cache
def _places(name: str, where: tuple[str, ...], placement: str, stages: tuple[int, ...]) -> tuple[Place, ...]:
    return tuple(find_places(_known(name).network, where or None, placement=placement, stages=stages))


def _classifier(name: str, network: nn.Module) -> tuple[str, torch.Size]:
    """The linear layer whose output is the network's, "" for none; and that output's shape."""
    made: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda module, inputs, output, name=own: made.update({name: output}))
        for own, module in network.named_modules()
        if own and isinstance(module, nn.Linear)
    ]
    try:
        with torch.no_grad():
            scores = network(torch.empty(2, 3, SIZE, SIZE, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(scores, Tensor) or scores.dim() != 2 or len(scores) != 2:
        what = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"backbone: {name} makes {what} of 2 frames; it must make scores or features (2, D)")
    found = [own for own, output in made.items() if output is scores]
    return (found[-1] if found else ""), scores.shape


def _without(network: nn.Module, classifier: str) -> nn.Module:
    if classifier:
        above, _, last = classifier.rpartition(".")
        network.get_submodule(above).add_module(last, nn.Identity())
    return network


def _pixels(network: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What to multiply clips by and to add, so that pixels are as the network's weights expect them. timm's say it."""
    config = getattr(network, "pretrained_cfg", None) or {}
    mean, std = (tuple(config.get(key) or usual) for key, usual in (("mean", MEAN), ("std", STD)))
    if (mean, std) == (MEAN, STD) or len(mean) != 3 or len(std) != 3:
        return (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    scale = tuple(usual / own for usual, own in zip(STD, std, strict=True))
    shift = tuple((usual - own) / deviation for usual, own, deviation in zip(MEAN, mean, std, strict=True))
    return scale, shift
