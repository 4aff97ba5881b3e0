"""`harness.predict`: a video is scored as its study scored it, and what cannot be read is one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from builders.datasets import write_webm
from builders.kept import keep, settings
from builders.place import TINY, Workplace
from PIL import Image

from harness.data.config import DataConfig
from harness.data.dataset import DataSet, open_data
from harness.errors import TrackingError
from harness.predict.__main__ import main
from harness.predict.video import Predictor
from harness.tracking import network
from harness.tracking.trained import load_trained
from harness.train.evaluation import evaluate
from harness.train.settings import plain

CPU = torch.device("cpu")
OPERATOR = {"name": "depthwise", "kernel_size": 3}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "one view": {},
    "two clips of three crops": {"protocol": "fullres_2clip"},
    "mirrored, left read as right": {"protocol": "ten_crop", "mirror": "swap_labels", "fusion": "logits"},
}


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> DataSet:
    return open_data(settings(OPERATOR).data, tiny_data)


@pytest.mark.parametrize("test", PROTOCOLS.values(), ids=PROTOCOLS)
def test_videos_have_the_scores_of_the_studys_own_evaluation(
    test: dict[str, Any], data: DataSet, tiny_data: Path, tmp_path: Path
) -> None:
    """To the bit where a pass holds one video; in larger batches torch may add up in another order."""
    chosen = settings(OPERATOR, **test)
    trained = load_trained(str(keep(tmp_path, chosen, data.classes)))
    predictor = Predictor(trained, CPU)
    videos = [0, 5, 9]
    own = open_data(chosen.data, tiny_data)
    views = len(predictor.protocol.views())
    alone = evaluate(trained.network, chosen, own, CPU, indices=videos, at_once=views).scores
    together = evaluate(trained.network, chosen, own, CPU, indices=videos).scores
    found = np.stack([predictor.video(own.split("val").clips[v].file).scores for v in videos])
    assert np.array_equal(found, alone)
    assert np.abs(found - together).max() <= 1e-5 * np.abs(together).max()
    assert len({row.tobytes() for row in found}) == len(videos)


def test_a_study_is_trained_and_its_network_names_a_validation_clip(
    ready: Workplace, capsys: pytest.CaptureFixture[str], no_trial_figures: None
) -> None:
    """By every name; the scores are those that the study kept of that clip."""
    assert ready.run(ready.study(), "--variants", "ks13").code == 0
    (run,) = ready.runs()
    (model,) = ready.client().search_logged_models([run.info.experiment_id])
    clips = open_data(DataConfig(**TINY["data"]), ready.data)
    video = clips.split("val").clips[3].file
    folder = ready.client().download_artifacts(run.info.run_id, "scores.npz", str(ready.folder))
    kept = np.load(folder)["scores"][3]
    for name in ("tiny/ks13", "tiny/ks13/0", run.info.run_id, f"models:/{model.model_id}"):
        found = Predictor(load_trained(name, ready.uri), CPU).video(video)
        assert np.abs(found.scores - kept).max() <= 1e-5 * np.abs(kept).max()
    capsys.readouterr()
    assert main(["tiny/ks13", str(video), str(video), "--tracking-uri", ready.uri]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{video}: 24 frames, seen: 3 9 15 21"
    percent = [float(re.fullmatch(r" +([\d.]+) %  .*", line)[1]) for line in lines[1:6]]
    exact = np.exp(kept.astype(float)) / np.exp(kept.astype(float)).sum()
    assert percent == pytest.approx(np.sort(100 * exact)[::-1][:5], abs=0.051)
    assert lines[1].endswith(f"  {clips.classes[kept.argmax()]}")
    assert lines[6] == f"   frames  predicted/{video.stem}.png"
    assert lines[-1] == f"   frames  predicted/{video.stem}-2.png"
    with Image.open(
        f"predicted/{video.stem}.png"
    ) as picture:  # four frames of 16 pixels, seven times as large
        assert picture.size == (140 + 4 * (16 * 7 + 3), 16 * 7 + 3)
    note = model.tags["mlflow.note.content"]
    assert f"python -m harness.predict models:/{model.model_id} VIDEO" in note
    assert "uint8 (N, 4, 3, 16, 16)" in note


def test_the_picture_holds_the_pixels_that_the_network_saw(data: DataSet, tmp_path: Path) -> None:
    frames = np.zeros((12, 48, 32, 3), np.uint8)
    for t in range(12):
        frames[t, :, 8 + t : 11 + t] = 255
    video = write_webm(tmp_path / "bar.webm", frames)
    predictor = Predictor(load_trained(str(keep(tmp_path, settings(OPERATOR), data.classes))), CPU)
    found = predictor.video(video)
    assert found.times.tolist() == [[1, 4, 7, 10]]  # the middle of each quarter of 12 frames
    assert found.shown.shape == (1, 4, 16, 16, 3)
    bar = (
        found.shown[0].astype(int).sum(axis=(1, 3)).argmax(axis=1)
    )  # a bright column that moves to the right
    assert (np.diff(bar) > 0).all()


def test_what_is_no_video_is_one_line_and_the_others_are_scored(
    data: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = keep(tmp_path, settings(OPERATOR), data.classes)
    good = data.split("val").clips[0].file
    Path("notes.mp4").write_text("not a video")
    Path("cut.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    Path("folder").mkdir()
    assert main([str(model), "gone.mp4", "folder", "notes.mp4", "cut.mp4", str(good)]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{good}: 24 frames")
    gone, folder, notes, cut = shown.err.splitlines()
    assert folder == "error: folder: is a folder"
    assert gone == "error: gone.mp4: no such video file"
    assert notes.startswith("error: notes.mp4: ")
    assert cut.startswith("error: cut.mp4: ")


def test_names_that_mean_no_network_are_one_line_with_the_way_out(
    ready: Workplace, no_trial_figures: None
) -> None:
    ready.run(ready.study(), "--networks", "none", "--variants", "ks13")
    (run,) = ready.runs()
    told = {
        "tiny/ks31": r"tiny/ks31: no finished trial of 'ks31'; did you mean 'ks13'\?",
        "tiny/ks13/4": "tiny/ks13/4: no finished trial of seed 4; known: 0",
        "tiny/ks13": "tiny/ks13: its network was not kept; run its trial again with --force --networks all",
        run.info.run_id: f"{run.info.run_id}: its network was not kept",
        "tini/ks13": r"no study 'tini' in .*; did you mean 'tiny'\?",
        "0123abcd": "0123abcd",
        str(ready.folder): r"is no trained network of this project \(it has no data/network.yaml\)",
    }
    for name, words in told.items():
        with pytest.raises(TrackingError, match=words) as error:
            load_trained(name, ready.uri)
        assert "\n" not in str(error.value)


def test_a_network_that_cannot_be_built_says_why_in_one_line(tmp_path: Path) -> None:
    model = keep(tmp_path, settings(OPERATOR), ["a", "b"])
    file = model / "data" / network.SETTINGS
    whole = yaml.safe_load(file.read_text())

    def refused(words: str, **operator: Any) -> None:
        changed = {**whole, "settings": {**whole["settings"]}}
        changed["settings"]["model"] = {**whole["settings"]["model"], "operator": operator}
        file.write_text(yaml.safe_dump(changed))
        with pytest.raises(TrackingError, match=words) as error:
            load_trained(str(model))
        assert str(error.value).startswith(f"{model}: ")
        assert "\n" not in str(error.value)

    refused("no module 'gone_op'", name="gone_op.Mine")
    refused("its weights do not fit its settings", name="depthwise", kernel_size=5)
    file.write_text("a: &a [x, x, x, x, x, x, x, x]\n" + "b: [*a, *a]\n" + "c: &c [" + "*a, " * 20_000 + "]")
    with pytest.raises(TrackingError, match="more than 100,000 values"):
        load_trained(str(model))
    file.write_text("settings: {model: [\n")
    with pytest.raises(TrackingError, match="is it damaged"):
        load_trained(str(model))


def test_a_folder_that_does_not_know_how_its_clips_were_cut_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As earlier versions wrote it."""
    model = keep(tmp_path, settings(OPERATOR), ["a", "b"])
    kept = {"model": plain(settings(OPERATOR))["model"], "num_frames": 4, "crop": 16, "classes": ["a", "b"]}
    (model / "data" / network.SETTINGS).write_text(yaml.safe_dump(kept))
    assert main([str(model), "clip.mp4"]) == 2
    assert "name its run or its model" in capsys.readouterr().err
