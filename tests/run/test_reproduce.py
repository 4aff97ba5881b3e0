"""The documents' commands exist, and docs/reproduce.md walks from an unpacked data set to a report, in small."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from builders.datasets import make
from builders.place import ROOT, Workplace

from harness.cost import __main__ as cost_command
from harness.cost.memory import step_memory
from harness.data import __main__ as data_command
from harness.report import __main__ as report_command
from harness.run import request as run_request
from harness.study.load import load_studies, load_study
from harness.study.study import Study

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
REPRODUCE = ROOT / "docs" / "reproduce.md"


def commands(path: Path) -> list[list[str]]:
    """The words behind `python -m harness.` of every command that stands in a line of its own."""
    found = re.findall(
        r"^ *(?:\.venv/bin/)?python -m harness\.(.*)$", path.read_text().replace("\\\n", " "), flags=re.M
    )
    return [shlex.split(re.sub(r"\s#.*", "", line)) for line in found]


def parse(command: list[str]) -> None:
    """Let a command's own parser read it.

    Raises:
        SystemExit: an option that does not exist.
    """
    name, *words = command
    if name == "run":
        run_request.read(words)
    elif name == "report":
        report_command._parse(words)
    elif name == "data":
        data_command._parser().parse_args(words)
    elif name == "cost":
        cost_command._parser().parse_args(words)
    else:  # one without a parser to ask, such as harness.stats
        path = ROOT / "harness" / Path(*name.split("."))
        source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        assert '__name__ == "__main__"' in source.read_text(), f"harness.{name} is no command"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_command_of_a_document_is_one_that_exists(path: Path) -> None:
    for command in commands(path):
        parse(command)


def test_every_study_command_of_the_walk_is_accepted_by_its_study() -> None:
    walk = [run_request.read(words) for name, *words in commands(REPRODUCE) if name == "run"]
    assert len(walk) >= 8
    loaded: dict[tuple[object, ...], list[Study]] = {}
    for args in walk:
        parts = args.parts
        key = (args.study, args.preset, args.overrides, parts)
        if key not in loaded:
            loaded[key] = load_studies(
                ROOT / args.study, preset=args.preset, overrides=args.overrides, parts=parts
            )
        for study in loaded[key]:
            assert set(args.variants) <= set(study.variants)


def test_the_figures_of_the_walk_are_what_is_computed() -> None:
    text = REPRODUCE.read_text()
    study = load_study(ROOT / "studies" / "kernel_sizes.yaml", preset="paper")

    def mib(variant: str, clips: int, ranks: int) -> str:
        s = study.variants[variant]
        return f"{step_memory(s.model, s.data, s.train, 174, clips, ranks).total / 2**20:,.0f}"

    eight = {name: mib(name, 8, 8) for name in ("tsn", "ks1357", "ordinary")}
    assert (
        f"{eight['tsn']} MiB for `tsn`, {eight['ks1357']} for `ks1357`, {eight['ordinary']} for `ordinary`"
        in text
    )
    assert f"{mib('ordinary', 64, 1)} MiB for `ordinary`, the largest" in text

    def disk(variant: str, *, checkpoint: bool) -> str:
        s = study.variants[variant]
        held = step_memory(s.model, s.data, s.train, 174, 1)
        return f"{(held.weights + checkpoint * held.optimiser) / 2**20:,.0f}"

    for what, checkpoint in (("checkpoint", True), ("network of the first seed", False)):
        sizes = [disk(name, checkpoint=checkpoint) for name in ("ks1357", "ordinary")]
        assert f"{what}, {sizes[0]} MiB for `ks1357`, {sizes[1]} for `ordinary`" in text
    steps = 86_017 // 64  # FACTS section 6
    assert f"{steps:,} an epoch, {50 * steps:,} a trial" in text
    assert f"{64 * 50 * steps:,} a trial" in text
    macs = 3 * 32.88e9 * 64 * 50 * steps
    hours = 2 * macs / (8 * 10e12) / 3600
    assert f"{macs:.1e} ".replace("e+", "e") in text.replace(",", " ")
    assert f"{hours:.1f} hours" in text
    assert f"| {30 * hours:.0f} hours" in text
    assert f"{64 * 50 * steps / hours / 3600:.0f} clips/s" in text


@pytest.mark.slow
def test_the_walk_from_an_unpacked_data_set_to_the_report_of_table_2(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIXTBENCH_DATASETS", str(ready.folder / "datasets"))
    monkeypatch.setenv("MIXTBENCH_DATA_DIR", str(ready.data))
    (ready.folder / "datasets").mkdir()
    root = make("something_v1", ready.folder / "datasets" / "something_v1", train=9, val=6)
    assert data_command.main(["check", str(root)]) == 0
    assert data_command.main(["prepare", str(root), "--data-dir", str(ready.data)]) == 0

    study = ROOT / "studies" / "kernel_sizes.yaml"
    small = [
        "model.backbone=resnet_tiny",
        "model.weights=''",
        "data.short_side=24",
        "data.crop=16",
        "train.epochs=1",
        "train.batch_size=4",
        "train.workers=0",
        "resources={cpus: 1, gpus: 0}",
        "cost={backbone: resnet_tiny, size: 32, latency: false}",
    ]
    chosen = [word for setting in small for word in ("--set", setting)]
    planned = ready.run(study, "--preset", "paper", *chosen, "--dry-run")
    assert "data     something_v1 (" in planned.out
    assert "9 training and 6 validation clips" in planned.out
    assert "missing  nothing: this machine can run it" in planned.out
    done = ready.run(study, "--preset", "paper", *chosen, "--seeds", "0", "--variants", "tsn,ks1357")
    assert done.code == 0, done.err
    assert "next     python -m harness.report" in done.out

    out = ready.folder / "reports"
    assert (
        report_command.main(["--study", "kernel_sizes-paper", "--out", str(out), "--tracking-uri", ready.uri])
        == 0
    )
    page = (out / "kernel_sizes-paper" / "README.md").read_text()
    assert "Something-Something v1" in page
    assert "46.7" in page  # the paper's row ks1357
