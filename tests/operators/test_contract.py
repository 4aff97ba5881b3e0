"""The contract: what it refuses, what it allows, and the command that prints it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from harness.options import installed_version
from operators import Depthwise, Shift, TemporalOp
from operators.check import main
from operators.contract import ContractError, check, examine
from operators.promises import PROMISES


class MixesClips(TemporalOp):
    reach = 0

    def forward(self, x: Tensor) -> Tensor:
        return x + x.mean(dim=0, keepdim=True)


class MixesClipsOnceTrained(TemporalOp):
    """The identity as it starts."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.weight = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight * x.mean(0, keepdim=True)


class MixesClipsInTraining(TemporalOp):
    """By a mean over the batch of its own, which no table would name."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean((0, 1, 3, 4), keepdim=True) if self.training else 1.0 * x


class LooksFar(TemporalOp):
    reach = 1

    def forward(self, x: Tensor) -> Tensor:
        return x + x.mean(dim=1, keepdim=True)


class LooksAhead(TemporalOp):
    reach = 1
    causal = True

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.cat([x[:, 1:], x[:, :1] * 0], dim=1)


class GoesRound(TemporalOp):
    """x[t - 1], of the first frame the last: further than its reach, unless the ends are joined."""

    reach = 1

    def forward(self, x: Tensor) -> Tensor:
        return x + x.roll(1, dims=1)


class GoesRoundAndSaysSo(GoesRound):
    circular = True


class SeesMoreThanItSpans(TemporalOp):
    """Both neighbours, so two frames that are two apart."""

    reach = 1
    span = 1

    def forward(self, x: Tensor) -> Tensor:
        ahead = torch.cat([x[:, 1:], x[:, :1] * 0], dim=1)
        return x + ahead + torch.cat([x[:, :1] * 0, x[:, :-1]], dim=1)


class HasIdleWeight(TemporalOp):
    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.idle = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * self.idle.sum()


class HasDeadUnitNowAndThen(TemporalOp):
    """A single hidden ReLU, which is dead under one seed and alive under another."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.weight = nn.Parameter(torch.randn(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + self.weight.relu())


class LosesFormat(TemporalOp):
    def forward(self, x: Tensor) -> Tensor:
        return (2 * x).contiguous()


class DrawsOnItsOwn(TemporalOp):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn(x.shape, generator=torch.Generator().manual_seed(torch.seed())).to(x)


