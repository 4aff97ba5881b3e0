"""A request that cannot be carried out: one line, exit code 2, nothing left behind. A mistyped file, at once."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import time

import pytest
from builders.place import ROOT, TINY, Workplace
from builders.studies import small_study

from harness.run.printer import _next_step
from harness.run.request import read


def refused(place: Workplace, *args: object) -> str:
    """The one line of a request that is refused; nothing may be left behind."""
    before = sorted(place.folder.rglob("*"))
    outcome = place.run(*args)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    after = [p for p in sorted(place.folder.rglob("*")) if "__pycache__" not in p.parts]
    assert after == before
    return outcome.err.removeprefix("error: ").strip()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--variants", "ks31"], "--variants: no variant 'ks31'; did you mean 'ks13'?"),
        (["--preset", "paper"], "presets: no preset 'paper'; the study has none"),
        (["--profile", "paper"], "a study at another scale is called a preset now: --preset paper"),
        (["--profile"], "a study at another scale is called a preset now: --preset NAME"),
        (["--seeds", "abc"], "argument --seeds: 'abc' is not a list of whole numbers, as in 0,1,2"),
        (["--seeds", "1,1"], "argument --seeds: '1,1': give each seed once, none below 0, as in 0,1,2"),
        (["--set", "train.epoch=2"], "--set train.epoch=2: train.epoch: unknown key; did you mean 'epochs'?"),
        (["--sett", "train.epochs=2"], "unrecognized arguments: --sett train.epochs=2"),
        (["--address", "127.0.0.1:9"], "--address 127.0.0.1:9: no Ray cluster there"),
        (["--set", "resources.cpus=4096"], "resources.cpus: 4096 asked for each trial, but there are"),
        (["--set", "resources.gpus=64"], "resources.gpus: 64 asked for each trial, but there are"),
        (["--data-dir", "file/x"], "cannot be written"),
        (["--data-dir", "/proc/x"], "--data-dir /proc/x: cannot be written: /proc: "),
        (["--tracking-uri", "sqlite:///file/x.db"], "cannot write file/x.db"),
        (["--tracking-uri", "sqlite:////proc/x.db"], "cannot write /proc/x.db"),
        (["--tracking-uri", "sqlite:///file"], "file is not an SQLite file"),
        (["--tracking-uri", "sqlite:///."], "cannot write . (Is a directory)"),
        (["--tracking-uri", "mlruns"], "--tracking-uri mlruns: use sqlite:///FILE or http://HOST:PORT"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_one_line_and_leaves_nothing(
    place: Workplace, args: list[str], expected: str
) -> None:
    (place.folder / "file").write_text("a file, no folder and no database")
    study = place.study()
    place.command = lambda *given: [
        str(a) for a in ("--data-dir", place.data, "--tracking-uri", place.uri, *given)
    ]  # type: ignore[method-assign]
    assert expected in refused(place, study, *args)


def test_all_that_this_machine_lacks_is_said_at_once(place: Workplace) -> None:
    data = {**TINY["data"], "dataset": {"name": "jester", "root": str(place.folder / "jester")}}
    model = {"backbone": "resnet50", "weights": "none.pth"}
    outcome = place.run(place.study(data=data, model=model, resources={"gpus": 64}))
    assert (outcome.code, outcome.out) == (2, "")
    gpus, weights, clips = outcome.err.splitlines()
    assert gpus.startswith("error: resources.gpus: 64 asked for each trial, but there are ")
    assert re.fullmatch(r"error: model.weights: no file .*none.pth", weights)
    assert "jester" in clips


def test_what_there_is_to_study_is_listed_with_a_line_each(place: Workplace) -> None:
    place.command = lambda *args: [str(a) for a in args]  # type: ignore[method-assign]
    outcome = place.run("--list", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert "operators (model.operator)" in lines
    for name in ("mixtconv", "resnet50", "eco", "strobe", "generated", "jester", "ten_crop", "kernel_sizes"):
        line = next(line for line in lines if line.startswith(f"  {name} "))
        assert re.match(rf"  {name} +\w+\S* \S+", line), line
    assert next(line for line in lines if line.startswith("  shift ")).endswith(
        " Also called tsm, temporal_shift."
    )
    assert list(place.folder.iterdir()) == []


def test_a_wrong_study_is_one_line_and_leaves_nothing(place: Workplace) -> None:
    wrong = place.study(variants={"tsn": {"model.operator": {"name": "identty"}}})
    assert refused(place, wrong).endswith("no operator 'identty'; did you mean 'identity'?")
    assert "did you mean 'tiny'?" in refused(place, place.folder / "tinny.yaml")
    (place.folder / "broken.yaml").write_text("question: [")
    assert "broken.yaml:1:12: not valid YAML" in refused(place, place.folder / "broken.yaml")


def test_a_store_with_a_torn_page_is_one_line(ready: Workplace) -> None:
    file = ready.folder / "mlflow.db"
    file.write_bytes(file.read_bytes()[:100] + b"\0" * 5000)
    outcome = ready.run(ready.study())
    assert outcome.code == 2
    assert outcome.err.startswith("error: tracking store ")
    assert outcome.err.count("\n") == 1


def test_no_study_at_all_is_one_line(place: Workplace) -> None:
    place.command = lambda *args: [str(a) for a in args]  # type: ignore[method-assign]
    assert refused(place).startswith("which study? name its file, as in studies/kernel_sizes.yaml; see ")


def test_an_unknown_part_is_one_line(place: Workplace) -> None:
    outcome = place.run(place.study(parts={"low": {}}), "--parts", "lwo")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "parts: no part 'lwo'; did you mean 'low'?" in outcome.err


def test_the_next_step_finds_the_store_and_the_clips_of_the_run() -> None:
    plain, elsewhere = (
        read(["smoke"]),
        read(["smoke", "--data-dir", "/d d", "--tracking-uri", "http://u:pw@h"]),
    )
    shown = dataclasses.replace(small_study(), clips=True)
    assert (
        _next_step(shown, plain)
        == "python -m harness.report --out reports/   or browse: python -m harness.ui"
    )
    store = "--tracking-uri 'http://u:***@h'"
    assert _next_step(shown, elsewhere) == (
        f"python -m harness.report --out reports/ --data-dir '/d d' {store}   or browse: python -m harness.ui {store}"
    )
    assert "--data-dir" not in _next_step(small_study(), elsewhere)


@pytest.mark.parametrize("words", [["run"], ["run", "--dry-run"], ["cost"]], ids=" ".join)
def test_a_mistyped_file_is_said_before_anything_heavy_is_imported(words: list[str]) -> None:
    room, *options = words
    check = (
        f"import sys; from harness.{room}.__main__ import main\n"
        f"assert main({['smok.yaml', *options]}) == 2\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.monotonic() - begin < 5  # 0.2 s on a quiet machine, which is the promise
    assert done.stdout == "[]\n"
    assert done.stderr == "error: no study file smok.yaml; did you mean 'smoke'?\n"
