"""The generated data set: what its classes can be told by, and that it is written whole or not at all."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from builders.place import ROOT

from harness.data import parallel
from harness.data.config import DataConfig
from harness.data.dataset import open_data
from harness.data.generated.config import GeneratedConfig
from harness.data.generated.making import find, prepare
from harness.data.generated.scenes import CLASSES, Stage, draw_clip
from harness.data.index import Index
from harness.data.sampling import segment_test
from harness.errors import DataError

TINY = GeneratedConfig(train_clips=32, val_clips=16)


def silent(done: int, total: int) -> None:
    """No progress shown."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return prepare(TINY, tmp_path_factory.mktemp("generated"), silent)


def class_named(name: str) -> int:
    return [kind.name for kind in CLASSES].index(name)


def moments(num_frames: int, rows: int = 48, columns: int = 64) -> Stage:
    return Stage(height=rows, width=columns, times=(np.arange(num_frames) + 0.5) / num_frames)


# --- What tells classes apart -------------------------------------------------------------------------------


def test_groups_hold_six_short_six_long_and_four_static_classes() -> None:
    assert Counter(kind.group for kind in CLASSES) == {"short": 6, "long": 6, "static": 4}


def test_every_temporal_class_has_a_twin_that_is_its_time_reversal() -> None:
    temporal = [kind for kind in CLASSES if kind.group != "static"]
    for kind, twin in zip(temporal[::2], temporal[1::2], strict=True):
        a, b = (draw_clip(k, 17, 48, 64, np.random.default_rng(5)) for k in (kind, twin))
        np.testing.assert_array_equal(a, b[::-1])
        assert not np.array_equal(a, b)


@pytest.mark.parametrize(("name", "axis"), [("slide_left", "x"), ("slide_up", "y")])
@pytest.mark.parametrize("num_frames", [16, 18])
def test_a_slide_is_told_by_neighbouring_frames_and_not_by_the_ends(
    name: str, axis: str, num_frames: int
) -> None:
    stage = moments(num_frames)
    period = {"x": 64, "y": 48}[axis]
    rng, ends = np.random.default_rng(0), []
    for _ in range(400):
        [body] = CLASSES[class_named(name)].scene(stage, rng)
        position = np.asarray(getattr(body, axis))
        for segments in (8, 4):
            steps = np.diff(position[segment_test(num_frames, segments)])
            assert (steps < -2).all()
            assert (steps > -period / 2).all()
        first, *_, last = position[segment_test(num_frames, 8)]
        ends.append((last - first + period / 2) % period - period / 2)
    assert abs(np.mean(ends)) < 0.06 * period  # 0 were the ends to say nothing; half a frame of rounding
    assert min(np.mean(np.array(ends) > 0), np.mean(np.array(ends) < 0)) > 0.35


def test_a_rotation_is_clockwise_by_less_than_half_a_turn_between_sampled_frames() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        [body] = CLASSES[class_named("rotate_clockwise")].scene(moments(17), rng)
        steps = np.diff(np.asarray(body.angle)[segment_test(17, 4)])
        assert ((steps > 0.1) & (steps < np.pi)).all()


def test_clockwise_means_clockwise_to_a_viewer() -> None:
    # The half disc lies at the angle of its centre of mass; y points down, so clockwise angles grow.
    frames = draw_clip(CLASSES[class_named("rotate_clockwise")], 18, 48, 64, np.random.default_rng(2))
    bright = frames.max(axis=3) > 150
    rows, columns = np.mgrid[:48, :64]
    centres = np.array([[columns[b].mean(), rows[b].mean()] for b in bright])
    spokes = centres - centres.mean(axis=0)
    turned = np.diff(np.unwrap(np.arctan2(spokes[:, 1], spokes[:, 0])))
    assert (turned > 0).mean() > 0.9


@pytest.mark.parametrize("name", [kind.name for kind in CLASSES if kind.group == "long"])
def test_events_of_a_long_class_are_three_to_five_sampled_frames_apart(name: str) -> None:
    kind, rng = CLASSES[class_named(name)], np.random.default_rng(0)
    for num_frames in (16, 24):
        for _ in range(50):
            early, late = kind.scene(moments(num_frames), rng)
            sampled = segment_test(num_frames, 8)
            seen_early = np.flatnonzero(np.asarray(early.visible)[sampled])
            seen_late = np.flatnonzero(np.asarray(late.visible)[sampled])
            assert len(seen_early) >= 1
            assert len(seen_late) >= 1
            assert 3 <= seen_late[0] - seen_early[-1] <= 5


def test_both_events_are_seen_whichever_frames_training_draws() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        for body in CLASSES[class_named("red_then_blue")].scene(moments(24), rng):
            segments = np.asarray(body.visible).reshape(8, 3)  # one frame is drawn of each
            assert segments.all(axis=1).any()


@pytest.mark.parametrize("segments", [8, 16])
def test_test_frames_of_a_reversed_clip_are_the_same_ones(segments: int) -> None:
    frames = segment_test(24, segments)
    assert sorted(23 - frames) == sorted(frames)


# --- What is written ----------------------------------------------------------------------------------------


def test_each_class_is_half_mp4_and_half_webm(tiny: Index) -> None:
    count = Counter((clip.split, clip.label, clip.file.suffix) for clip in tiny.clips)
    for label in range(len(CLASSES)):
        assert count["train", label, ".mp4"] == count["train", label, ".webm"] == 1


