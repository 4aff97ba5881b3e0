"""What one trial gets: processors, GPUs, processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from harness.errors import StudyError


@dataclass(frozen=True, kw_only=True)
class ResolvedResources:
    """What one trial gets on this machine, in numbers. A GPU that is shared is a part of 1."""

    cpus: float
    gpus: float
    ranks: int

    def check(self, there: Mapping[str, float]) -> None:
        """Refuse to ask for more than there is: "cpus" and "gpus".

        Raises:
            StudyError: no trial could ever start.
        """
        for name, has in there.items():
            wanted = getattr(self, name)
            if wanted > has:
                raise StudyError(
                    f"resources.{name}: {wanted:g} asked for each trial, but there are {has:g} here"
                )


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one trial gets, as a study writes it.

    cpus: processors of a trial.
    gpus: may be a fraction, or "auto": where this machine has any, one for each of its processes.
    ranks: processes that train a trial together, each on its part of every batch; "auto" is one for each whole GPU.
    """

    cpus: float = 1.0
    gpus: float | str = "auto"
    ranks: int | str = "auto"

    def __post_init__(self) -> None:
        if self.cpus <= 0:
            raise ValueError(f"cpus: {self.cpus:g} is not above 0")
        if isinstance(self.gpus, str) and self.gpus != "auto":
            raise ValueError(f"gpus: {self.gpus!r} is neither a number nor auto")
        if isinstance(self.gpus, float) and self.gpus < 0:
            raise ValueError(f"gpus: {self.gpus:g} is below 0")
        if isinstance(self.gpus, float) and self.gpus > 1 and not self.gpus.is_integer():
            rule = "is above 1 and not whole; a trial shares one GPU, or has several"
            raise ValueError(f"gpus: {self.gpus:g} {rule}")
        if isinstance(self.ranks, str) and self.ranks != "auto":
            raise ValueError(f"ranks: {self.ranks!r} is neither a whole number nor auto")
        if isinstance(self.ranks, int) and self.ranks < 1:
            raise ValueError(f"ranks: {self.ranks} is below 1")
        shares_one = self.ranks == 1 and isinstance(self.gpus, float) and self.gpus < 1
        if self.ranks != "auto" and self.gpus not in ("auto", 0, self.ranks) and not shares_one:
            rule = "each process has one GPU: leave ranks out"
            raise ValueError(f"ranks: {self.ranks} processes with {self.gpus:g} gpus; {rule}")

    def resolved(self) -> ResolvedResources:
        """With "auto" replaced by what this machine has."""
        gpus, ranks = self.gpus, self.ranks
        if isinstance(gpus, str):
            each = 1 if isinstance(ranks, str) else ranks
            gpus = float(each) if torch.cuda.is_available() else 0.0
        if isinstance(ranks, str):
            ranks = max(1, int(gpus))
        return ResolvedResources(cpus=self.cpus, gpus=gpus, ranks=ranks)
