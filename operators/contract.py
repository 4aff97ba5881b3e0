"""What every operator promises, tried on any operator, also on one from outside.

    from operators.contract import check
    check(MyOperator, channels=64, frames=8, my_setting=3)

`python -m operators.check my_op.MyOperator` prints the same, promise by promise.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from operators.base import TemporalOp
from operators.promises import PROMISES, BrokenError, Case, in_a_line


class ContractError(AssertionError):
    """An operator breaks the contract of TemporalOp; the text says which promises, and how."""


@dataclass(frozen=True)
class Outcome:
    """One promise, tried.

    Attributes:
        promise: in words.
        tried: what was tried, where it is kept.
        found: what breaks it; "" where it is kept.
        remedy: what to do about it; "" where it is kept.
    """

    promise: str
    tried: str = ""
    found: str = ""
    remedy: str = ""

    @property
    def kept(self) -> bool:
        return not self.found


def examine(
    operator: type[TemporalOp], *, channels: int = 64, frames: int = 8, **settings: Any
) -> list[Outcome]:
    """Try every promise of the contract.

    Args:
        channels: C.
        frames: T; more are taken where the operator reaches further than they are.
        settings: the operator's own.

    Raises:
        ValueError, TypeError: the operator refuses its settings or these channels.
    """
    return list(outcomes(operator, channels=channels, frames=frames, **settings))


def outcomes(operator: type[TemporalOp], *, channels: int, frames: int, **settings: Any) -> Iterator[Outcome]:
    """`examine`, one promise after the other: so one sees at which an operator hangs, or ends the process."""
    with torch.random.fork_rng(devices=[]):
        reach = operator(channels, frames, **settings).reach or 0
    case = Case(operator, channels, frames if reach < frames else reach + 2, settings)
    for promise in PROMISES:
        yield _outcome(promise, case)


def check(operator: type[TemporalOp], *, channels: int = 64, frames: int = 8, **settings: Any) -> None:
    """`examine`, for those who want to hear of broken promises only.

    Raises:
        ContractError: names every promise that is broken, and what to do.
        ValueError, TypeError: the operator refuses its settings or these channels.
    """
    broken = [one for one in examine(operator, channels=channels, frames=frames, **settings) if not one.kept]
    if broken:
        lines = [f"{one.promise}: {one.found}; {one.remedy}" for one in broken]
        raise ContractError("\n".join([f"{operator.__name__} breaks {len(broken)} promises:", *lines]))


def _place(error: BaseException) -> str:
    """` (file:line)` in the operator's own file; "" where torch was called from none."""
    outside = (Path(torch.__file__).parent, Path(__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not any(Path(f.filename).is_relative_to(folder) for folder in outside)]
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""


def _outcome(promise: Callable[[Case], str], case: Case) -> Outcome:
    words = promise.__name__.replace("_", " ")
    state = torch.get_rng_state()
    try:
        return Outcome(words, tried=promise(case))
    except BrokenError as broken:
        return Outcome(words, found=str(broken), remedy=broken.remedy)
    except (Exception, SystemExit) as error:  # whatever an operator of somebody's own raises
        found = f"{in_a_line(error)}{_place(error)}"
        return Outcome(words, found=found, remedy="forward is given (N, T, C, H, W)")
    finally:
        torch.set_rng_state(state)
