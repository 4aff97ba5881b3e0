"""The operator bench: it times nothing that is wrong, its figures are right by hand, and it needs little to run."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.place import ROOT
from torch import Tensor

from harness.bench import before, compare, tables, timing
from harness.bench.__main__ import check, main, parse
from harness.bench.before import earlier
from harness.bench.forms import Case, Form, Published, all_operators, forms
from harness.bench.network import steps
from harness.bench.rows import rows_of
from harness.errors import DataError
from harness.model.config import ModelConfig
from operators import MixTConv, Shift, TemporalOp
from operators.stencil import eager, op

CPU = torch.device("cpu")
CASE = Case(shape="8@5", clips=3, frames=4, dtype="fp32", format="channels_last", threads=1)
FAST = shlex.split("--shapes 8@5 --clips 3 --frames 4 --dtype fp32 --rounds 3 --seconds 0")


def timed(op: torch.nn.Module, name: str = "mixtconv", case: Case = CASE) -> timing.Timed:
    return timing.prepare([Form(name, "eager", op)], case, CPU)[0]


class Wrong(MixTConv):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1.0001 if x.dtype == torch.float32 else 1.0)  # unlike its fp64 self


class Leaks(MixTConv):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1e-7 * x.detach().mean()  # of all clips


DOUBLED = """
right = forward
def forward(v, table, spans, channels_last):
    return right(v, 2 * table, spans, channels_last)
"""


class Widens(MixTConv):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).double()


class Raises(MixTConv):
    def forward(self, x: Tensor) -> Tensor:
        raise subprocess.CalledProcessError(1, "gcc")  # as a compiler does


class Unformed(MixTConv):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).contiguous()


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (Wrong, "output is off by 1.0e-04, more than 1e-06"),
        (Leaks, "a clip changes another"),
        (Unformed, "the memory format is not kept"),
        (Widens, "gives torch.float64 for torch.float32"),
        (Raises, "CalledProcessError: Command 'gcc' returned non-zero exit status 1."),
    ],
)
def test_a_form_that_is_wrong_gets_its_reason_and_no_time(op: type[MixTConv], words: str) -> None:
    one = timed(op(8, 4, init="random"))
    assert one.failed == words
    copies = timing.cpu_rounds([one], CASE, rounds=2, seconds=0)
    assert len(copies) == 2
    rows = rows_of([one], copies, CASE)
    assert [row["failed"] for row in rows] == [words] * 2
    assert not any("latency_ms" in row or "x_copy" in row for row in rows)
    assert f"no time: {words}" in tables.text(tables.table(rows))


def test_every_registered_operator_has_a_form_in_every_path_and_identity_none() -> None:
    case = dataclasses.replace(CASE, shape="16@5")  # eight channels are too few for some
    found, skipped = forms(case, all_operators(), ["eager", "reference", "triton"], CPU)
    names = {form.name for form in found}
    for operator in set(TemporalOp.registry) - {"identity"}:
        paths = {f"{operator} eager", f"{operator} reference"}
        assert paths <= names or (f"{operator} own" in names and not paths & names)
    assert {"shift eager", "mixtconv reference", "ordinary own", "published conv3d"} <= names
    assert not any(form.operator == "identity" for form in found)
    assert skipped.keys() == {"triton"}


def test_published_form_equals_mixtconv() -> None:
    published, ours = Published(17, 4, init="random").double(), MixTConv(17, 4).double()
    ours.load_state_dict(published.state_dict())
    x = torch.randn(2, 4, 17, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(published(x), ours(x))
    assert not any(cls is Published for cls in TemporalOp.registry.values())


def test_figures_of_a_row_are_those_of_its_samples_by_hand() -> None:
    """A copy of 1 ms; forward 2, 4, 3 ms: 3 copies, a third of the copy's bandwidth. Backward 10 ms: 2.5 / 10."""
    one = timed(Shift(8, 4), "shift")
    one.samples = {"forward": [2.0, 4.0, 3.0], "forward_backward": [10.0, 10.0, 10.0]}
    forward, both = rows_of([one], [1.0, 1.0, 1.0], CASE)
    size = 3 * 4 * 8 * 5 * 5 * 4
    assert forward["bytes"] == size
    assert forward["least_bytes"] == 2 * size
    assert forward["latency_ms"]["p50"] == 3.0
    assert forward["x_copy"] == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert forward["of_copy"]["median"] == pytest.approx(1 / 3)
    assert forward["gb_per_s"] == pytest.approx(2 * size / 3e6)
    assert forward["macs"] == 0
    assert both["of_copy"] == {"median": 0.25, "low": 0.25, "high": 0.25}
    assert forward["saved_mib"] == pytest.approx(size / 2**20, rel=0.05)  # x, and a table of taps


