"""`python -m harness.data prepare`: the index that a study uses, and frames extracted from videos."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from builders.datasets import LABELS, SMALL, make, moving_bar, write_pictures, write_webm
from builders.place import ROOT
from PIL import Image

from harness.data.__main__ import main
from harness.data.config import DataConfig
from harness.data.dataset import open_data
from harness.data.video import read_frames


def settings_of(out: str) -> dict[str, str]:
    """The data set's settings as the command offers them for a study."""
    line = next(line for line in out.splitlines() if line.startswith("study    data: "))
    return yaml.safe_load(line.removeprefix("study    data: "))["dataset"]


def test_preparing_makes_the_index_that_a_study_uses(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("jester", here / "root")
    assert main(["prepare", "root", "--data-dir", "d", "--set", "label_order=file"]) == 0
    out = capsys.readouterr().out
    (index,) = (here / "d").glob("*/index.columns")
    made = index.stat().st_mtime_ns
    config, told = DataConfig(dataset=settings_of(out), **SMALL), list[int]()
    data = open_data(config, here / "d", lambda done, total: told.append(total))
    assert set(told) == {
        len(data.index.clips)
    }  # one pass over the clips, which decodes them: none was left to count
    assert index.stat().st_mtime_ns == made
    assert data.classes == list(LABELS)
    assert f"fingerprint {data.fingerprint[:16]}" in out


def test_clips_that_changed_are_counted_anew_when_asked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make("jester", here / "root")
    words = ["prepare", "root", "--data-dir", "d"]
    main(words)
    before = capsys.readouterr().out
    shutil.rmtree(root / "20bn-jester-v1" / "101")
    write_pictures(root / "20bn-jester-v1" / "101", moving_bar(1, 101, frames=5))
    assert main(words) == 0
    assert capsys.readouterr().out == before
    assert main([*words, "--recount"]) == 0
    assert capsys.readouterr().out != before
    assert main([*words, "--recount"]) == 0


def test_preparing_names_the_clips_that_cannot_be_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make("jester", here / "root")
    shutil.rmtree(root / "20bn-jester-v1" / "101")
    assert main(["prepare", "root", "--data-dir", "d"]) == 1
    assert "unreadable: 101: " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["something_v2", "list", "folders"])
