"""Latencies and profiles of several networks, taken together in a process of its own.

Nothing that an operator does there reaches the process that asked: neither its end, nor the state of torch that it
leaves behind, nor the memory that the networks take. A network that cannot be measured keeps the others from nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from harness import machine
from harness.cost import latency, profiling
from harness.cost.config import CostConfig
from harness.cost.counting import has_own_code
from harness.cost.latency import Timings, Variants
from harness.errors import in_a_line
from harness.outside import own_source
from harness.train import apart


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be measured.

    networks: by name.
    timed: those of which latencies are taken.
    stepped: those of which a training step is profiled, and where its trace goes; None for nowhere.
    threads: of torch, inside an operation.
    """

    config: CostConfig
    networks: Variants
    timed: tuple[str, ...]
    stepped: Mapping[str, Path | None]
    device: torch.device
    channels_last: bool
    threads: int

    def of(self, names: list[str]) -> Order:
        """The same, of some of its networks."""
        return dataclasses.replace(
            self,
            networks={name: self.networks[name] for name in names},
            timed=tuple(name for name in self.timed if name in names),
            stepped={name: trace for name, trace in self.stepped.items() if name in names},
        )


@dataclass
class Measured:
    """What was found, by network.

    forward_share: part (0 to 1) of a forward pass's time spent in temporal operators.
    failed: why a network could not be measured, in a line.
    """

    timings: dict[str, Timings] = field(default_factory=dict)
    forward_share: dict[str, float] = field(default_factory=dict)
    steps: dict[str, profiling.Profile] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def measure(order: Order, progress: Callable[[int, int], None]) -> Measured:
    """Measure all networks by turns. Where that fails, those with code of the user's own are tried alone; whichever
    fails then is left out, and the others are measured."""
    found = _attempt(order, progress)
    if isinstance(found, Measured):
        return found
    failed = {}
    for name, (model, _) in order.networks.items():
        if has_own_code(model) and isinstance(why := _attempt(_once(order.of([name])), _quiet), str):
            failed[name] = why
    left = [name for name in order.networks if name not in failed]
    again = _attempt(order.of(left), progress) if failed and left else found
    if isinstance(again, str):  # of none in particular: all together take too much memory, perhaps
        again = Measured(failed=dict.fromkeys(left, again))
    again.failed |= failed
    return again


def _once(order: Order) -> Order:
    """One round, and no trace."""
    return dataclasses.replace(
        order,
        config=dataclasses.replace(order.config, repeats=1),
        stepped=dict.fromkeys(order.stepped),
    )


def _quiet(done: int, total: int) -> None:
    """Progress that nobody sees."""


def _attempt(order: Order, progress: Callable[[int, int], None]) -> Measured | str:
    """What was found; or why nothing was, in a line."""
    with contextlib.closing(apart.run(apart.Work(call=pickle.dumps((_measure, (order,)))))) as told:
        for said in told:
            if "progress" in said:
                progress(*said["progress"])
            elif "record" in said:
                found: Measured | str = said["record"]
                return found
    return str(said["died"])


def _measure(say: Callable[[apart.Said], None], order: Order) -> None:
    """What the process does."""
    machine.keep_freed_memory()
    try:
        for model, _ in order.networks.values():
            own_source(*model.own_code)  # imports it, which may do anything to torch
        machine.plain_torch()
        torch.set_num_threads(order.threads)
        found: Measured | str = _taken(order, lambda done, total: say({"progress": (done, total)}))
    except (Exception, SystemExit) as error:  # of an operator of somebody's own, or for want of memory
        found = in_a_line(error)
    say({"record": found})


def _taken(order: Order, progress: Callable[[int, int], None]) -> Measured:
    found = Measured()
    cases = latency.build(order.config, order.networks, order.device, order.channels_last)
    if order.timed:
        timed = {name: cases[name] for name in order.timed}
        found.timings = latency.measure(order.config, timed, order.device, progress)
        found.forward_share = {
            name: profiling.profile_forward(case).temporal_share for name, case in timed.items()
        }
    found.steps = {name: profiling.profile_step(cases[name], trace) for name, trace in order.stepped.items()}
    return found
