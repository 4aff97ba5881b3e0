"""`python -m harness.data check`: all that is wrong with a data set, and what the command line refuses."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders.datasets import LABELS, SMALL, make, moving_bar, write_webm
from builders.place import ROOT

from harness.data.__main__ import main
from harness.data.config import DataConfig
from harness.data.dataset import open_data
from harness.data.parallel import in_parallel
from harness.data.sources.readers import READERS, guess_format
from harness.errors import DataError


def problems(file: Path) -> set[tuple[str, str, str]]:
    found = json.loads(file.read_text())["problems"]
    return {(p["kind"], p["split"], p["clip"]) for p in found}


@pytest.mark.parametrize("name", READERS)
def test_a_whole_data_set_is_found_whole(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(name, here / "root")
    assert guess_format(here / "root") == name
    before = set(here.iterdir())
    assert main(["check", "root"]) == 0
    assert set(here.iterdir()) == before  # nothing is left behind that was not asked for
    out = capsys.readouterr().out
    assert f"format   {name} in {here / 'root'}" in out
    main(["check", "root", "--out", "check.json"])
    found = json.loads((here / "check.json").read_text())
    assert found["good"] == {"train": 4, "val": 3} | ({"test": 1} if READERS[name]().test else {})
    assert found["problems"] == []
    row = next(line.split() for line in out.splitlines() if line.strip().startswith("train"))
    assert row == ["train", "4", "10,", "11,", "12", *"00000000"]  # ids 100 to 103: 11, 12, 10, 11 frames


def test_everything_that_is_wrong_is_found_at_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make("jester", here / "root", train=8)
    clips, train = root / "20bn-jester-v1", root / "jester-v1-train.csv"
    train.write_text(train.read_text() + f"104;{LABELS[0]}\n7,{LABELS[0]}\n8;Moving\n../9;{LABELS[0]}\n")
    shutil.rmtree(clips / "101")
    (clips / "102" / "00003.jpg").unlink()
    for picture in (clips / "103").iterdir():
        picture.unlink()
    (clips / "105" / "00002.jpg").write_bytes((clips / "105" / "00002.jpg").read_bytes()[:50])
    shutil.rmtree(clips / "900")
    expected = {
        ("duplicate id", "train", "104"), ("annotation", "", ""), ("unknown label", "train", "8"),
        ("bad id", "train", "../9"), ("missing", "train", "101"), ("wrong frame count", "train", "102"),
        ("unreadable", "train", "103"), ("missing", "test", "900"),
    }  # fmt: skip
    assert main(["check", str(root), "--out", "quick.json"]) == 1
    out = capsys.readouterr().out
    assert problems(here / "quick.json") == expected
    assert "problems 8; all of them in quick.json" in out
    assert "line 10: '7,Pushing something' is not `id;label`" in out
    assert main(["check", str(root), "--decode", "--out", "deep.json"]) == 1
    assert problems(here / "deep.json") == expected | {("unreadable", "train", "105")}
    assert main(["check", str(root), "--out", "list.csv"]) == 1
    with (here / "list.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["kind"], row["split"], row["clip"]) for row in rows} == expected


def test_a_truncated_video_is_found_where_its_frames_are_stated_or_decoded(here: Path) -> None:
    root = make("list", here / "root")
    file = root / "some videos" / "101.webm"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 2 // 3])
    assert main(["check", "root", "--decode", "--out", "deep.json"]) == 1
    ((kind, split, id_),) = problems(here / "deep.json")
    assert (kind in ("unreadable", "wrong frame count"), split, Path(id_).name) == (True, "train", "101.webm")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere such names cannot be made")
def test_a_file_whose_name_is_no_text_is_found(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make("folders", here / "root")
    bad = write_webm(root / "train" / LABELS[0] / "x.webm", moving_bar(0, 0, frames=3))
    os.rename(bad, os.fsencode(bad.parent) + b"/caf\xe9.webm")
    assert main(["check", "root", "--out", "check.json"]) == 1
    assert problems(here / "check.json") == {("bad id", "train", f"train/{LABELS[0]}/caf\udce9.webm")}
    assert "is not UTF-8 text" in capsys.readouterr().out
    with pytest.raises(DataError, match="is not UTF-8 text"):
        open_data(DataConfig(dataset={"name": "folders", "root": str(root)}, **SMALL), here / "d")


def test_many_problems_are_counted_and_all_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make("jester", here / "root", train=30)
    for id_ in range(100, 125):
        shutil.rmtree(root / "20bn-jester-v1" / str(id_))
    assert main(["check", "root"]) == 1
    assert "problems 25; --out FILE lists all of them\n" in capsys.readouterr().out
    assert main(["check", "root", "--out", "check.json"]) == 1
    out = capsys.readouterr().out
    assert out.count("no such folder") == 10
    assert "missing: and 15 more" in out
    assert len(problems(here / "check.json")) == 25


def test_a_class_without_a_training_clip_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("jester", here / "root", train=2)
    main(["check", "root", "--out", "check.json"])
    assert "classes  3, 1 of them without a training clip" in capsys.readouterr().out
    assert json.loads((here / "check.json").read_text())["classes_without_training_clips"] == [LABELS[2]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "gone"], "gone: no such folder"),
        (
            ["check", "empty"],
            "holds the annotations of none of them; name the format with --format: something_v1",
        ),
        (["check", "empty", "--format", "jesters"], "--format: no format 'jesters'; did you mean 'jester'?"),
        (["check", "empty", "--format", "jester"], "no jester-v1-labels.csv, no jester-v1-train.csv"),
        (["check", "root", "--set", "clip=x"], "jester has no such setting; did you mean 'clips'?"),
        (["check", "root", "--set", "clips"], "'clips' is not KEY=VALUE"),
        (["check", "root", "--out", "list.txt"], "list.txt: name a file .json or .csv"),
        (
            ["check", "empty", "--format", "jester", "--out", "list.txt"],
            "list.txt: name a file .json or .csv",
        ),
        (["check", "root", "--out", "gone/list.csv"], "gone/list.csv: no folder gone"),
        (
            ["prepare", "root", "--data-dir", "d", "--extract", "--quality", "100"],
            "quality: 100 is not in 1 to 95",
        ),
        (
            ["prepare", "root", "--data-dir", "d", "--extract"],
            "--extract: every clip of jester is a folder of pictures already",
        ),
        (["check"], "the following arguments are required: root"),
        ([], "the following arguments are required"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    make("jester", here / "root", train=1, val=1)
    try:
        code = main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)
    err = capsys.readouterr().err
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_two_formats_in_one_folder_are_not_guessed(here: Path) -> None:
    make("list", here / "root")
    (here / "root" / "train").mkdir()
    (here / "root" / "val").mkdir()
    with pytest.raises(DataError, match=r"fits list and folders; name the format with --format"):
        guess_format(here / "root")


@pytest.mark.slow
def test_the_command_uses_every_core_and_says_how_it_goes(here: Path) -> None:
    make("jester", here / "root", train=130, val=3)  # enough clips for two processes
    done = subprocess.run(
        [sys.executable, "-m", "harness.data", "check", "root"],
        cwd=here, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "clips    134 good" in done.stdout


@pytest.mark.slow
def test_a_process_that_dies_over_the_clips_is_one_line() -> None:
    with pytest.raises(
        DataError, match=r"^a process that worked on the clips died, 0 of 128 were done; [^\n]+$"
    ):
        in_parallel(os._exit, [1] * 128, lambda done, total: None)


def test_damaged_frames_and_generated_clips_are_found(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make("jester", here / "root")
    settings = DataConfig(dataset={"name": "jester", "root": str(root)}, **SMALL)
    file = next(open_data(settings, here / "data").index.folder.glob("frames-*.npy"))
    assert main(["check", "root", "--data-dir", "data"]) == 0
    assert "decoded  1 of 1 files as they were written\n" in capsys.readouterr().out
    whole = file.read_bytes()
    file.write_bytes(whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:])
    assert main(["check", "root", "--data-dir", "data"]) == 1
    out = capsys.readouterr().out
    assert f"damaged  {file}; the next run decodes the videos anew\n" in out

    few = DataConfig(dataset={"name": "generated", "train_clips": 2, "val_clips": 1}, **SMALL)
    folder = open_data(few, here / "data").index.folder
    assert main(["check", str(folder)]) == 0
    (folder / "train" / "00001.mp4").write_bytes(b"another")
    assert main(["check", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "clips    2 of 3 as they were written\n" in out
    assert f"changed  {folder / 'train' / '00001.mp4'}; " in out


def test_a_broken_index_is_set_aside_and_made_anew(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make("jester", here / "root")
    own = DataConfig(dataset={"name": "jester", "root": str(root)}, **SMALL)
    few = DataConfig(dataset={"name": "generated", "train_clips": 2, "val_clips": 1}, **SMALL)
    for settings, name in ((own, "index.columns"), (few, "manifest.json")):
        before = open_data(settings, here / "data").index
        (before.folder / name).write_text("{")
        assert open_data(settings, here / "data").fingerprint == before.fingerprint
        broken = before.folder / name if name == "index.columns" else before.folder
        assert caplog.messages[-1].endswith(f"anew: it is {broken}.damaged now")