def test_extracted_frames_are_read_in_place_of_the_videos(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(name, here / "root")
    assert main(["prepare", "root", "--data-dir", "d", "--extract", "out", "--short-side", "24"]) == 0
    videos = open_data(DataConfig(dataset={"name": name, "root": str(here / "root")}, **SMALL), here / "d")
    out = capsys.readouterr().out
    if name == "folders":  # those that are pictures already stay where they are
        for clip in videos.index.clips:
            if not clip.is_video:
                shutil.copytree(clip.file, here / "out" / clip.id)
    pictures = open_data(DataConfig(dataset=settings_of(out), **SMALL), here / "d")
    assert [c.frames for c in sorted(pictures.index.clips, key=lambda c: c.id)] == [
        c.frames for c in sorted(videos.index.clips, key=lambda c: c.id)
    ]
    assert not any(clip.is_video for clip in pictures.index.clips)
    first = next(clip for clip in videos.index.clips if clip.is_video)
    decoded = read_frames(first.file, [3], short_side=24)[0].astype(int)
    with Image.open(here / "out" / first.id / "00004.jpg") as opened:
        kept = np.asarray(opened).astype(int)
    assert kept.shape == (24, 32, 3)
    assert np.abs(kept - decoded).mean() < 6  # jpg, of 255


def test_extracted_folders_say_what_they_lack(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 7 clips 3 are folders of pictures; a folder that holds no annotation cannot tell that they are missing."""
    root = make("folders", here / "root")
    words = ["prepare", "root", "--data-dir", "d", "--extract", "out", "--set", "clips={id}/{frame:05d}.jpg"]
    assert main([*words, "--set", "first_picture=1"]) == 0
    out = capsys.readouterr().out
    assert f"warning  3 clips are not in {here / 'out'}, and a study on it will not know" in out
    assert settings_of(out) == {"name": "folders", "root": str(here / "out")}
    (root / "train" / LABELS[0] / "100.webm").write_bytes(b"")
    shutil.rmtree(here / "out")
    assert main([*words, "--recount"]) == 1
    assert f"warning  4 clips are not in {here / 'out'}" in capsys.readouterr().out


def test_frames_within_the_root_are_named_by_their_place_there(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An absolute path would make another data set of one that moved."""
    make("something_v2", here / "root", train=1, val=1)
    words = ["prepare", "root", "--data-dir", "d", "--extract", "--short-side", "20"]
    assert main([*words, "--set", "first_picture=0"]) == 0
    settings = settings_of(capsys.readouterr().out)
    assert settings == {
        "name": "something_v2", "root": str(here / "root"), "clips": "frames-20/{id}/{frame:05d}.jpg",
    }  # fmt: skip
    assert len(open_data(DataConfig(dataset=settings, **SMALL), here / "d").index.clips) == 2


def test_small_videos_are_not_enlarged(here: Path) -> None:
    make("something_v2", here / "root", train=1, val=1)
    main(["prepare", "root", "--data-dir", "d", "--extract"])
    picture = here / "root" / "frames-256" / "100" / "00001.jpg"
    with Image.open(picture) as opened:
        assert opened.size == (40, 30)


def test_an_extraction_goes_on_where_it_was_stopped(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("something_v2", here / "root")
    words = ["prepare", "root", "--data-dir", "d", "--extract", "out"]
    assert main(words) == 0
    done = here / "out" / "101" / "00001.jpg"
    stamp = done.stat().st_mtime_ns
    shutil.rmtree(here / "out" / "102")
    (here / "out" / ".103.tmp").mkdir()  # as a killed process leaves it: some frames under another name
    (here / "out" / "103" / "00001.jpg").rename(here / "out" / ".103.tmp" / "00001.jpg")
    shutil.rmtree(here / "out" / "103")
    assert main(words) == 0
    assert done.stat().st_mtime_ns == stamp
    assert [len(list((here / "out" / id_).iterdir())) for id_ in ("102", "103")] == [10, 11]
    assert not list((here / "out").glob(".*.tmp"))
    capsys.readouterr()
    assert main([*words, "--short-side", "20"]) == 2
    assert "holds frames of {'short_side': 256, 'quality': 95}" in capsys.readouterr().err


def test_a_video_that_cannot_be_extracted_is_named_and_leaves_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make("something_v2", here / "root")
    clips = root / "20bn-something-something-v2"
    main(["prepare", "root", "--data-dir", "d"])  # the index knows the clip as it was
    shutil.copy(write_webm(clips / "short.webm", moving_bar(0, 0, frames=4)), clips / "101.webm")
    capsys.readouterr()
    assert main(["prepare", "root", "--data-dir", "d", "--extract", "out"]) == 1
    out = capsys.readouterr().out
    assert "101.webm: decodes to 4 frames, its index says 12" in out
    assert "6 of 7 videos" in out
    assert sorted(p.name for p in (here / "out").iterdir() if not p.name.startswith(".")) == [
        "100", "102", "103", "104", "105", "106", "extracted.json",
    ]  # fmt: skip


@pytest.mark.slow
def test_an_extraction_that_was_killed_ends_as_an_unbroken_one(here: Path) -> None:
    make("something_v2", here / "root", train=130, val=3)  # enough videos for two processes
    words = ["prepare", "root", "--data-dir", "d", "--extract", "out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.data", *words],
        cwd=here, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while not (here / "out" / "110").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    whole = [
        folder for folder in (here / "out").iterdir() if not folder.name.startswith(".") and folder.is_dir()
    ]
    assert 0 < len(whole) < 133  # in the middle
    assert all(len(list(folder.iterdir())) == 10 + int(folder.name) % 3 for folder in whole)
    assert main(words) == 0
    pictures = sorted(str(p.relative_to(here / "out")) for p in (here / "out").rglob("*.jpg"))
    assert pictures == sorted(
        f"{id_}/{number:05d}.jpg" for id_ in range(100, 233) for number in range(1, 11 + id_ % 3)
    )