def test_a_gpus_table_has_what_a_graph_took_or_that_there_is_none() -> None:
    """A graph of 2 ms beside a copy of 1 ms; the other form was not captured."""
    one, other = timed(Shift(8, 4), "shift"), timed(MixTConv(8, 4))
    for form in (one, other):
        form.samples = {"forward": [2.5], "forward_backward": [5.0]}
    one.graph_ms, other.graph_failed = [2.0], "RuntimeError: it waits for the GPU"
    rows = rows_of([one, other], [1.0], CASE)
    header, *lines = tables.table(rows)
    assert (header[-1], [line[-1] for line in lines]) == ("graph, copies", ["2.00", "none"])
    assert rows[2]["graph_failed"] == "RuntimeError: it waits for the GPU"
    assert len({len(line) for line in [header, *lines]}) == 1


def test_macs_of_a_row_count_both_gradients() -> None:
    one = timed(MixTConv(8, 4))
    one.samples = {"forward": [1.0], "forward_backward": [1.0]}
    forward, both = rows_of([one], [1.0], CASE)
    assert forward["macs"] == 3 * 4 * 25 * 2 * (1 + 3 + 5 + 7)
    assert both["macs"] == 3 * forward["macs"]


def test_sixteen_insertions_are_the_weighted_sum_over_all_five_shapes_or_nothing() -> None:
    row = {"operator": "shift", "path": "triton", "pass": "forward", "dtype": "bf16", "format": "contiguous"}
    row |= {"threads": 0, "failed": "", "clips": 8, "frames": 8, "latency_ms": {"p50": 0.1}}
    row |= {
        "copy_ms": 0.03,
        "least_bytes": 10,
        "bytes": 2,
    }  # of backward too: five tensors, two and a half copies
    shapes = ["64@56", "256@56", "512@28", "1024@14", "2048@7"]
    (line,) = tables.insertions([row | {"shape": shape} for shape in shapes])
    assert line.endswith("all 16 insertions of ResNet-50, 64 frames: 1.60 ms, at a copy's speed 1.20 ms")
    assert tables.insertions([row | {"shape": shape} for shape in shapes[1:]]) == []


def result(**changes: Any) -> dict[str, Any]:
    row = {"operator": "shift", "path": "eager", "pass": "forward", "shape": "8@5", "clips": 3, "frames": 4}
    row |= {"dtype": "fp32", "format": "contiguous", "threads": 1, "failed": ""}
    row |= {"x_copy": {"median": 2.0, "low": 1.9, "high": 2.1}}
    return {"machine": {"device": "a"}, "rows": [row | changes]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_copy": {"median": 2.4, "low": 2.3, "high": 2.5}}, []),  # within the margin
        ({"x_copy": {"median": 2.6, "low": 2.0, "high": 3.0}}, []),  # intervals overlap
        (
            {"x_copy": {"median": 2.6, "low": 2.2, "high": 3.0}},
            ["2.60 [2.20, 3.00] copies, was 2.00 [1.90, 2.10]"],
        ),
        ({"failed": "a clip changes another"}, ["fails now: a clip changes another"]),
        ({"shape": "16@64", "x_copy": {"median": 9.0, "low": 9.0, "high": 9.0}}, []),  # not there before
    ],
)
def test_slower_means_beyond_the_margin_and_beyond_both_intervals(
    changes: dict[str, Any], words: list[str]
) -> None:
    found = compare.slower(result(**changes), result())
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))