def test_codecs_are_h264_and_vp9(tiny: Index) -> None:
    import av

    codec: dict[str, set[str]] = {}
    for clip in tiny.clips:
        with av.open(str(clip.file)) as container:
            codec.setdefault(clip.file.suffix, set()).add(container.streams.video[0].codec_context.name)
    assert codec[".mp4"] == {"h264"}
    assert all("vp9" in name for name in codec[".webm"])


def test_what_is_decoded_is_what_was_drawn(tiny: Index) -> None:
    from harness.data.video import read_frames

    for number, clip in enumerate(tiny.clips):
        kind = CLASSES[clip.label]
        twin = kind.reverse and clip.split == "val"  # shows its neighbour's clip, reversed
        rng = np.random.default_rng([TINY.seed, number - twin])
        drawn = draw_clip(kind, TINY.frames, TINY.height, TINY.width, rng)
        decoded = read_frames(clip.file)
        assert decoded.shape == drawn.shape
        assert np.abs(decoded.astype(int) - drawn).mean() < 10  # of 255: noise of 4, lossy colours


def test_validation_twins_show_one_clip_forwards_and_backwards(tiny: Index) -> None:
    """So a network that cannot order frames is right about at most one of the two."""
    from harness.data.video import read_frames

    val = [clip for clip in tiny.clips if clip.split == "val"]
    pairs = 0
    for clip, twin in zip(val[::2], val[1::2], strict=True):
        difference = np.abs(read_frames(clip.file).astype(int) - read_frames(twin.file)[::-1])
        if CLASSES[twin.label].reverse:
            assert difference.mean() < 6  # only the lossy coding
            pairs += 1
        else:
            assert difference.mean() > 12
    assert pairs == 6


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(tiny: Index, tmp_path: Path) -> None:
    again = prepare(TINY, tmp_path, silent)
    assert again.fingerprint == tiny.fingerprint
    other = prepare(GeneratedConfig(train_clips=32, val_clips=16, seed=1), tmp_path, silent)
    assert other.fingerprint != tiny.fingerprint
    assert other.folder != again.folder


def test_several_processes_write_the_same_bytes_as_one(
    tiny: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "JOBS_PER_PROCESS", 16)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    seen: list[tuple[int, int]] = []
    again = prepare(TINY, tmp_path, lambda done, total: seen.append((done, total)))
    assert again.fingerprint == tiny.fingerprint
    assert seen == [(done, 48) for done in range(1, 49)]


def test_splits_share_no_clip(tiny: Index) -> None:
    assert len({clip.sha256 for clip in tiny.clips}) == len(tiny.clips)


# --- Whole or not at all ------------------------------------------------------------------------------------


def visible(folder: Path) -> list[str]:
    """What a user sees there: lock files are hidden."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_an_interrupted_generation_leaves_nothing_and_the_next_succeeds(tiny: Index, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(TINY, tmp_path, interrupt)
    assert visible(tmp_path) == []
    assert find(TINY, tmp_path) is None
    assert prepare(TINY, tmp_path, silent).fingerprint == tiny.fingerprint


GENERATE = """
import sys, time
from pathlib import Path
from harness.data.generated.making import GeneratedConfig, prepare

def progress(done, total):
    if done == int(sys.argv[2]):
        print("stopped", flush=True)
        time.sleep(60)

config = GeneratedConfig(train_clips=32, val_clips=16)
print(prepare(config, Path(sys.argv[1]), progress).fingerprint, flush=True)
"""


def generating(folder: Path, stop_at: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", GENERATE, str(folder), str(stop_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_killed_generation_never_looks_whole_and_is_cleaned_up(tiny: Index, tmp_path: Path) -> None:
    with generating(tmp_path, stop_at=20) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        process.send_signal(signal.SIGKILL)
    assert len(visible(tmp_path)) == 1  # what it had written
    assert find(TINY, tmp_path) is None
    whole = prepare(TINY, tmp_path, silent)
    assert whole.fingerprint == tiny.fingerprint
    assert visible(tmp_path) == [whole.folder.name]


def test_two_processes_at_once_agree_on_one_data_set(tiny: Index, tmp_path: Path) -> None:
    processes = [generating(tmp_path, stop_at=-1) for _ in range(2)]
    fingerprints = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert fingerprints == [tiny.fingerprint] * 2
    assert visible(tmp_path) == [tiny.folder.name]


def test_a_data_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError) as caught:
        open_data(DataConfig(), tmp_path / "file" / "data")
    assert str(tmp_path / "file" / "data") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_pyav_generating_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match="pip install av"):
        prepare(TINY, tmp_path, silent)
    assert visible(tmp_path) == []


def test_a_damaged_manifest_is_one_line_that_says_what_to_delete(tmp_path: Path) -> None:
    index = prepare(GeneratedConfig(train_clips=1, val_clips=1), tmp_path, silent)
    manifest = index.folder / "manifest.json"
    for text in (manifest.read_text()[:100], json.dumps({"clips": []}), "[]"):
        manifest.write_text(text)
        with pytest.raises(DataError, match="delete the folder"):
            find(GeneratedConfig(train_clips=1, val_clips=1), tmp_path)
