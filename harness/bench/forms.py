"""What the bench runs: shapes, and the forms of every operator. Shape letters as in operators/base.py."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators import MixTConv, TemporalOp, make_operator
from operators.stencil import missing

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FORMATS = ("contiguous", "channels_last")

SHAPES = {
    "resnet50": ("64@56", "256@56", "512@28", "1024@14", "2048@7"),
    "tiny": ("16@64", "32@32", "64@16", "128@8"),
}
"""Channels@pixels of what operators at `head` are given."""
INSERTIONS = {"64@56": 1, "256@56": 3, "512@28": 4, "1024@14": 6, "2048@7": 2}
"""How many blocks of ResNet-50 have an operator of that shape at `head`: 16."""
PUBLISHED = "published"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Where forms are compared: one tensor, one device, one number of threads."""

    shape: str  # channels@size
    clips: int
    frames: int
    dtype: str
    format: str
    threads: int  # 0 on a GPU

    @property
    def channels(self) -> int:
        return int(self.shape.split("@")[0])

    @property
    def size(self) -> int:
        return int(self.shape.split("@")[1])

    @property
    def bytes(self) -> int:
        """Of the tensor."""
        return self.clips * self.frames * self.channels * self.size**2 * DTYPES[self.dtype].itemsize

    def tensor(self, seed: int, device: torch.device, clips: int | None = None) -> Tensor:
        """Random numbers of this shape, dtype and memory format."""
        shape = (clips or self.clips, self.frames, self.channels, self.size, self.size)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DTYPES[self.dtype])
        if self.format == "channels_last":
            x = x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
        return x.to(device)

    def __str__(self) -> str:
        threads = f", {self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        return f"{self.shape}, {self.clips} x {self.frames} frames, {self.dtype}, {self.format}{threads}"


class Published(MixTConv):
    """MixTConv as its authors published it: permute, split, one grouped Conv3d per kernel size, concatenate.

    Not registered: the bench's baseline, and it gives contiguous clips back whatever it gets.
    """

    def forward(self, x: Tensor) -> Tensor:
        groups = x.transpose(1, 2).split([taps.shape[1] for taps in self.taps], dim=1)  # (N, C, T, H, W)
        mixed = [
            F.conv3d(
                group,
                taps.t()[:, None, :, None, None].to(x.dtype),
                padding=(len(taps) // 2, 0, 0),
                groups=taps.shape[1],
            )
            for group, taps in zip(groups, self.taps, strict=True)
        ]
        return torch.cat(mixed, dim=1).transpose(1, 2).contiguous()


@dataclass
class Form:
    """An operator in one implementation."""

    operator: str
    path: str
    op: nn.Module

    @property
    def name(self) -> str:
        return f"{self.operator} {self.path}"

    def exact(self) -> nn.Module:
        """The same operator in fp64 on a CPU, in the plainest form there is of it."""
        twin = copy.deepcopy(self.op).cpu().double()
        if isinstance(twin, Published):
            twin.__class__ = MixTConv  # type: ignore[assignment]
        if isinstance(twin, TemporalOp):
            twin.stencil_path = "reference"
        return twin


def forms(
    case: Case, operators: Sequence[str], paths: Sequence[str], device: torch.device
) -> tuple[list[Form], dict[str, str]]:
    """Every form of the operators, the same taps in each, and why a path that was asked for cannot run here.

    An operator that takes no stencil has one form, "own"; `identity` computes nothing and has none.
    """
    found, skipped = [], {}
    for name in operators:
        for path in paths if name != PUBLISHED else ["conv3d"]:
            op = _make(name, case).to(device)
            uses_stencil = name != PUBLISHED and _uses_stencil(op, case)
            if uses_stencil and (reason := missing(path, device)):
                skipped[path] = reason
                continue
            op.stencil_path = path if uses_stencil else "auto"
            found.append(Form(name, path if uses_stencil or name == PUBLISHED else "own", op))
            if not uses_stencil:
                break
    return found, skipped


def all_operators() -> list[str]:
    """The registry without `identity`, and the baseline."""
    return [*(name for name in sorted(TemporalOp.registry) if name != "identity"), PUBLISHED]


def _make(name: str, case: Case) -> TemporalOp:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == PUBLISHED:
            return Published(case.channels, case.frames, init="random")
        op = make_operator(
            name, case.channels, case.frames, **({"init": "random"} if name == "mixtconv" else {})
        )
        layers = [m for m in op.modules() if m is not op and not isinstance(m, nn.ParameterList)]
        # Layers and weights of convolutions have their clips' dtype; the stencil reads fp32 taps as they are.
        if layers or name in ("ordinary", "conv3d"):
            op = op.to(DTYPES[case.dtype])
        return op


def _uses_stencil(op: TemporalOp, case: Case) -> bool:
    """Whether the operator hands its path to the stencil: one that cannot exist is refused."""
    twin: Any = copy.deepcopy(op).cpu().float()
    x = torch.zeros(1, case.frames, case.channels, 1, 1)
    twin.stencil_path = "none such"
    try:
        twin(x)
    except ValueError as error:
        return "no stencil path" in str(error)
    return False
