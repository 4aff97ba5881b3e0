"""What must hold on a device, a function each: it says what it measured, or raises what is wrong.

A function's name is the promise in words.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from harness.bench import timing
from harness.bench.forms import FORMATS, PUBLISHED, Case, all_operators, forms
from harness.cost.graphs import captured
from harness.data.batches import TrainBatches
from harness.data.config import DataConfig
from harness.data.dataset import DataSet, open_data
from harness.errors import first_line, in_a_line
from harness.gpu.place import Place, refusal, usable
from harness.machine import tf32
from harness.model.config import ModelConfig
from harness.records import TrialRecord
from harness.train import ranks
from harness.train.loop import fit
from harness.train.recipe import TrainConfig
from harness.train.settings import Settings
from harness.train.trial import Job, run_trial
from operators.stencil import meant

LIKE_THE_CPU = 1e-3
"""How far a loss may be off, relative, after an epoch of few steps in fp32 without TF32."""


PATIENCE = 40
"""Seconds for processes that work together: where NCCL waits in vain, the checks that follow still have their turn."""


class NotHereError(Exception):
    """What a check needs is not here: it was not run."""


def _settings(stencil: str, **train: Any) -> Settings:
    recipe = {"epochs": 2, "batch_size": 12, "lr": 0.01, "validate_every": 1, "probes": False, **train}
    return Settings(
        model=ModelConfig(backbone="resnet_tiny", operator={"name": "mixtconv"}, stencil=stencil),
        data=DataConfig(
            dataset={
                "name": "generated",
                "task": "strobe",
                "levels": [1, 2],
                "train_clips": 48,
                "val_clips": 16,
                "containers": ["npy"],
            },
            num_frames=8,
            short_side=16,
            crop=16,
            scales=(1.0,),
        ),
        train=TrainConfig(**recipe),
    )


def _data(place: Place) -> DataSet:
    return open_data(_settings(place.stencil).data, place.folder / "data")


def _trained(place: Place, device: torch.device, **train: Any) -> tuple[nn.Module, list[float]]:
    """The network, and its training losses."""
    stencil = place.stencil if device == place.device else "auto"
    model, state, _ = fit(_settings(stencil, **train), 0, _data(place), device)
    return model, [entry["train/loss"] for entry in state.history]


@contextlib.contextmanager
def exactly() -> Iterator[None]:
    """Without TF32, and with deterministic kernels."""
    torch.use_deterministic_algorithms(True)
    try:
        with tf32(False):
            yield
    finally:
        torch.use_deterministic_algorithms(False)


def _names(place: Place) -> list[str]:
    """Of all operators; quick of a quarter of them."""
    return [name for name in all_operators() if name != PUBLISHED][:: 4 if place.quick else 1]


def _paths(place: Place) -> list[str]:
    """The stencil's on this device; one that cannot run has failed a check of its own."""
    return ["triton", "eager"] if place.on_gpu and place.stencil != "eager" else ["eager"]


def the_stencils_default_path_runs_here(place: Place) -> str:
    path = meant("auto", place.device)
    assert not (reason := refusal(place.device, path)), (
        f"{path}: {reason}. Triton needs a C compiler and Python's headers (gcc, python3-dev)"
    )
    return path


def every_operator_is_its_fp64_self_in_fp32(place: Place) -> str:
    return _exact(place, "fp32")


def every_operator_is_its_fp64_self_in_bf16(place: Place) -> str:
    return _exact(place, "bf16")


def every_operator_is_its_fp64_self_in_fp16(place: Place) -> str:
    return _exact(place, "fp16")


def _exact(place: Place, dtype: str) -> str:
    """On every path: output and gradients, clips apart, memory format kept."""
    wrong, tried, worst = [], 0, 0.0
    with exactly():
        for layout in FORMATS:
            case = Case(shape="16@7", clips=2, frames=8, dtype=dtype, format=layout, threads=0)
            found, _ = forms(case, _names(place), _paths(place), place.device)
            for one in timing.prepare(found, case, place.device):
                tried += 1
                if one.failed:
                    wrong.append(f"{one.form.name}, {case.dtype}, {case.format}: {one.failed}")
                if one.errors:
                    worst = max(worst, *one.errors)
    if wrong:
        raise AssertionError(f"{len(wrong)} of {tried} forms: {_some(wrong)}")
    return f"{tried} forms; the largest relative error: {worst:.1e}"


def every_operator_repeats_to_the_bit(place: Place) -> str:
    """Forward and backward, twice."""
    wrong = []
    case = Case(shape="16@7", clips=2, frames=8, dtype="fp32", format="channels_last", threads=0)
    found, _ = forms(case, _names(place), _paths(place), place.device)
    x, g = case.tensor(1, place.device).requires_grad_(), case.tensor(2, place.device)
    with exactly():
        for one in found:
            try:
                runs = [_both(one.op, x, g) for _ in range(2)]
            except RuntimeError as error:  # it has no kernel that repeats, perhaps
                wrong.append(f"{one.name}: {first_line(error)}")
                continue
            if not all(torch.equal(a, b) for a, b in zip(*runs, strict=True)):
                wrong.append(f"{one.name}: other bits")
    if wrong:
        raise AssertionError(f"{len(wrong)} of {len(found)} forms: {_some(wrong)}")
    return f"{len(found)} forms"


