"""Data sets from elsewhere: their formats, what is wrong in them, and their index."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.datasets import LABELS, make, moving_bar, write_csv, write_pictures, write_webm
from builders.place import ROOT
from PIL import Image

from harness.data import (
    DataConfig,
    DataSet,
    TrainBatches,
    TrainKey,
    eval_batches,
    find_data,
    missing_data,
    open_data,
)
from harness.data.sources.annotations import (
    Entry,
    checked,
    classes_csv,
    clips_csv,
    clips_json,
    clips_list,
    id_problem,
    refuse,
)
from harness.errors import DataError

FORMATS = ("something_v1", "something_v2", "jester", "list", "folders")
SMALL: dict[str, Any] = {"num_frames": 4, "short_side": 24, "crop": 16, "scales": (1.0, 0.75)}


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small data set of every format. Not to be written to."""
    top = tmp_path_factory.mktemp("roots")
    return {name: make(name, top / name) for name in FORMATS}


@pytest.fixture
def own(roots: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one of them to do harm to."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(roots[name], tmp_path / name))

    return copy


def config(name: str, root: Path, **settings: Any) -> DataConfig:
    general = {key: settings.pop(key) for key in ("mirror", "on_unreadable") if key in settings}
    return DataConfig(dataset={"name": name, "root": str(root), **settings}, **SMALL, **general)


def open_(name: str, root: Path, **settings: Any) -> DataSet:
    return open_data(config(name, root, **settings), root.parent / "index")


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


# --- What is wrong in annotations ---------------------------------------------------------------------------


def damage(root: Path, what: str) -> str:
    """Do something to a Jester data set; returns what the error must say."""
    train, labels = root / "jester-v1-train.csv", root / "jester-v1-labels.csv"
    lines = train.read_text().splitlines()
    changed: dict[str, tuple[Sequence[str], str]] = {
        "comma": ([lines[0].replace(";", ","), *lines[1:]], "line 1: '100,Pushing something' is not `id;label`; "
                  "it seems to be separated by ','"),
        "unknown label": ([*lines, "7;Moving something lefft"], "line 5: label 'Moving something lefft' is no class; "
                          "did you mean 'Moving something left'?"),
        "far label": ([*lines, "7;Zzz"], "line 5: label 'Zzz' is no class; none of the 3 classes is near"),
        "duplicate id": ([*lines, lines[0]], "line 5: id '100' stands also at"),
        "id of another split": ([*lines, f"104;{LABELS[0]}"], "id '104' stands also at"),
        "climbing id": ([*lines, f"../100;{LABELS[0]}"], "id '../100' leaves the data set's root"),
        "absolute id": ([*lines, f"/etc/passwd;{LABELS[0]}"], "id '/etc/passwd' is not a path relative to"),
        "only ids": ([line.split(";")[0] for line in lines], "line 1: '100' is not `id;label`"),
        "empty": ([], "jester-v1-train.csv: the file is empty"),
        "blank": (["", " "], "the file holds nothing but blank lines"),
    }  # fmt: skip
    if what in changed:
        train.write_text("".join(f"{line}\n" for line in changed[what][0]))
        return changed[what][1]
    if what == "latin-1":
        train.write_bytes(train.read_bytes() + "7;Caf\xe9\n".encode("latin-1"))
        return "is not UTF-8 text"
    if what == "class twice":
        write_csv(labels, [(label,) for label in (*LABELS, LABELS[0])])
        return f"line 4: class {LABELS[0]!r} is listed twice"
    if what == "no class list":
        labels.unlink()
        return "no jester-v1-labels.csv; set data.dataset.root"
    raise AssertionError(what)


@pytest.mark.parametrize(
    "what",
    ["comma", "unknown label", "far label", "duplicate id", "id of another split", "climbing id", "absolute id",
     "only ids", "empty", "blank", "latin-1", "class twice", "no class list"],
)  # fmt: skip
def test_a_wrong_annotation_is_one_line_with_its_place(what: str, own: Callable[[str], Path]) -> None:
    root = own("jester")
    message = damage(root, what)
    for choice in ("error", "skip"):  # only clips can be skipped, annotations are mended
        with pytest.raises(DataError) as caught:
            open_("jester", root, on_unreadable=choice)
        assert message in str(caught.value)
        assert str(root) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_words(own: Callable[[str], Path]) -> None:
    root, plain = own("jester"), own("something_v1")
    before = open_("jester", root)
    for file in root.glob("*.csv"):
        file.write_bytes(2 * b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    after = open_("jester", root)
    assert (after.classes, after.index.clips) == (before.classes, before.index.clips)
    for file in plain.glob("*.csv"):
        file.write_text(file.read_text() + "\n\n")
    assert len(open_("something_v1", plain).index.clips) == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("[{", "is not JSON"),
        pytest.param("[" * 100_000, "is not JSON", id="a deep one"),
        ("{}", "is not a list of clips"),
        ("[]", "the file lists nothing"),
        (
            '[{"id": 7, "template": "x"}]',
            "entry 1: {'id': 7, 'template': 'x'} has no text under id and template",
        ),
        ('["7"]', "entry 1: '7' has no text under id and template"),
    ],
)
def test_wrong_json_is_one_line_with_its_place(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(DataError) as caught:
        clips_json(file, refuse)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a/b.mp4 12", "is not `path num_frames label`"),
        ("a/b.mp4,12,3", "is not `path num_frames label`"),
        ("a/b.mp4 12 three", "is not `path num_frames label`"),
        ("a/b.mp4 0 3", "has no frames"),
        ("a/b.mp4 12 100000", "label 100000 is no class; classes are numbered from 0, up to 99,999"),
        (f"a/b.mp4 12 {'9' * 5000}", "is not `path num_frames label`"),
    ],
)
def test_a_wrong_line_of_a_list_is_one_line_with_its_place(line: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_text(f"good.mp4 5 0\n{line}\n")
    with pytest.raises(DataError, match=r"train\.txt: line 2: ") as caught:
        clips_list(file, refuse)
    assert message in str(caught.value)


def test_a_number_beyond_the_class_list_is_no_class(own: Callable[[str], Path]) -> None:
    root = own("list")
    (root / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"label 2 is no class; classes\.txt lists 2, numbered from 0"):
        open_("list", root, labels="classes.txt")


@pytest.mark.parametrize(
    "id_", ["", " ", "..", "../x", "a/../../x", "a/..", "./a", "a//b", "a/", "/a", "~/a", "\\\\host\\a", "a\\..\\b",
            "C:a", "a\0b", "a\nb", "caf\udce9", "\ud800"],
)  # fmt: skip
def test_an_id_cannot_leave_the_root(id_: str) -> None:
    assert id_problem(id_)
    with pytest.raises(DataError, match="id "):
        checked({"train": [Entry("here", id_, "x")]}, ["x"], refuse)


@pytest.mark.parametrize("id_", ["100218", "a/b c/d.mp4", "..a", "a..b", "{id}", "ü"])
def test_an_honest_id_is_left_alone(id_: str) -> None:
    assert id_problem(id_) == ""


def test_braces_in_an_id_are_letters(tmp_path: Path) -> None:
    for split, id_ in (("train", "{frame}{id}"), ("val", "{0.__class__}")):
        write_pictures(tmp_path / "c" / id_, moving_bar(0, 0, frames=2))
        (tmp_path / f"{split}.txt").write_text(f"{id_} 2 0\n")
    data = open_("list", tmp_path, clips="c/{id}/{frame:05d}.jpg")
    assert [c.file.name for c in data.index.clips] == ["{frame}{id}", "{0.__class__}"]
    assert data.index.clips[0].picture(1).is_file()


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
        ({"labelorder": "file"}, "jester has no setting 'labelorder'; did you mean 'label_order'?"),
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


def test_an_index_is_made_once_and_found_again(own: Callable[[str], Path], tmp_path: Path) -> None:
    root = own("jester")
    settings, told = config("jester", root), []
    assert find_data(settings, tmp_path / "index") is None
    made = open_data(settings, tmp_path / "index", lambda done, total: told.append((done, total)))
    assert told == [(i, 7) for i in range(1, 8)]
    again = open_data(settings, tmp_path / "index", lambda done, total: told.append((done, total)))
    found = find_data(settings, tmp_path / "index")
    assert len(told) == 7
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


def test_a_damaged_index_is_named(own: Callable[[str], Path]) -> None:
    root = own("jester")
    file = open_("jester", root).index.folder / "index.json"
    file.write_text(file.read_text()[:50])
    with pytest.raises(DataError, match=r"index\.json: cannot be read .*delete it"):
        open_("jester", root)


# --- Clips that cannot be read ------------------------------------------------------------------------------


def spoil(root: Path, what: str) -> tuple[str, str]:
    """Do something to one training clip; returns its id and what the error must say."""
    pictures, videos = root / "20bn-jester-v1" / "101", root / "20bn-something-something-v2" / "101.webm"
    if what == "no folder":
        shutil.rmtree(pictures)
        return "101", "101: no such folder"
    if what == "no pictures":
        for picture in pictures.iterdir():
            picture.unlink()
        return "101", "101: holds no picture named like 00001.jpg"
    if what == "a gap":
        (pictures / "00004.jpg").unlink()
        return "101", "101: pictures are missing between the first and 00012.jpg"
    if what == "no first":
        (pictures / "00001.jpg").unlink()
        return "101", "101: pictures are missing between the first and 00012.jpg"
    if what == "a file":
        shutil.rmtree(pictures)
        pictures.write_text("no folder")
        return "101", "101: cannot be read: Not a directory"
    if what == "no video":
        videos.unlink()
        return "101", "101.webm: no such video"
    if what == "an empty video":
        videos.write_bytes(b"")
        return "101", "101.webm: the file is empty"
    if what == "text":
        videos.write_text("no video" * 100)
        return "101", "101.webm: cannot be "
    raise AssertionError(what)


SPOILED = {"jester": ("no folder", "no pictures", "a gap", "no first", "a file")}
SPOILED["something_v2"] = ("no video", "an empty video", "text")


@pytest.mark.parametrize(("name", "what"), [(n, w) for n, several in SPOILED.items() for w in several])
def test_a_clip_that_cannot_be_read_is_an_error_or_left_out_by_choice(
    name: str, what: str, own: Callable[[str], Path]
) -> None:
    root = own(name)
    id_, message = spoil(root, what)
    with pytest.raises(DataError) as caught:
        open_(name, root)
    assert f"clip {id_}: " in str(caught.value)
    assert message in str(caught.value)
    assert "data.on_unreadable: skip" in str(caught.value)
    assert "\n" not in str(caught.value)
    data = open_(name, root, on_unreadable="skip")
    assert data.skipped == {"train": [id_]}
    assert [c.id for c in data.split("train").clips] == ["100", "102", "103"]
    assert len(data.split("val")) == 3


def test_a_repaired_clip_is_seen_where_it_was_an_error(own: Callable[[str], Path]) -> None:
    root = own("jester")
    spoil(root, "no folder")
    with pytest.raises(DataError, match="clip 101"):
        open_("jester", root)
    left_out = open_("jester", root, on_unreadable="skip")
    write_pictures(root / "20bn-jester-v1" / "101", moving_bar(1, 101, frames=12))
    assert (
        open_("jester", root, on_unreadable="skip").fingerprint == left_out.fingerprint
    )  # as it was planned
    whole = open_("jester", root)
    assert len(whole.split("train")) == 4
    assert whole.fingerprint != left_out.fingerprint


def test_a_split_without_a_readable_clip_is_an_error_also_when_skipping(own: Callable[[str], Path]) -> None:
    root = own("jester")
    for id_ in ("104", "105", "106"):
        shutil.rmtree(root / "20bn-jester-v1" / id_)
    with pytest.raises(DataError, match=r"split 'val' .* no clip that can be read: clip 104: "):
        open_("jester", root, on_unreadable="skip")


def test_a_list_that_states_another_number_of_frames_is_named(own: Callable[[str], Path]) -> None:
    root = own("list")
    (root / "train.txt").write_text((root / "train.txt").read_text().replace("101.webm 12", "101.webm 13"))
    with pytest.raises(DataError, match=r"101\.webm: has 12 frames, its annotation says 13"):
        open_("list", root)


def test_folders_name_what_is_no_clip(own: Callable[[str], Path]) -> None:
    root = own("folders")
    (root / "train" / LABELS[0] / ".DS_Store").write_text("the system's own")
    assert len(open_("folders", root).index.clips) == 7
    note = root / "train" / LABELS[0] / "notes.txt"
    note.write_text("no clip")
    with pytest.raises(DataError, match=r"notes\.txt: is neither a folder nor a video"):
        open_("folders", root)
    note.unlink()
    (root / "val" / "Some other class").mkdir()
    write_webm(root / "val" / "Some other class" / "1.webm", moving_bar(0, 0, frames=3))
    with pytest.raises(DataError, match="label 'Some other class' is no class"):
        open_("folders", root)


def damaged_later(root: Path) -> None:
    """Damage to one training and one validation clip that no index sees: a picture that is no picture."""
    for id_ in ("101", "105"):
        for picture in (root / "20bn-jester-v1" / id_).iterdir():
            picture.write_bytes(picture.read_bytes()[:100])


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*use of fork\\(\\):DeprecationWarning")
def test_a_clip_that_fails_while_training_is_an_error_that_names_it(
    workers: int, own: Callable[[str], Path]
) -> None:
    root = own("jester")
    damaged_later(root)
    data = open_("jester", root)
    with pytest.raises(DataError, match=r"^clip 101: [^\n]*jpg: [^\n]*$"):
        list(TrainBatches(data.split("train"), 4, 0, workers).epoch(0))
    with pytest.raises(DataError, match=r"^clip 105: [^\n]*jpg: [^\n]*$"):
        list(eval_batches(data.split("val"), 3, workers))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*use of fork\\(\\):DeprecationWarning")
def test_a_skipped_clip_leaves_its_batch_smaller_and_nobody_takes_its_place(
    workers: int, own: Callable[[str], Path], roots: dict[str, Path]
) -> None:
    root = own("jester")
    damaged_later(root)
    data, whole = open_("jester", root, on_unreadable="skip"), open_("jester", roots["jester"])
    batches = TrainBatches(data.split("train"), 4, seed=3, workers=workers)
    whole_batches = TrainBatches(whole.split("train"), 4, seed=3)
    for epoch in range(3):
        (batch,), (full,) = batches.epoch(epoch), whole_batches.epoch(epoch)
        assert batch.unreadable.tolist() == [1]
        kept = [i for i, index in enumerate(full.indices.tolist()) if index != 1]
        assert batch.indices.tolist() == full.indices[kept].tolist()
        assert torch.equal(batch.clips, full.clips[kept])
        assert torch.equal(batch.labels, full.labels[kept])
    seen = list(eval_batches(data.split("val"), 1, workers=workers))
    assert [b.indices.tolist() for b in seen] == [[0], [], [2]]
    assert [b.unreadable.tolist() for b in seen] == [[], [1], []]
    assert [len(b.clips) for b in seen] == [1, 0, 1]


# --- Mirroring ----------------------------------------------------------------------------------------------


def drawn(data: DataSet, epochs: int) -> list[tuple[torch.Tensor, int, int]]:
    train = data.split("train")
    items = [train[TrainKey(5, epoch, clip)] for epoch in range(epochs) for clip in range(len(train))]
    return [(clip, label, index) for clip, label, index in items if clip is not None]


def test_mirroring_changes_no_other_draw_and_half_of_the_clips(roots: dict[str, Path]) -> None:
    root = roots["jester"]
    plain, mirrored = (drawn(open_("jester", root, mirror=choice), 50) for choice in ("off", "on"))
    flipped = 0
    for (a, label_a, _), (b, label_b, _) in zip(plain, mirrored, strict=True):
        assert torch.equal(a, b) or torch.equal(a.flip(-1), b)
        assert label_a == label_b
        flipped += not torch.equal(a, b)
    assert 70 <= flipped <= 130  # of 200; 4 standard deviations


def test_swapping_gives_a_mirrored_left_the_label_of_right(roots: dict[str, Path]) -> None:
    root = roots["jester"]
    data = open_("jester", root, mirror="swap_labels")
    assert data.mirrored == [1, 0, 2]  # sorted: left, right, pushing
    plain, swapped = drawn(open_("jester", root), 20), drawn(data, 20)
    for (a, label_a, _), (b, label_b, _) in zip(plain, swapped, strict=True):
        assert label_b == (label_a if torch.equal(a, b) else [1, 0, 2][label_a])
    assert {label for _, label, index in swapped if index == 1} == {0, 1}


def test_mirroring_depends_on_seed_epoch_and_clip_alone(roots: dict[str, Path]) -> None:
    data = open_("jester", roots["jester"], mirror="on")
    alone = {index: clip for clip, _, index in drawn(data, 1)}
    for batch in TrainBatches(data.split("train"), 2, seed=5).epoch(0):
        for clip, index in zip(batch.clips, batch.indices.tolist(), strict=True):
            assert torch.equal(clip, alone[index])


def test_classes_without_names_cannot_be_swapped(roots: dict[str, Path]) -> None:
    with pytest.raises(DataError, match=r"mirror: swap_labels needs class names; give dataset\.labels"):
        open_("list", roots["list"], mirror="swap_labels")


@pytest.mark.parametrize(("given", "read"), [(True, "on"), (False, "off"), ("swap_labels", "swap_labels")])
def test_a_bare_on_or_off_of_yaml_is_understood(given: bool | str, read: str) -> None:
    assert DataConfig(mirror=given).mirror == read


@pytest.mark.parametrize(("key", "value"), [("mirror", "left"), ("on_unreadable", "replace")])
def test_an_unknown_choice_is_named_with_the_known_ones(key: str, value: str) -> None:
    with pytest.raises(DataError, match=f"{key}: '{value}' is none of "):
        DataConfig(**{key: value})  # type: ignore[arg-type]