class ForgetsItsParameter(TemporalOp):
    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.weight = torch.ones(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class RemembersTheClipBefore(TemporalOp):
    last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        before, self.last = self.last, x[:, -1:].detach()
        return x if before is None or before.shape != self.last.shape else x + before


class MakesFp32(TemporalOp):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.zeros(x.shape)


class WritesIntoItsClips(TemporalOp):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach().mul_(2) + 0 * x


class Gated(TemporalOp):
    """Correct, with batch norm and a squeeze: C C / 2 MACs a frame whatever the pixels."""

    channels_multiple = 2

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.squeeze = nn.Linear(channels, channels // 2, bias=False)
        self.norm = nn.BatchNorm1d(channels // 2)
        self.expand = nn.Linear(channels // 2, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        z = self.squeeze(x.mean(dim=(3, 4)))
        z = self.norm(z.flatten(0, 1)).unflatten(0, z.shape[:2]).relu()
        return x * self.expand(z).sigmoid()[..., None, None]

    def macs(self, height: int, width: int) -> int:
        return self.channels**2 * self.num_frames


class OvercountsItsGate(Gated):
    def macs(self, height: int, width: int) -> int:
        return super().macs(height, width) * height * width


class Swaps(TemporalOp):
    """Gives (N, C, T, H, W) back."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class Raises(TemporalOp):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("no idea")


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        (MixesClipsOnceTrained, "changing one clip changed another"),
        (MixesClipsInTraining, "changing one clip changed another in training"),
        (ForgetsItsParameter, "weight is a plain tensor"),
        (
            RemembersTheClipBefore,
            "two outputs in training; begin each clip anew: last is kept from the clip before",
        ),
        (MakesFp32, "bfloat16 clips came back as torch.float32"),
        (MixesClips, "changing one clip changed another"),
        (LooksFar, "reach is 1, but frame 0 moved 2"),
        (LooksAhead, "frame 1 moved 0, which comes before it"),
        (GoesRound, "reach is 1, but frame 7 moved 0; state at least reach = 7"),
        (SeesMoreThanItSpans, "span is 1, but frames 0 and 2 both moved 1; state at least span = 2"),
        (HasIdleWeight, "of idle get no gradient"),
        (LosesFormat, "a channels_last clip came back"),
        (DrawsOnItsOwn, "two outputs"),
        (WritesIntoItsClips, "the clips changed"),
        (OvercountsItsGate, "macs says 491,520 at 5 x 3 pixels, torch counts 32,768"),
    ],
)
def test_contract_names_the_promise_that_an_operator_breaks(operator: type[TemporalOp], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        check(operator)


@pytest.mark.parametrize("operator", [Gated, GoesRoundAndSaysSo, HasDeadUnitNowAndThen])
def test_contract_allows_what_is_correct(operator: type[TemporalOp]) -> None:
    check(operator)


def test_every_promise_is_tried_even_where_the_operator_raises() -> None:
    outcomes = examine(Raises)
    assert len(outcomes) == len(PROMISES)
    (found,) = {o.found for o in outcomes if not o.kept}
    assert re.fullmatch(r"RuntimeError: no idea \(test_contract\.py:\d+\)", found)


def test_a_wrong_shape_is_all_that_is_found_of_it() -> None:
    found = [o.found for o in examine(Swaps) if not o.kept]
    assert all("shape (" in one for one in found)
    assert "shape (2, 8, 64, 5, 3) became (2, 64, 8, 5, 3)" in found


def test_batch_statistics_are_named() -> None:
    assert Gated(8, 4).uses_batch_statistics
    assert not Shift(8, 4).uses_batch_statistics
    (clips,) = [o for o in examine(Gated) if o.promise == "never mixes clips"]
    assert "in training it uses batch statistics" in clips.tried


def test_channels_that_do_not_fit_are_refused_before_anything_is_tried() -> None:
    with pytest.raises(ValueError, match=r"channels: 15 is no multiple of 2, as .*Gated needs"):
        check(Gated, channels=15)


def test_kernels_longer_than_the_clip_are_tried_on_a_longer_one() -> None:
    """15 taps reach 7 frames: of 4 frames, the outer taps would see none."""
    check(Depthwise, frames=4, kernel_size=15)


def test_the_draws_of_whoever_checks_stay_as_they_were() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    check(Shift)
    assert torch.equal(torch.rand(3), expected)


def test_the_command_prints_every_promise_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shift", "--channels", "16", "--set", "shift_div=4"]) == 0
    out = capsys.readouterr().out
    assert out.count("✓") == len(PROMISES)
    last = "Shift: 14 of 14 promises kept, with 16 channels and 8 frames; of 1 nothing was tried\n"
    assert out.endswith(last)  # it looks at later frames, so there is no stream to try


OWN = """
from operators import TemporalOp

class Far(TemporalOp):
    reach = 0
    def __init__(self, channels, num_frames, by=1):
        super().__init__(channels, num_frames)
        self.by = by
    def forward(self, x):
        return x + x.roll(self.by, dims=1)
"""


def test_the_command_says_what_is_broken_what_to_do_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_far.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert main(["own_far.Far", "--set", "by=2"]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("✗ looks no further than its reach")
    assert lines[at + 1] == "    found: reach is 0, but frame 0 moved 2"
    assert lines[at + 2] == "    do:    state at least reach = 2; num_frames - 1 is the whole clip"
    assert lines[-1].startswith("Far: 12 of 14 promises kept")


LEAVES = """
import sys
from operators import TemporalOp

class Leaves(TemporalOp):
    reach = 0
    def forward(self, x):
        sys.exit(0)

class Asked(TemporalOp):
    @property
    def reach(self):
        sys.exit(0)

class Silent(TemporalOp):
    def __init__(self, channels, num_frames):
        raise ValueError
"""


def test_an_operator_that_leaves_keeps_no_promise_by_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_leaves.py").write_text(LEAVES)
    monkeypatch.chdir(tmp_path)
    assert main(["own_leaves.Leaves"]) == 1
    assert "    found: its code called sys.exit(0) (own_leaves.py:8)" in capsys.readouterr().out
    assert main(["own_leaves.Asked"]) == 2
    assert capsys.readouterr().err == "error: own_leaves.Asked: its code called sys.exit(0)\n"
    assert main(["own_leaves.Silent"]) == 2
    assert capsys.readouterr().err == "error: own_leaves.Silent: ValueError\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["shfit"], "no operator 'shfit'; did you mean 'shift'?"),
        (["nowhere.Op"], "no module 'nowhere'"),
        (["shift", "--set", "div=4"], "div: operator 'shift' has no such setting"),
        (["shift", "--channels", "4"], "shift_div: 8 is not between 2 and the 4 channels"),
        (["mixtconv", "--set", "kernel_sizes=3"], "TypeError"),
    ],
)
def test_what_cannot_be_checked_is_one_line_and_exit_2(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert error.startswith("error: ")


@pytest.mark.parametrize("argv", [["shift", "--channels", "0"], ["shift", "--set", "x"], []])
def test_a_command_line_that_cannot_be_read_ends_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2


def test_the_version_is_that_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"mixtbench {installed_version()}\n"