def _some(wrong: list[str], most: int = 8) -> str:
    print("\n".join(wrong), flush=True)
    more = f"; {len(wrong) - most} more are in the terminal" if len(wrong) > most else ""
    return "; ".join(wrong[:most]) + more


def _both(op: nn.Module, x: torch.Tensor, g: torch.Tensor) -> list[torch.Tensor]:
    y = op(x)
    return [y, *torch.autograd.grad(y, [x, *op.parameters()], g)]


def a_trial_learns_as_on_the_cpu(place: Place) -> str:
    """One epoch of four steps; on the CPU the stencil's default path."""
    with exactly():
        ours = _trained(place, place.device, epochs=1)[1]
        cpu = _trained(place, torch.device("cpu"), epochs=1)[1]
    off = max(abs(a - b) / b for a, b in zip(ours, cpu, strict=True))
    assert off <= LIKE_THE_CPU, f"its loss is off by {off:.1e}, more than {LIKE_THE_CPU:.0e}"
    return f"the loss is off by {off:.1e}; up to {LIKE_THE_CPU:.0e} is allowed"


def half_precision_learns_nearly_so(place: Place) -> str:
    wide = _trained(place, place.device)[1]
    found = []
    for precision in ("bf16", "fp16") if place.on_gpu else ("bf16",):
        half = _trained(place, place.device, precision=precision)[1]
        off = max(abs(a - b) / b for a, b in zip(half, wide, strict=True))
        assert off <= 0.05, f"the loss in {precision} is off by {off:.1e}, more than 5e-02"
        found.append(f"{precision} off by {off:.1e}")
    return ", ".join(found) + "; up to 5e-02 is allowed"


def two_trainings_are_equal_to_the_bit(place: Place) -> str:
    with exactly():
        assert _same(_trained(place, place.device)[0], _trained(place, place.device)[0]), "they differ"
    plain = _same(_trained(place, place.device)[0], _trained(place, place.device)[0])
    return f"with deterministic kernels; with the usual ones {'too' if plain else 'they differ'}"


def a_resumed_training_ends_in_the_same_bits(place: Place) -> str:
    class StopError(Exception):
        pass

    def stop(entry: dict[str, float]) -> None:
        if entry["epoch"] == 2:
            raise StopError

    checkpoint = place.folder / "checkpoint.pt"
    checkpoint.unlink(missing_ok=True)
    data, settings = _data(place), _settings(place.stencil)
    with exactly():
        whole = fit(settings, 0, data, place.device)[0]
        with contextlib.suppress(StopError):
            fit(settings, 0, data, place.device, checkpoint=checkpoint, on_epoch=stop)
        assert checkpoint.exists(), "the stopped training left no checkpoint"
        resumed = fit(settings, 0, data, place.device, checkpoint=checkpoint)[0]
        assert _same(whole, resumed), "they differ"
    return "stopped in the second of two epochs"


