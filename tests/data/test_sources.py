"""Data sets from elsewhere: their formats, their settings, and their index."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.datasets import FORMATS, LABELS, SMALL, config, moving_bar, open_, write_pictures
from builders.place import ROOT
from PIL import Image

from harness.data.config import DataConfig
from harness.data.dataset import find_data, missing_data, open_data
from harness.data.sources.annotations import checked, classes_csv, clips_csv, clips_json, refuse
from harness.errors import DataError

# --- Formats ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_its_clips_with_their_classes_and_frames(
    name: str, roots: dict[str, Path]
) -> None:
    data = open_(name, roots[name])
    # Labels in turn over LABELS, frames 10 + id % 3, ids from 100: see small_datasets.py
    names = {"list": ["0", "1", "2"]}.get(name, sorted(LABELS))
    assert data.classes == names
    found = {
        (Path(c.id).stem, c.split, data.classes[c.label], c.frames) for c in data.index.clips
    }  # the stem: lists and folders name files
    order = ["0", "1", "2"] if name == "list" else LABELS
    ids = [(100 + i, "train", i % 3) for i in range(4)] + [(104 + i, "val", i % 3) for i in range(3)]
    assert found == {(str(id_), split, order[label], 10 + id_ % 3) for id_, split, label in ids}
    assert len(data.index.clips) == 7


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_pictures_that_were_written(name: str, roots: dict[str, Path]) -> None:
    val = open_(name, roots[name]).split("val")
    place = next(i for i, clip in enumerate(val.clips) if "105" in clip.id)
    clip = val.views(place, val.config.test.resolved())[0]
    # 105 % 3 = 0: 10 frames, of which the middles of 4 segments are 1, 3, 6, 8; 40x30 -> 32x24 -> the centre 16x16
    expected = moving_bar(1, 105, frames=10)[[1, 3, 6, 8]]
    assert clip.shape == (4, 3, 16, 16)
    small = [
        np.asarray(Image.fromarray(frame).resize((32, 24), Image.Resampling.BILINEAR))[4:20, 8:24]
        for frame in expected
    ]
    difference = np.abs(clip.permute(0, 2, 3, 1).numpy().astype(int) - np.stack(small).astype(int))
    assert (
        difference.mean() < 12
    )  # of 255: jpg and VP9 lose some; another frame's bar is 140 brighter elsewhere


def test_classes_are_numbered_by_name_or_in_the_files_order(roots: dict[str, Path]) -> None:
    by_name, by_file = (open_("jester", roots["jester"], label_order=order) for order in ("sorted", "file"))
    assert by_name.classes == ["Moving something left", "Moving something right", "Pushing something"]
    assert by_file.classes == ["Pushing something", "Moving something left", "Moving something right"]
    assert [by_file.classes[c.label] for c in by_file.index.clips] == [
        by_name.classes[c.label] for c in by_name.index.clips
    ]
    assert by_file.fingerprint != by_name.fingerprint


def test_a_json_class_list_in_file_order_follows_its_numbers(own: Callable[[str], Path]) -> None:
    root = own("something_v2")
    numbers = {LABELS[0]: "1", LABELS[1]: "2", LABELS[2]: "0"}
    (root / "something-something-v2-labels.json").write_text(json.dumps(numbers))
    assert open_("something_v2", root, label_order="file").classes == [LABELS[2], LABELS[0], LABELS[1]]


def test_a_template_loses_its_brackets(tmp_path: Path) -> None:
    file = tmp_path / "v2.json"
    file.write_text(json.dumps([{"id": "78687", "template": "Holding [something] next to [something]"}]))
    assert [(e.id, e.label) for e in clips_json(file, refuse)] == [
        ("78687", "Holding something next to something")
    ]


def test_a_list_may_have_class_names_spaces_in_paths_and_folders_of_pictures(tmp_path: Path) -> None:
    for id_ in ("a b/c", "d"):
        write_pictures(tmp_path / "frames" / id_, moving_bar(0, 0, frames=3), first=0)
    for folder in (tmp_path / "frames" / "a b" / "c", tmp_path / "frames" / "d"):
        for picture in sorted(folder.iterdir()):
            picture.rename(folder / f"img_{picture.name}")
    (tmp_path / "train.txt").write_text("a b/c 3 1\n")
    (tmp_path / "val.txt").write_text("d 3 0\n")
    (tmp_path / "classes.txt").write_text("zebra\nant\n")
    how = {"labels": "classes.txt", "clips": "frames/{id}/img_{frame:05d}.jpg", "first_picture": 0}
    data = open_("list", tmp_path, **how)
    assert data.classes == ["zebra", "ant"]  # numbers count lines, whatever their names
    assert [(c.id, c.label, c.frames, c.picture(0).name) for c in data.index.clips] == [
        ("a b/c", 1, 3, "img_00000.jpg"),
        ("d", 0, 3, "img_00000.jpg"),
    ]


REAL = ROOT.parent / "shared" / "data" / "annotations"


@pytest.mark.skipif(not REAL.is_dir(), reason="the publishers' own files are not here")
def test_the_publishers_own_files_are_read() -> None:
    classes = classes_csv(REAL / "jester-v1-labels.csv", refuse)
    lists = {
        "train": clips_csv(REAL / "jester-v1-train-first300.csv", refuse),
        "val": clips_csv(REAL / "jester-v1-validation-first100.csv", refuse),
    }
    good = checked(lists, classes, refuse)
    assert (len(classes), len(good["train"]), len(good["val"])) == (27, 300, 100)
    assert good["train"][0][0].id == "34870"
    assert classes[good["train"][0][1]] == "Drumming Fingers"


# --- Settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_order": "random"}, "dataset.label_order: 'random' is none of sorted, file"),
        ({"clips": "frames/{frame:05d}.jpg"}, "dataset.clips: 'frames/{frame:05d}.jpg' has no {id}"),
        ({"clips": "{id}/{frame}/{frame}.jpg"}, "dataset.clips: "),
        ({"clips": "{id}/{frame:99999999d}.jpg"}, "is no name of a picture"),
        ({"clips": "{id}/{frame.__class__}.jpg"}, "is no name of a picture"),
        ({"train": ""}, "dataset.train: is empty"),
        ({"labels": 7}, "dataset.labels: 7 is not text"),
        ({"first_picture": "1"}, "dataset.first_picture: '1' is not a whole number"),
        (
            {"labelorder": "file"},
            "dataset.labelorder: jester has no such setting; did you mean 'label_order'?",
        ),
    ],
)
def test_a_wrong_setting_of_a_data_set_is_named_with_the_rule(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        config("jester", Path("/x"), **settings)
    assert message in str(caught.value)


def test_a_missing_root_is_said_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIXTBENCH_DATASETS", raising=False)
    nowhere = DataConfig(dataset="jester")
    assert "set data.dataset: {name: jester, root: folder}" in missing_data(nowhere).lower()
    gone = config("jester", tmp_path / "gone")
    assert missing_data(gone).startswith(f"{tmp_path / 'gone'}: no such folder")
    for settings in (nowhere, gone):
        assert find_data(settings, tmp_path) is None
        with pytest.raises(DataError, match="root"):
            open_data(settings, tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("MIXTBENCH_DATASETS", str(tmp_path))
    assert missing_data(nowhere).startswith(f"{tmp_path / 'jester'}: no such folder")


def test_data_sets_are_found_by_name_under_one_folder(
    roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXTBENCH_DATASETS", str(roots["jester"].parent))
    named = open_data(DataConfig(dataset="jester", **SMALL), tmp_path)
    assert named.fingerprint == open_("jester", roots["jester"]).fingerprint


# --- The index ----------------------------------------------------------------------------------------------


def test_a_data_set_that_moved_is_the_same_one(roots: dict[str, Path], own: Callable[[str], Path]) -> None:
    for name in FORMATS:
        assert open_(name, own(name)).fingerprint == open_(name, roots[name]).fingerprint


FINGERPRINTS = {
    "something_v1": "d5059c5173c17847239331b74847122bf9cbd3a56ae547dc779da4d8687e1d97",
    "something_v2": "62027b19b08936a0758651a6314d7ddc4061368e11a224e3e0222f1f6916817d",
    "jester": "042a11f09d70ac349bd94691b7d0f797464d8592c6b307724db475007b0b6aac",
    "list": "a73165d1ed0a4b0bad0768f595f436c339f5a196698212e23c57d4cdaa88d4fd",
    "folders": "b61697e7099c950fe6d993033a9e2f23b32d12668f4204e0b0118052a70991ee",
}
"""Of the data sets that builders/datasets.py makes, as the first released version gave them: trial ids hang on them."""


@pytest.mark.parametrize("name", FORMATS)
def test_an_ordinary_data_set_keeps_its_fingerprint_from_version_to_version(
    name: str, roots: dict[str, Path]
) -> None:
    assert open_(name, roots[name]).fingerprint == FINGERPRINTS[name]


def test_an_index_is_made_once_and_found_again(own: Callable[[str], Path], tmp_path: Path) -> None:
    root = own("jester")
    settings, told = config("jester", root), []
    assert find_data(settings, tmp_path / "index") is None
    made = open_data(settings, tmp_path / "index", lambda done, total: told.append((done, total)))
    assert told == 2 * [(i, 7) for i in range(8)]  # counted, then decoded
    again = open_data(settings, tmp_path / "index", lambda done, total: told.append((done, total)))
    found = find_data(settings, tmp_path / "index")
    assert len(told) == 2 * 8  # nothing was counted again
    assert found is not None
    assert made.fingerprint == again.fingerprint == found.fingerprint


def test_an_index_older_than_its_annotations_is_not_used(own: Callable[[str], Path]) -> None:
    root = own("jester")
    old = open_("jester", root)
    train = root / "jester-v1-train.csv"
    stamp = train.stat()
    train.write_text(train.read_text().replace(LABELS[1], LABELS[2]))  # of the same clips and length or not
    os.utime(train, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # a date says nothing
    assert find_data(config("jester", root), root.parent / "index") is None
    new = open_("jester", root)
    assert new.fingerprint != old.fingerprint
    assert [c.label for c in new.split("train").clips] == [2, 1, 1, 2]


def test_a_test_list_decides_no_result(own: Callable[[str], Path]) -> None:
    root = own("jester")
    before = open_("jester", root)
    (root / "jester-v1-test.csv").unlink()
    assert open_("jester", root).fingerprint == before.fingerprint


def test_a_damaged_index_is_named_and_made_anew(
    own: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = own("jester")
    before = open_("jester", root)
    clips = list(before.index.clips)
    (file,) = before.index.folder.glob("index.*")
    damaged = file.read_bytes()[:50]
    file.unlink()  # what is mapped stays as it was
    file.write_bytes(damaged)
    after = open_("jester", root)
    assert (after.fingerprint, list(after.index.clips)) == (before.fingerprint, clips)
    assert f"{file}: cannot be read" in caplog.text


def test_an_index_of_an_earlier_version_is_made_again_without_a_question(own: Callable[[str], Path]) -> None:
    root = own("jester")
    before = open_("jester", root)
    (file,) = before.index.folder.glob("index.*")
    file.rename(file.with_name("index.json"))  # as it was called, whatever stands in it
    after = open_("jester", root)
    assert (after.fingerprint, after.index.clips) == (before.fingerprint, before.index.clips)
