"""The three public data sets, in small but in their publishers' formats, from annotation to result."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.datasets import LABELS, make, write_csv
from builders.place import Workplace

from harness.data.config import DataConfig
from harness.data.dataset import located, open_data
from harness.data.views import EvalConfig
from harness.model.config import ModelConfig
from harness.records import TrialRecord
from harness.study.load import load_study
from harness.study.protocol import protocol
from harness.study.study import trial_id
from harness.train.recipe import TrainConfig
from harness.train.settings import Settings
from harness.train.trial import Job, run_trial

PUBLIC = ("something_v1", "something_v2", "jester")


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    top = tmp_path_factory.mktemp("public")
    return {name: make(name, top / name, train=9, val=6) for name in PUBLIC}


def settings(name: str, root: Path, test: str = "center_1clip", **data: Any) -> Settings:
    return Settings(
        model=ModelConfig(backbone="resnet_tiny", operator={"name": "mixtconv", "kernel_sizes": [1, 3]}),
        data=DataConfig(
            dataset={"name": name, "root": str(root)}, num_frames=4, short_side=24, crop=16,
            test=EvalConfig(protocol=test), **data,
        ),
        train=TrainConfig(epochs=2, batch_size=4, lr=0.02, milestones=(1,)),
    )  # fmt: skip


def train(chosen: Settings, folder: Path, data_dir: Path) -> TrialRecord:
    job = Job(trial_id="t", variant="v", seed=0, settings=chosen, data_dir=data_dir, folder=folder)
    return run_trial(job)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_data_set_trains_through_its_reader_and_both_protocols(
    name: str, public: dict[str, Path], tmp_path: Path
) -> None:
    scores = {}
    for test in ("center_1clip", "fullres_2clip"):
        folder = tmp_path / test
        record = train(settings(name, public[name], test, mirror="swap_labels"), folder, tmp_path / "data")
        assert (record.status, record.reason) == ("done", "")
        assert [entry["epoch"] for entry in record.history] == [1, 2]
        assert all(np.isfinite(entry["train/loss"]) for entry in record.history)
        assert record.predictions["clip"] == [
            str(id_) for id_ in range(109, 115)
        ]  # after 9 training clips from 100
        wanted = [sorted(LABELS).index(LABELS[i % 3]) for i in range(6)]
        assert record.predictions["label"] == wanted
        right = np.mean(np.equal(record.predictions["predicted"], wanted))
        assert record.last["top1"] == pytest.approx(100 * right)
        assert record.skipped == {}
        with np.load(folder / "scores.npz") as saved:
            scores[test] = saved["scores"]
        assert scores[test].shape == (6, 3)
    assert not np.allclose(scores["center_1clip"], scores["fullres_2clip"])


def test_clips_that_cannot_be_read_are_named_in_the_result(public: dict[str, Path], tmp_path: Path) -> None:
    root = Path(shutil.copytree(public["jester"], tmp_path / "jester"))
    clips = root / "20bn-jester-v1"
    shutil.rmtree(clips / "102")  # seen by the index
    shutil.rmtree(clips / "110")
    for id_ in ("105", "112"):  # seen only by who opens the pictures
        for picture in (clips / id_).iterdir():
            picture.write_bytes(b"no picture")
    failed = train(settings("jester", root), tmp_path / "a", tmp_path / "data")
    assert failed.status == "failed"
    assert failed.reason.startswith("clip 102: ")
    record = train(settings("jester", root, on_unreadable="skip"), tmp_path / "b", tmp_path / "data")
    assert record.status == "done"
    assert record.skipped == {"train": ["102", "105"], "val": ["110", "112"]}
    assert record.predictions["clip"] == ["109", "111", "113", "114"]
    right = np.mean(np.equal(record.predictions["predicted"], record.predictions["label"]))
    assert record.last["top1"] == pytest.approx(100 * right)


@pytest.mark.parametrize(
    ("ids", "message"),
    [(range(100, 109), "epoch 1: not one training clip"), (range(109, 115), "no validation")],
)
def test_a_trial_without_a_single_readable_clip_fails_in_words(
    ids: range, message: str, public: dict[str, Path], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(public["jester"], tmp_path / "jester"))
    for id_ in ids:
        for picture in (root / "20bn-jester-v1" / str(id_)).iterdir():
            picture.write_bytes(b"no picture")
    record = train(settings("jester", root, on_unreadable="skip"), tmp_path / "t", tmp_path / "data")
    assert record.status == "failed"
    assert record.reason.startswith(message)
    assert "harness.data check ROOT --decode" in record.reason


def test_where_a_data_set_lies_is_no_part_of_a_trials_id(
    public: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXTBENCH_DATASETS", str(public["jester"].parent))
    by_name = Settings(data=DataConfig(dataset="jester"))
    moved = Settings(data=DataConfig(dataset={"name": "jester", "root": str(tmp_path)}))
    ordered = Settings(
        data=DataConfig(dataset={"name": "jester", "root": str(tmp_path), "label_order": "file"})
    )
    ids = [trial_id(s, 0, "the same clips") for s in (by_name, moved, ordered)]
    assert ids[0] == ids[1] != ids[2]
    assert located(by_name.data).dataset == {"name": "jester", "root": str(public["jester"])}
    assert located(DataConfig()).dataset == "generated"


def words(place: Workplace, root: Path, **data: Any) -> dict[str, str]:
    dataset = {"name": "jester", "root": str(root)}
    study = load_study(
        place.study(data={"dataset": dataset, "num_frames": 4, "short_side": 24, "crop": 16, **data})
    )
    return protocol(study, open_data(study.variants["tsn"].data, place.data))


def test_the_protocol_says_what_mirroring_does(place: Workplace, public: dict[str, Path]) -> None:
    root = public["jester"]
    assert words(place, root)["mirroring"] == "no training clip is mirrored"
    pair = "Moving something left and Moving something right"
    assert words(place, root, mirror=True)["mirroring"].endswith(f"each other's mirror image: {pair}")
    assert words(place, root, mirror="swap_labels")["mirroring"].endswith(f"names a direction: {pair}")
    assert "in sorted order, 3 classes, 9 training and 6 validation clips" in words(place, root)["data set"]


def test_the_protocol_claims_nothing_of_classes_without_names_or_of_data_that_is_not_here(
    place: Workplace, tmp_path: Path
) -> None:
    dataset = {"name": "list", "root": str(make("list", tmp_path / "list"))}
    how = {"num_frames": 4, "short_side": 24, "crop": 16, "mirror": True}
    study = load_study(place.study(data={"dataset": dataset} | how))
    said = protocol(study, open_data(study.variants["tsn"].data, place.data))
    assert said["mirroring"].endswith("its label kept; the classes have no names that could tell a direction")
    for choice, expected in (
        ("error", "are an error"),
        ("skip", "left out of training and of accuracies, by choice; not counted yet"),
    ):
        elsewhere = load_study(place.study(data={"dataset": "jester", "on_unreadable": choice}))
        assert protocol(elsewhere, None)["unreadable clips"] == expected


def test_the_protocol_says_what_the_optimiser_does(place: Workplace) -> None:
    for recipe, start, end in (
        ({"optimizer": "sgd", "momentum": 0.8}, "sgd with momentum 0.8, lr ", "gradient norm clipped at 20"),
        ({"optimizer": "adamw", "clip_gradient": 0}, "adamw, lr ", "gradients not clipped"),
    ):
        said = protocol(load_study(place.study(train=recipe)), None)["optimiser"]
        assert said.startswith(start)
        assert said.endswith(end)


def test_the_protocol_counts_the_clips_that_are_left_out(place: Workplace, public: dict[str, Path]) -> None:
    root = Path(shutil.copytree(public["jester"], place.folder / "jester"))
    assert words(place, root)["unreadable clips"] == "are an error; there is none"
    write_csv(root / "jester-v1-train.csv", [(str(id_), LABELS[0]) for id_ in (100, 555, 556)])
    said = words(place, root, on_unreadable="skip")["unreadable clips"]
    assert "by choice: 2 of train when the data set was indexed" in said


def test_a_study_on_a_public_data_set_runs_by_one_command(ready: Workplace, public: dict[str, Path]) -> None:
    root = Path(shutil.copytree(public["something_v1"], ready.folder / "elsewhere" / "something_v1"))
    shutil.rmtree(root / "20bn-something-something-v1" / "109")
    data = {"dataset": {"name": "something_v1", "root": "elsewhere/something_v1"}, "num_frames": 4}
    data |= {"short_side": 24, "crop": 16}
    refused = ready.run(ready.study(data=data))
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "clip 109: " in refused.err
    done = ready.run(ready.study(data=data | {"on_unreadable": "skip"}))
    assert (done.code, done.err) == (0, "")
    record = ready.load()
    assert [trial.skipped for trial in record.trials] == [{"val": ["109"]}] * 2
    assert "1 of val" in record.protocol["unreadable clips"]
