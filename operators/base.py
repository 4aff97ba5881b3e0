"""TemporalOp: the contract every temporal operator keeps, and the registry that finds one by name.

Shape letters, used in every file of this package: N clips, T frames of a clip, C channels,
H height, W width. A clip tensor is (N, T, C, H, W); its memory is either contiguous, or has the
channels innermost (`channels_last` once N and T are flattened).
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class Facts:
    """What a table says of an operator, at its default settings.

    The last three are expressions in C, T, H and W without a times sign: `3 C T H W`, `2 C^2 / 16`, `T - 1`.
    Tests hold them to what the operator is.

    Attributes:
        title: what its paper calls it.
        venue, year: where and when it was published.
        formula: y, from x, in a line.
        parameters, macs: how many numbers learn, and multiply-adds of one clip.
        reach: frames to each side.
        also: other names under which it is found.
        blind: why it cannot tell which way something moves, however far it looks; "" where it can.
    """

    title: str
    venue: str
    year: int
    formula: str
    parameters: str
    macs: str
    reach: str
    also: tuple[str, ...] = ()
    blind: str = ""


State = tuple[Tensor, ...]
"""What an operator remembers of a stream; each tensor has a row a clip."""


def check_same(frame: Tensor, state: State) -> None:
    """Raises ValueError where a stream's frame has another size than the one before, of which `state` holds tensors
    (N, C', H, W)."""
    if state and state[-1].shape[-2:] != frame.shape[-2:]:
        height, width = state[-1].shape[-2:]
        raise ValueError(
            f"a frame of {frame.shape[-1]}x{frame.shape[-2]} after frames of {width}x{height}: frames of a stream "
            "have one size; begin a new stream"
        )


class TemporalOp(nn.Module):
    """Mixes the frames of each clip. Subclass it with a name and it is registered:

        class Mean(TemporalOp, name="mean"):
            def forward(self, x):
                return x.mean(dim=1, keepdim=True).expand_as(x).contiguous()

    The contract, which `operators.contract.check` tests:

    - `forward` takes (N, T, C, H, W) and returns the same shape and dtype, and keeps the memory format;
    - in eval, a clip never influences another clip, a frame never one further away than `reach`; in training,
      only batch norm inside the operator may mix clips;
    - every parameter learns;
    - the same seed gives the same parameters and the same output;
    - where it has a `step`, a stream gives what a clip gives.

    Args:
        channels: C.
        num_frames: T.

    Attributes:
        reach: how many frames the operator looks to each side, num_frames - 1 for all; None where that is not stated.
        span: how far apart two frames may be on which one frame of the output depends: twice the reach, the reach of
            a causal operator. One that looks further to one side than to the other says it; None where not stated.
        causal: it looks at the past alone.
        circular: the first frame and the last are neighbours.
        channels_multiple: C must be a multiple of it.
        stencil_path: which implementation `operators.stencil` takes, for operators that hand it on.
        made_with: the settings that `make_operator` was given for it.
        facts: what tables say of it, for operators of the zoo.

    Raises:
        ValueError: C or T is below 1, or C is no multiple of `channels_multiple`.
    """

    registry: ClassVar[dict[str, type[TemporalOp]]] = {}
    name: ClassVar[str] = ""
    facts: ClassVar[Facts | None] = None
    reach: int | None = None
    causal: bool = False
    circular: bool = False
    channels_multiple: ClassVar[int] = 1
    stencil_path: str = "auto"
    made_with: Mapping[str, Any] = MappingProxyType({})

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = name or f"{cls.__module__}.{cls.__qualname__}"
        if name:
            known = TemporalOp.registry.get(name)
            if known is not None and (known.__module__, known.__qualname__) != (
                cls.__module__,
                cls.__qualname__,
            ):
                raise ValueError(
                    f"operator name {name!r} is taken by {known.__module__}.{known.__qualname__}"
                )
            TemporalOp.registry[name] = cls

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__()
        for what, value in (("channels", channels), ("num_frames", num_frames)):
            if value < 1:
                raise ValueError(f"{what}: {value} is below 1")
        if channels % self.channels_multiple:
            raise ValueError(
                f"channels: {channels} is no multiple of {self.channels_multiple}, as {self.name} needs"
            )
        self.channels = channels
        self.num_frames = num_frames

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether clips meet in training, in the means of a batch norm."""
        return any(isinstance(module, _BatchNorm) for module in self.modules())

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C, H, W) -> the same shape, dtype and memory format."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    @property
    def span(self) -> int | None:
        return None if self.reach is None else self.reach * (1 if self.causal else 2)

    def step(self, frame: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """One frame of a stream: what `forward` gives for the last frame of a clip of all frames so far.

        Here for operators that look at one frame alone, and for causal ones that are one filter per channel; other
        causal ones write their own.

        Args:
            frame: (N, C, H, W).
            state: what the step before returned; empty at a stream's beginning. It may hold frames themselves: do
                not write into them.

        Returns:
            (N, C, H, W) in the frame's dtype and memory format, and the state for the next frame.

        Raises:
            ValueError: the operator cannot be run on a stream; or the frame has another shape than those before.
        """
        if self.reach == 0:
            return self.forward(frame.unsqueeze(1)).squeeze(1), ()
        if reason := self.no_stream():
            raise ValueError(reason)
        filtered = self.kernel()
        assert filtered is not None
        offsets, weights = filtered
        depth = -min(offsets)
        taps = dict(zip(offsets, weights[:, :, None, None], strict=True))
        wide = torch.promote_types(frame.dtype, torch.float32)
        check_same(frame, state)
        y = frame.to(wide) * taps[0].to(wide)
        for back in range(
            min(depth, len(state)), 0, -1
        ):  # the oldest first, as operators.stencil adds them up
            y.addcmul_(state[-back].to(wide), taps[-back].to(wide))
        return y.to(frame.dtype), (*state, frame)[-depth:] if depth else ()

    def no_stream(self) -> str:
        """Why the operator cannot be run on a stream, frame by frame; "" where it can."""
        if self.reach == 0 or type(self).step is not TemporalOp.step:
            return ""
        if not self.causal:
            return f"{self.name} looks at later frames too: it runs on whole clips, not on a stream"
        if self.kernel() is None:
            return (
                f"{self.name} is causal, but has no `step`: how it goes on from frame to frame is not written"
            )
        return ""

    def macs(self, height: int, width: int) -> int | None:
        """Multiply-adds for one clip, taps outside the clip counted; None where it is not stated."""
        return None

    def kernel(self) -> tuple[list[int], Tensor] | None:
        """The filter that the operator is, where it is one filter per channel along time.

        Returns:
            Offsets in frames, -1 reads the frame before, and their weights (offsets, C); None where the operator
            is something else, or does not say.
        """
        return None


def find_operator(name: str) -> type[TemporalOp]:
    """The class registered as `name`, one known by it elsewhere (`tsm` is `shift`), or the one at a dotted path
    `package.module.Class`.

    Raises:
        ValueError: nothing of that name; the message offers the nearest one.
    """
    if "." in name:
        found = at_path(name, "operator")
        if not (isinstance(found, type) and issubclass(found, TemporalOp)):
            raise ValueError(
                f"name: {name!r} is not a subclass of TemporalOp; derive it from operators.TemporalOp"
            )
        return found
    others = {other: cls for cls in TemporalOp.registry.values() if cls.facts for other in cls.facts.also}
    known = others | TemporalOp.registry  # a name goes before another's other name
    if name not in known:
        hint = _nearest(name, known, shown=TemporalOp.registry)
        own = "" if "did you mean" in hint else "; one of your own is my_file.MyClass"
        raise ValueError(f"name: no operator {name!r}{own}{hint}")
    return known[name]


def at_path(path: str, what: str, setting: str = "name") -> Any:
    """What stands at a dotted path `package.module.name`, of the user's own.

    Args:
        what, setting: what it is, and which setting names it, for messages.

    Raises:
        ValueError: no such module, or nothing of that name in it.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the user's module was found; something that it imports was not
        raise ValueError(
            f"{setting}: no module {module_name!r} for {what} {path!r}; put its folder on PYTHONPATH, "
            "or the file beside the study"
        ) from None
    found = getattr(module, name, None)
    if found is None:
        known = [key for key, value in vars(module).items() if callable(value)]
        raise ValueError(f"{setting}: {module_name} has no {name!r}{_nearest(name, known)}")
    return found


def make_operator(name: str, channels: int, num_frames: int, **settings: Any) -> TemporalOp:
    """Build an operator from a registered name or a dotted path.

    Raises:
        ValueError: an unknown name or setting, or a value that the operator refuses.
    """
    cls = find_operator(name)
    parameters = inspect.signature(cls.__init__).parameters.values()
    known = [p.name for p in parameters if p.name not in ("self", "channels", "num_frames")]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for setting in settings:
            if setting not in known:
                raise ValueError(
                    f"{setting}: operator {name!r} has no such setting{_nearest(setting, known)}"
                )
    required = [p.name for p in parameters if p.default is p.empty and p.name in known]
    missing = [r for r in required if r not in settings and r != "kwargs" and r != "settings"]
    if missing:
        raise ValueError(f"{missing[0]}: operator {name!r} needs this setting")
    try:
        inspect.signature(cls).bind(channels, num_frames, **settings)
    except TypeError as error:
        raise ValueError(
            f"name: operator {name!r} is not made as {cls.__name__}(channels, num_frames, **settings): {error}"
        ) from None
    op = cls(channels, num_frames, **settings)
    op.made_with = settings
    return op


def _nearest(name: str, known: Any, shown: Any = None) -> str:
    lower = {str(one).lower(): one for one in known}
    close = difflib.get_close_matches(str(name).lower(), lower, n=1)
    if close:
        return f"; did you mean {lower[close[0]]!r}?"
    return f"; known: {', '.join(sorted(shown or known)) or 'none'}"