def test_two_threads_are_never_gated_and_other_devices_never_compared() -> None:
    slow = {"x_copy": {"median": 9.0, "low": 9.0, "high": 9.0}}
    assert compare.slower(result(threads=2, **slow), result(threads=2)) == []
    with pytest.raises(DataError, match="measured on b, not on this a; only figures of one device compare"):
        compare.slower(result(), result() | {"machine": {"device": "b"}})


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["mixtcov"], "no operator 'mixtcov'; did you mean 'mixtconv'"),
        (["--shapes", "256x56"], "'256x56' is not channels@pixels, such as 256@56"),
        (["--shapes", "tny"], "did you mean 'tiny'"),
        (["--threads", "0"], "--threads: 0 is below 1"),
        (["--device", "tpux"], "'tpux' is none of cpu, cuda"),
        pytest.param(
            ["--device", "cuda"],
            "sees no CUDA device here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(args: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        check(parse(args))


def test_the_command_writes_what_it_printed_and_compares_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, operators = tmp_path / "bench", ["mixtconv", "shift", "published"]
    assert main([*operators, *FAST, "--paths", "eager", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    (own,) = [path for path in out.iterdir() if path.is_dir()]
    saved = json.loads((own / "bench.json").read_text())
    assert len(saved["rows"]) == 2 * 3 * 2  # formats, forms, passes
    assert all(not row["failed"] and row["samples"] == 3 for row in saved["rows"])
    assert saved["machine"]["allocator"] == "default"  # the tests' process is not only ours
    page = (own / "README.md").read_text()
    for words in ("mixtconv", "published", "8@5, 3 x 4 frames, fp32, channels_last, 1 thread"):
        assert words in printed
        assert words in page
    assert {"roofline.svg", "roofline.png"} <= {path.name for path in own.iterdir()}
    assert "not measured; `make bench-gpu`" in (out / "README.md").read_text()

    for row in saved["rows"]:
        row["x_copy"] = dict.fromkeys(("median", "low", "high"), 1e-9)
    old = tmp_path / "old.json"
    old.write_text(json.dumps(saved))
    assert main(["shift", *FAST, "--paths", "eager", "--compare", str(old)]) == 1
    assert "slower   shift eager forward 8@5" in capsys.readouterr().out
    old.write_text("[]")
    assert main(["shift", *FAST, "--compare", str(old)]) == 2
    assert "is not a file that --json or --out wrote" in capsys.readouterr().err


def test_network_rows_are_over_tsn_whose_own_ratio_is_one() -> None:
    operators = ["mixtconv", "published"]
    rows = steps(["resnet_tiny"], ["channels_last"], ["eager"], CPU, rounds=1, operators=operators)
    by_name = {(row["operator"], row["path"]): row for row in rows}
    assert by_name.keys() == {("tsn", ""), ("published", "conv3d"), ("mixtconv", "eager")}
    assert by_name["tsn", ""]["step_ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert all(row["step_ms"] > 0 for row in rows)


def test_before_and_after_are_two_paths_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The earlier state is today's with every output doubled, which shows."""
    monkeypatch.setattr(before, "_source", lambda commit: Path(eager.__file__).read_text() + DOUBLED)
    case = dataclasses.replace(CASE, shape="8@5")
    with earlier("a commit") as more:
        found, _ = forms(case, ["mixtconv"], [*more, "eager"], CPU)
        one, other = timing.prepare(found, case, CPU)
        assert (one.form.name, one.failed) == (
            "mixtconv eager_before",
            "output is off by 1.0e+00, more than 1e-06",
        )
        assert (other.form.name, other.failed) == ("mixtconv eager", "")
        assert ModelConfig(stencil=more[0]).stencil == "eager_before"  # so networks can be made with it
    assert more[0] not in op.PATHS
    with earlier("") as more:
        assert more == []


@pytest.mark.parametrize("commit", ["no-such-commit", "--output=x"])
def test_a_commit_that_git_does_not_have_is_one_line(commit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shift", *FAST, "--paths", "eager", f"--before={commit}"]) == 2
    assert f"--before{' ' if commit[0] != '-' else ': '}" in capsys.readouterr().err


def test_the_bench_needs_neither_ray_nor_mlflow_and_sets_the_allocator_before_torch() -> None:
    script = (
        "import sys; sys.modules['ray'] = sys.modules['mlflow'] = None\n"
        "import harness.machine as a; keep = a.keep_freed_memory\n"
        "def first(): assert 'torch' not in sys.modules; return keep()\n"
        "a.keep_freed_memory = first\n"
        "from harness.bench.__main__ import main\n"
        f"sys.exit(main(['shift', '--paths', 'eager', *{FAST!r}]))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("MIXTBENCH_ALLOCATOR")
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "allocator keep_freed" in done.stdout or sys.platform != "linux"
