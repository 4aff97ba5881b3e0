"""Clips that lie otherwise than the settings say: what is there is named once, with the settings that read it."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from builders.datasets import LABELS, config, moving_bar, open_, write_pictures, write_webm
from builders.place import ROOT
from builders.videos import write_video
from PIL import Image

from harness.data.__main__ import main
from harness.data.sources.readers import guess_format
from harness.errors import DataError

RENAMED = {  # how the pictures of every clip are named; what is said of clip 100, which has 11; the settings
    "from 0": (lambda n: f"{n - 1:05d}.jpg", "holds 00000.jpg to 00010.jpg", {"first_picture": 0}),
    "img_": (lambda n: f"img_{n:05d}.jpg", "holds img_00001.jpg to img_00011.jpg",
             {"clips": "20bn-jester-v1/{id}/img_{frame:05d}.jpg"}),
    "capitals": (lambda n: f"{n:05d}.JPG", "holds 00001.JPG to 00011.JPG",
                 {"clips": "20bn-jester-v1/{id}/{frame:05d}.JPG"}),
    "png": (lambda n: f"{n:05d}.png", "holds 00001.png to 00011.png",
            {"clips": "20bn-jester-v1/{id}/{frame:05d}.png"}),
    "six digits": (lambda n: f"{n:06d}.jpg", "holds 000001.jpg to 000011.jpg",
                   {"clips": "20bn-jester-v1/{id}/{frame:06d}.jpg"}),
    "no zeros": (lambda n: f"{n}.jpg", "holds 1.jpg to 11.jpg", {"clips": "20bn-jester-v1/{id}/{frame}.jpg"}),
    "all at once": (lambda n: f"frame-{n - 1:03d}.jpeg", "holds frame-000.jpeg to frame-010.jpeg",
                    {"clips": "20bn-jester-v1/{id}/frame-{frame:03d}.jpeg", "first_picture": 0}),
}  # fmt: skip


def rename(folder: Path, how: Callable[[int], str]) -> None:
    moved = folder.with_name("moved")
    moved.mkdir()
    for picture in sorted(folder.iterdir()):
        target = moved / how(int(picture.stem))
        if target.suffix == ".png":
            Image.open(picture).save(target)
        else:
            shutil.move(picture, target)
    shutil.rmtree(folder)
    moved.rename(folder)


@pytest.mark.parametrize("name", RENAMED)
def test_other_names_of_pictures_are_said_once_with_the_settings_that_read_them(
    name: str, own: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    how, there, settings = RENAMED[name]
    root = own("jester")
    for folder in list((root / "20bn-jester-v1").iterdir()):
        rename(folder, how)
    words = " and ".join(f"{key}={value}" for key, value in settings.items())
    expected = f"20bn-jester-v1/100: {there}, not 00001.jpg and so on; {words} would read that"
    assert main(["check", str(root), "--out", str(root / "found.json")]) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert err.count("\n") == 1
    with pytest.raises(DataError) as caught:
        open_("jester", root)
    assert expected in str(caught.value)
    assert len(open_("jester", root, **settings).index.clips) == 7  # as it says


def test_one_clip_that_is_named_otherwise_is_said_of_that_clip(own: Callable[[str], Path]) -> None:
    root = own("jester")
    rename(root / "20bn-jester-v1" / "101", lambda n: f"img_{n:05d}.jpg")
    with pytest.raises(
        DataError, match=r"clip 101: .*101: holds no picture named like 00001\.jpg; it holds img_00001"
    ):
        open_("jester", root)


def test_one_clip_that_counts_from_0_is_said_of_that_clip(own: Callable[[str], Path]) -> None:
    root = own("jester")
    rename(root / "20bn-jester-v1" / "102", lambda n: f"{n - 1:05d}.jpg")
    with pytest.raises(
        DataError, match=r"102: its pictures count from 00000\.jpg; first_picture=0 reads them"
    ):
        open_("jester", root)


@pytest.mark.parametrize("suffix", [".mp4", ".MKV"])
def test_another_ending_of_videos_is_said_with_the_setting(suffix: str, own: Callable[[str], Path]) -> None:
    root = own("something_v2")
    for video in list((root / "20bn-something-something-v2").iterdir()):
        video.rename(video.with_suffix(suffix))
    setting = f"20bn-something-something-v2/{{id}}{suffix}"
    with pytest.raises(
        DataError, match=rf"100\.webm: there is 100\{suffix}, not 100\.webm; clips="
    ) as caught:
        open_("something_v2", root)
    assert f"clips={setting} would read that" in str(caught.value)
    assert len(open_("something_v2", root, clips=setting).index.clips) == 7


def test_frames_in_place_of_videos_are_said_with_the_setting(own: Callable[[str], Path]) -> None:
    root = own("something_v2")
    for video in list((root / "20bn-something-something-v2").iterdir()):
        video.unlink()
        write_pictures(video.with_suffix(""), moving_bar(0, int(video.stem)))
    with pytest.raises(
        DataError, match=r"there is the folder 100, which holds 00001\.jpg to 00012\.jpg"
    ) as caught:
        open_("something_v2", root)
    setting = "20bn-something-something-v2/{id}/{frame:05d}.jpg"
    assert f"clips={setting} would read that" in str(caught.value)
    assert len(open_("something_v2", root, clips=setting).index.clips) == 7


ENDINGS = {
    ".wmv": "wmv2",
    ".flv": "flv",
    ".3gp": "libx264",
    ".ts": "libx264",
    ".h264": "libx264",
    ".MP4": "libx264",
}


@pytest.mark.parametrize("suffix", ENDINGS)
def test_folders_read_every_ending_that_a_list_reads(suffix: str, tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / "root" / split / name).mkdir(parents=True)
            frames = moving_bar(0, ord(name), height=48, width=64)
            write_video(tmp_path / "root" / split / name / f"1{suffix}", frames, ENDINGS[suffix], {"bf": "0"})
        lines = "".join(f"{split}/{name}/1{suffix} 12 {place}\n" for place, name in enumerate("ab"))
        (tmp_path / "root" / f"{split}.txt").write_text(lines)
    for format_ in ("folders", "list"):
        found = open_(format_, tmp_path / "root")
        assert [clip.frames for clip in found.index.clips] == [12] * 4


REPORTED = ROOT.parent / "shared" / "cases" / "12_readable_video_refused"


@pytest.mark.skipif(not REPORTED.is_dir(), reason="the reported files are not here")
def test_the_reported_videos_are_clips_of_folders(tmp_path: Path) -> None:
    for split in ("train", "val"):
        shutil.copytree(REPORTED, tmp_path / "root" / split / "a")
        shutil.copytree(REPORTED, tmp_path / "root" / split / "b")
    assert [clip.frames for clip in open_("folders", tmp_path / "root").index.clips] == [20] * 12


# --- Annotations as others write them -----------------------------------------------------------------------


def test_something_v2_is_found_as_its_publisher_packs_it_now(own: Callable[[str], Path]) -> None:
    root = own("something_v2")
    before = open_("something_v2", root)
    (root / "labels").mkdir()
    for word in ("labels", "train", "validation", "test"):
        (root / f"something-something-v2-{word}.json").rename(root / "labels" / f"{word}.json")
    assert guess_format(root) == "something_v2"
    after = open_("something_v2", root)
    assert after.index.clips == before.index.clips
    assert after.fingerprint == before.fingerprint
    assert main(["check", str(root), "--out", str(root / "found.json")]) == 0
    assert json.loads((root / "found.json").read_text())["good"]["test"] == 1


def test_a_csv_with_everything_in_quotes_is_read_without_them(own: Callable[[str], Path]) -> None:
    root = own("jester")
    before = open_("jester", root)
    for file in root.glob("*.csv"):
        lines = [";".join(f'"{word}"' for word in line.split(";")) for line in file.read_text().splitlines()]
        file.write_text("\n".join(lines) + "\n")
    after = open_("jester", root)
    assert (after.classes, after.index.clips) == (before.classes, before.index.clips)
    assert main(["check", str(root), "--out", str(root / "found.json")]) == 0


ACCENTED = [unicodedata.normalize(form, "Prendre un café") for form in ("NFC", "NFD")]


@pytest.mark.parametrize("name", ["jester", "something_v2", "folders"])
def test_a_label_is_the_same_class_however_its_accents_are_stored(
    name: str, own: Callable[[str], Path]
) -> None:
    root = own(name)
    if name == "folders":
        for split, spelled in zip(("train", "val"), ACCENTED, strict=True):
            (root / split / LABELS[0]).rename(root / split / spelled)
    for file in root.glob("*.csv"):
        file.write_text(file.read_text().replace(LABELS[0], ACCENTED["labels" in file.name]))
    for file in root.glob("*.json"):
        template = LABELS[0].replace("something", "[something]")
        text = json.loads(file.read_text())
        if isinstance(text, dict):
            text = {key.replace(LABELS[0], ACCENTED[0]): value for key, value in text.items()}
        else:
            text = [
                {**one, "template": one.get("template", "").replace(template, ACCENTED[1])} for one in text
            ]
        file.write_text(json.dumps(text))
    data = open_(name, root)
    assert len(data.classes) == 3
    assert (
        sum(unicodedata.normalize("NFC", data.classes[c.label]) == ACCENTED[0] for c in data.index.clips) == 3
    )


def test_two_classes_of_the_same_letters_are_a_problem(own: Callable[[str], Path]) -> None:
    root = own("jester")
    labels = root / "jester-v1-labels.csv"
    labels.write_text(labels.read_text() + "".join(f"{label}\n" for label in ACCENTED))
    with pytest.raises(DataError, match="are the same letters, stored in two ways of Unicode"):
        open_("jester", root)


def relabel(root: Path, change: Callable[[int], int]) -> None:
    for file in (root / "train.txt", root / "val.txt"):
        lines = [line.rsplit(" ", 1) for line in file.read_text().splitlines()]
        file.write_text("".join(f"{rest} {change(int(label))}\n" for rest, label in lines))


def test_one_label_far_beyond_the_others_is_a_problem_of_its_line(
    own: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = own("list")
    relabel(root, lambda label: {2: 90_000}.get(label, label))
    text = "line 3: label 90000 is far from the others, of which the next is 1; mend it, or name the classes"
    with pytest.raises(DataError) as caught:
        open_("list", root)
    assert f"train.txt: {text}" in str(caught.value)
    assert main(["check", str(root), "--out", str(root / "found.json")]) == 1
    assert "classes  2, " in capsys.readouterr().out


def test_labels_that_count_from_1_are_a_problem_of_the_list(own: Callable[[str], Path]) -> None:
    root = own("list")
    relabel(root, lambda label: label + 1)
    with pytest.raises(
        DataError, match=r"train\.txt: line 1: no clip has the label 0: do the labels count from 1"
    ):
        open_("list", root)
    (root / "classes.txt").write_text("a\nb\nc\n")
    with pytest.raises(DataError, match=r"label 3 is no class; .* numbered from 0; these count from 1"):
        open_("list", root, labels="classes.txt")


@pytest.mark.parametrize("labels", [(0, 7, 30), (4, 12, 60), (2, 5, 9)])
def test_a_few_clips_of_many_classes_are_no_problem(
    labels: tuple[int, ...], own: Callable[[str], Path]
) -> None:
    root = own("list")
    relabel(root, lambda label: labels[label])
    assert len(open_("list", root).classes) == labels[-1] + 1


REPORTED_LIST = ROOT.parent / "shared" / "cases" / "15_one_wrong_label" / "train.txt"


@pytest.mark.skipif(not REPORTED_LIST.exists(), reason="the reported files are not here")
def test_the_reported_list_is_a_problem(tmp_path: Path) -> None:
    shutil.copy(REPORTED_LIST, tmp_path / "train.txt")
    (tmp_path / "val.txt").write_text("v/104.webm 12 1\n")
    with pytest.raises(DataError, match=r"train\.txt: line 1: label 90000 is far from the others"):
        open_("list", tmp_path)


def test_one_class_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "val"):
        write_webm(
            tmp_path / "root" / split / "waving" / f"{split}.webm", moving_bar(0, len(split), frames=3)
        )
    with pytest.raises(
        DataError, match=r"dataset: folders has one class, 'waving'; there is nothing to tell it from"
    ):
        open_("folders", tmp_path / "root")
    assert main(["check", str(tmp_path / "root"), "--out", str(tmp_path / "found.json")]) == 1
    assert "has one class, 'waving'" in capsys.readouterr().out
    assert config("folders", tmp_path / "root").dataset_name == "folders"
