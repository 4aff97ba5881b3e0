"""Several processes ("ranks") that train one trial together: how they are started, watched, and what they exchange.

Ranks are spawned by the process that was given the trial, inside whatever it reserved for it; nothing here schedules.
All ranks of a trial are on one machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from harness.train.processes import end_with, how_it_ended, without_ctrl_c

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """One rank among `size`. Alone, nothing is exchanged, and torch.distributed is never touched."""

    rank: int = 0
    size: int = 1

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The network whose backward pass averages gradients over all ranks."""
        if self.size == 1:
            return model
        ids = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=ids)

    def unsynchronised(self, network: nn.Module) -> contextlib.AbstractContextManager[None]:
        """Meanwhile gradients add up in each rank alone."""
        if isinstance(network, nn.parallel.DistributedDataParallel):
            return network.no_sync()
        return contextlib.nullcontext()

    def counts(self, own: int) -> list[int]:
        """A whole number of every rank, in their order."""
        if self.size == 1:
            return [own]
        parts = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        torch.distributed.all_gather(parts, torch.tensor([own]))
        return [int(part) for part in parts]

    def sums(self, own: Sequence[float]) -> list[float]:
        """Numbers summed over all ranks."""
        if self.size == 1:
            return list(own)
        total = torch.tensor(own, dtype=torch.float64)
        torch.distributed.all_reduce(total)
        return total.tolist()

    def gather(self, own: T) -> list[T]:
        """An object of every rank, in their order."""
        if self.size == 1:
            return [own]
        parts: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(parts, own)
        return parts

    def share_buffers(self, model: nn.Module) -> None:
        """Rank 0's running statistics for all. DDP does so before a training pass; here before an evaluation."""
        if self.size > 1:
            for buffer in model.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def leave(self) -> None:
        """Part from the other ranks, once all are here."""
        if self.size > 1:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()


ALONE = World()


class RankError(Exception):
    """A rank ended before its work was done.

    Attributes:
        details: its traceback; "" where the process died without a word.
    """

    def __init__(self, reason: str, details: str) -> None:
        super().__init__(reason)
        self.details = details


class _Message(NamedTuple):
    kind: str  # "said", "finished" or "failed"
    content: Any
    at: float = 0.0


class _Failure(NamedTuple):
    at: float  # on the clock that all processes of a machine share; -inf for one that others only followed
    reason: str
    details: str


Say = Callable[[Any], None]


def launch(
    target: Callable[..., None],
    size: int,
    args: tuple[Any, ...],
    *,
    on_message: Callable[[Any], None],
    reason_of: Callable[[BaseException], str],
    rendezvous: Path,
    cuda: bool,
) -> None:
    """Run `target(world, say, *args)` in `size` fresh processes and wait for all of them.

    Whatever ends this call, an exception of `on_message` included, ends the ranks too; should this process be killed,
    the kernel ends them (on Linux).

    Args:
        target: a function of an importable module; what it hands to `say` arrives in `on_message`, in this process.
        reason_of: turns a rank's exception into one line, in the rank.
        rendezvous: a file that is not there yet, by which ranks find each other.
        cuda: rank r uses GPU r of those that this process sees.

    Raises:
        RankError: of the rank that was first in failing; the others were ended.
    """
    context = get_context("spawn")
    rendezvous.parent.mkdir(parents=True, exist_ok=True)
    ranks: dict[connection.Connection, tuple[int, SpawnProcess]] = {}
    try:
        for rank in range(size):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_rank_main,
                args=(target, World(rank, size), args, theirs, reason_of, rendezvous, cuda, os.getpid()),
                name=f"rank{rank}",
            )
            with without_ctrl_c():
                process.start()
            theirs.close()  # so that the pipe ends with the rank
            ranks[ours] = rank, process
        failures = _watch(dict(ranks), on_message)
        if failures:
            first = min(failures)
            raise RankError(first.reason, first.details)
    finally:
        for pipe, (_, process) in ranks.items():
            if process.is_alive():
                process.kill()
            process.join()
            pipe.close()
        rendezvous.unlink(missing_ok=True)


def _watch(
    running: dict[connection.Connection, tuple[int, SpawnProcess]], on_message: Callable[[Any], None]
) -> list[_Failure]:
    """Pass on what ranks say until all have finished, or until a second after the first one failed.

    That second is for telling the rank that failed from those that lost it: their errors may be read first.
    """
    failures: list[_Failure] = []
    deadline = float("inf")
    while running and time.monotonic() < deadline:
        for pipe in connection.wait(list(running), timeout=0.5):
            assert isinstance(pipe, connection.Connection)
            try:
                message: _Message = pipe.recv()
            except (EOFError, OSError):
                failures.append(_death(*running.pop(pipe)))
                continue
            if message.kind == "said":
                on_message(message.content)
                continue
            if message.kind == "failed":
                failures.append(_Failure(message.at, *message.content))
            del running[pipe]
        # A rank's data loaders hold its pipe open for some seconds after it has died.
        for pipe, (_, process) in list(running.items()):
            if process.exitcode is not None and not pipe.poll():
                failures.append(_death(*running.pop(pipe)))
        if failures:
            deadline = min(deadline, time.monotonic() + 1.0)
    return failures


def _death(rank: int, process: SpawnProcess) -> _Failure:
    process.join(5)
    code = process.exitcode or 0
    # A killed process explains its peers' errors; one that aborts may itself have followed another's.
    at = time.monotonic() if code == -signal.SIGABRT else float("-inf")
    return _Failure(at, f"the process of rank {rank} {how_it_ended(code)}", "")


def _rank_main(
    target: Callable[..., None],
    world: World,
    args: tuple[Any, ...],
    pipe: connection.Connection,
    reason_of: Callable[[BaseException], str],
    rendezvous: Path,
    cuda: bool,
    parent: int,
) -> None:
    end_with(parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Said of 1x1 weights in channels_last.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    if sys.platform.startswith("linux"):  # all ranks are here; nothing listens to the network
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if cuda:
        torch.cuda.set_device(world.rank)
    try:
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            init_method=f"file://{rendezvous}",
            rank=world.rank,
            world_size=world.size,
            timeout=timedelta(minutes=30),
        )
        target(world, lambda content: pipe.send(_Message("said", content)), *args)
    except BaseException as error:  # sys.exit of an operator too
        details = f"rank {world.rank} of {world.size}\n{traceback.format_exc()}"
        pipe.send(_Message("failed", (reason_of(error), details), time.monotonic()))
        time.sleep(
            60
        )  # whoever launched us ends us; leaving now would fail the others with errors of their own
    else:
        pipe.send(_Message("finished", None))