def _same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@contextlib.contextmanager
def _in_time(seconds: float) -> Iterator[None]:
    """Raises TimeoutError when they are over."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds:g} s")

    handler, timer = signal.signal(signal.SIGALRM, ring), signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def _ranks(place: Place) -> int:
    return torch.cuda.device_count() if place.on_gpu else 2


def _run(place: Place, name: str, ranks: int, **train: Any) -> TrialRecord:
    folder = place.folder / name
    (folder / "result.json").unlink(missing_ok=True)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    _data(place)
    job = Job(
        trial_id=name,
        variant=name,
        seed=0,
        settings=_settings(place.stencil, **train),
        data_dir=place.folder / "data",
        folder=folder,
        cpus=ranks,
        gpus=ranks if place.on_gpu else 0,
        ranks=ranks,
    )
    with _in_time(PATIENCE):
        record = run_trial(job)
    assert record.status == "done", record.reason
    return record


def _far_apart(one: TrialRecord, other: TrialRecord) -> float:
    pairs = zip(one.history, other.history, strict=True)
    return max(abs(a["train/loss"] - b["train/loss"]) / a["train/loss"] for a, b in pairs)


def all_gpus_add_up_their_numbers(place: Place) -> str:
    """By NCCL, also where there is one GPU, and gloo on a CPU: every process adds its number, counted from 1."""
    size = _ranks(place)
    heard: list[float] = []
    with _in_time(PATIENCE):
        ranks.launch(
            _added,
            size,
            (place.device.type,),
            on_message=heard.append,
            reason_of=in_a_line,
            rendezvous=place.folder / "rendezvous",
            cuda=place.on_gpu,
        )
    assert heard == [size * (size + 1) / 2] * size, f"they say {heard}"
    return f"{size} process{'es' * (size > 1)}"


def _added(world: ranks.World, say: ranks.Say, device: str) -> None:
    number = torch.full((1,), world.rank + 1.0, device=device)
    torch.distributed.all_reduce(number)
    say(number.item())
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def all_gpus_train_one_trial_together(place: Place) -> str:
    """Frozen batch norm, so that the numbers are those of one."""
    size = _ranks(place)
    if size < 2:
        raise NotHereError("needs two GPUs")
    off = _far_apart(
        _run(place, "one", 1, freeze_batch_norm="all"), _run(place, "all", size, freeze_batch_norm="all")
    )
    assert off <= LIKE_THE_CPU, f"the loss is off by {off:.1e} from that of one process"
    return f"{size} processes: the loss is off by {off:.1e} from that of one"


def batch_norm_over_all_gpus_is_that_of_one(place: Place) -> str:
    if not place.on_gpu or _ranks(place) < 2:
        raise NotHereError("needs two GPUs")
    off = _far_apart(
        _run(place, "norm-one", 1),
        _run(place, "norm-all", 2, sync_batch_norm=True),
    )
    assert off <= LIKE_THE_CPU, f"the loss is off by {off:.1e} from that of one GPU"
    return f"the loss is off by {off:.1e}"


def micro_batches_are_the_batch(place: Place) -> str:
    frozen = {"freeze_batch_norm": "all", "epochs": 1}
    with exactly():
        whole = _trained(place, place.device, **frozen)[1]
        parts = _trained(place, place.device, **frozen, micro_batch=5)[1]
    off = max(abs(a - b) / b for a, b in zip(parts, whole, strict=True))
    assert off <= LIKE_THE_CPU, f"the loss is off by {off:.1e}"
    return f"12 clips as 5, 5 and 2: the loss is off by {off:.1e}"


def pinned_batches_are_the_same_batches(place: Place) -> str:
    data = _data(place).split("train")
    runs = [TrainBatches(data, 12, 0, 2, pin=pin) for pin in (False, place.on_gpu)]
    for plain, pinned in zip(*(one.epoch(0) for one in runs), strict=True):
        assert not place.on_gpu or pinned.clips.is_pinned(), "they are not pinned"
        assert torch.equal(plain.clips, pinned.clips), "they differ"
    return "from two loading processes" + ("" if place.on_gpu else "; nothing is pinned on a CPU")


def a_cuda_graph_replays_the_operator(place: Place) -> str:
    if not place.on_gpu:
        raise NotHereError("needs a GPU")
    case = Case(shape="64@14", clips=2, frames=8, dtype="fp32", format="channels_last", threads=0)
    found, _ = forms(case, ["mixtconv", "shift"], _paths(place), place.device)
    for one in found:
        x, other = case.tensor(1, place.device), case.tensor(2, place.device)
        with torch.no_grad():
            replay, y = captured(partial(one.op, x))
            x.copy_(other)
            replay()
            assert torch.equal(y, one.op(other)), f"{one.name}: the replay differs"
    return ", ".join(one.name for one in found)


CHECKS: tuple[Callable[[Place], str], ...] = (
    the_stencils_default_path_runs_here,
    a_trial_learns_as_on_the_cpu,
    half_precision_learns_nearly_so,
    two_trainings_are_equal_to_the_bit,
    a_resumed_training_ends_in_the_same_bits,
    micro_batches_are_the_batch,
    pinned_batches_are_the_same_batches,
    a_cuda_graph_replays_the_operator,
    every_operator_is_its_fp64_self_in_bf16,
    every_operator_is_its_fp64_self_in_fp32,
    every_operator_repeats_to_the_bit,
    all_gpus_add_up_their_numbers,
    every_operator_is_its_fp64_self_in_fp16,
    all_gpus_train_one_trial_together,
    batch_norm_over_all_gpus_is_that_of_one,
)


@dataclasses.dataclass(frozen=True)
class Result:
    """Of a check: "passed", "failed" or "not run", with what it measured or the reason."""

    check: str
    outcome: str
    words: str


def tried(check: Callable[[Place], str], place: Place) -> Result:
    """Run one check, whatever becomes of it."""
    name = check.__name__.replace("_", " ")
    try:
        return Result(name, "passed", check(place))
    except NotHereError as reason:
        return Result(name, "not run", str(reason))
    except AssertionError as error:
        return Result(name, "failed", str(error).partition("\n")[0])
    except Exception as error:
        return Result(name, "failed", in_a_line(error))


def run(place: Place) -> None:
    """Every check that has not been tried, each kept when it is done, until one leaves the device unusable."""
    done = {one["check"] for one in place.found.get("checks", [])}
    timing.wake(place.device)
    for check in CHECKS:
        if check.__name__.replace("_", " ") in done:
            continue
        result = tried(check, place)
        print(f"{result.outcome:8} {result.check}: {result.words}", flush=True)
        place.add("checks", dataclasses.asdict(result))
        if broken := usable(place.device):
            place.broken = broken
            return
