"""The ladder's clips as files: levels in the manifest and in every clip, and what a study may ask for."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.data.__main__ import main
from harness.data.clips import TrainKey
from harness.data.config import DataConfig
from harness.data.dataset import DataSet, open_data
from harness.data.generated.config import GeneratedConfig
from harness.data.generated.tasks import find_task
from harness.data.views import PROTOCOLS
from harness.errors import DataError

WHOLE: dict[str, Any] = {"num_frames": 8, "short_side": 16, "crop": 16, "scales": (1.0,)}


def settings(**dataset: Any) -> DataConfig:
    return DataConfig(dataset={"name": "generated", "task": "strobe", **dataset}, **WHOLE)


@pytest.fixture(scope="session")
def strobe(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    config = settings(levels=[1, 3, 6], train_clips=24, val_clips=24)
    return open_data(config, tmp_path_factory.mktemp("strobe"))


def test_every_level_has_as_many_clips_of_each_class_and_container(strobe: DataSet) -> None:
    for split in ("train", "val"):
        clips = strobe.split(split).clips
        cells = Counter((clip.level, clip.label, clip.file.suffix) for clip in clips)
        assert set(cells.values()) == {2}
        assert len(cells) == 3 * 2 * 2


def test_a_data_set_knows_its_levels_their_name_and_its_chance(strobe: DataSet) -> None:
    assert strobe.levels == [1, 3, 6]
    assert strobe.level_name == "lag"
    assert strobe.chance == 50
    assert strobe.twins == [(0, 1)]


def test_the_manifest_has_the_level_of_every_clip_under_its_name(strobe: DataSet) -> None:
    manifest = json.loads((strobe.index.folder / "manifest.json").read_text())
    assert manifest["level_name"] == "lag"
    assert [clip["lag"] for clip in manifest["clips"]] == [clip.level for clip in strobe.index.clips]


def test_a_data_set_without_levels_says_so(tmp_path: Path) -> None:
    scenes = open_data(DataConfig(dataset={"name": "generated", "train_clips": 1, "val_clips": 1}), tmp_path)
    assert (scenes.level_name, scenes.levels, scenes.chance) == ("", [], None)


def test_twins_share_a_cluster_and_show_one_clip_both_ways(strobe: DataSet) -> None:
    val = strobe.split("val")
    for first, second in zip(range(0, 24, 2), range(1, 24, 2), strict=True):
        assert val.clips[first].cluster == val.clips[second].cluster == val.clips[first].id
        assert val.clips[first].level == val.clips[second].level
        a, b = (val.views(i, PROTOCOLS["center_1clip"])[0].numpy().astype(int) for i in (first, second))
        assert np.abs(a - b[::-1]).mean() < 6  # the lossy coding
        assert np.abs(a - b[::-1]).mean() < np.abs(a - b).mean() - 2


def test_training_and_test_see_every_frame_of_a_clip_as_it_was_drawn(strobe: DataSet) -> None:
    config = strobe.config.source()
    assert isinstance(config, GeneratedConfig)
    train, place = strobe.split("train"), 7  # class 1, level 1: classes change first, then levels
    rng = np.random.default_rng([config.seed, place])
    drawn = find_task("strobe").draw(config.canvas, 1, 1, rng).astype(int)
    clip, label, _ = train[TrainKey(0, 0, place)]
    assert clip is not None
    assert (label, train.clips[place].level) == (1, 1)
    seen = clip.permute(0, 2, 3, 1).numpy()
    assert seen.shape == drawn.shape == (8, 16, 16, 3)
    assert np.abs(seen - drawn).mean() < 12  # of 255: noise, and colours at half the resolution


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"task": "storbe"}, "dataset.task: no task 'storbe'; did you mean 'strobe'?"),
        (
            {"levels": [8]},
            "dataset.levels: 8 is no lag of the task strobe: no two sightings fit into 8 frames; use 1 to 7",
        ),
        ({"levels": [0]}, "dataset.levels: 0 is no lag of the task strobe"),
        ({"levels": [1, 2, 1]}, "dataset.levels: [1, 2, 1] names a level twice"),
        ({"levels": 3}, "dataset.levels: 3 is not a list of whole numbers"),
        ({"levels": [1.5]}, "dataset.levels: [1.5] is not a list of whole numbers"),
        ({"task": "scenes", "levels": [1]}, "dataset.levels: [1]: the task scenes has no levels; leave the key out"),
        ({"frames": 12}, "dataset.frames: 12: clips of strobe have data.num_frames of them, 8"),
        (
            {"levels": [1, 2, 3], "val_clips": 100},
            "dataset.val_clips: 100 cannot be shared evenly by 2 classes and 3 levels; use 96 or 102",
        ),
        ({"levels": [1, 2], "val_clips": 3}, "use 4"),
        ({"width": 32}, "width = height"),
        ({"noise": -1}, "dataset.noise: -1 is below 0"),
        ({"noise": "loud"}, "dataset.noise: 'loud' is not a number"),
        ({"contrast": 0}, "dataset.contrast: 0 is no percentage; use 1 to 100"),
        (
            {"task": "contrast", "contrast": 50},
            "dataset.contrast: 50: it is the level of the task contrast; use levels",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_one_line(dataset: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        settings(**dataset)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [{"crop": 14}, {"scales": (1.0, 0.875)}, {"sampling": "dense"}])
def test_what_would_cut_a_clip_is_refused(cut: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="must be seen whole"):
        DataConfig(dataset={"name": "generated", "task": "strobe"}, **(WHOLE | cut))


def test_clips_are_as_long_as_what_the_network_sees() -> None:
    for num_frames in (8, 16):
        config = DataConfig(
            dataset={"name": "generated", "task": "strobe"}, **(WHOLE | {"num_frames": num_frames})
        )
        source = config.source()
        assert isinstance(source, GeneratedConfig)
        assert source.frames == num_frames


def test_noise_and_contrast_are_settings_of_a_task() -> None:
    loud, own = settings(noise=40, contrast=50).source(), settings().source()
    assert isinstance(loud, GeneratedConfig)
    assert isinstance(own, GeneratedConfig)
    assert (loud.canvas.noise, loud.canvas.contrast) == (40.0, 50)
    assert (own.canvas.noise, own.canvas.contrast) == (4.0, 100)


def test_a_contact_sheet_has_a_row_for_every_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "strobe.png"
    assert main(["sheet", "strobe", "--out", str(file)]) == 0
    assert capsys.readouterr().out == f"picture  {file}\n"
    with Image.open(file) as picture:
        assert picture.height == 6 * (4 * 16 + 3)  # six lags, 16 pixels enlarged, a gap
    assert main(["sheet", "strob"]) == 2
    assert capsys.readouterr().err == "error: task: no task 'strob'; did you mean 'strobe'?\n"
