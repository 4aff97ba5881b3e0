"""The generated data set as files: what is written is what was drawn, whole or not at all."""

import json
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
from harness.data.generated.scenes import CLASSES
from harness.data.generated.tasks import find_task
from harness.data.index import Index
from harness.errors import DataError

TINY = GeneratedConfig(train_clips=32, val_clips=16, width=64)  # not square: a swapped axis shows


def silent(done: int, total: int) -> None:
    """No progress shown."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return prepare(TINY, tmp_path_factory.mktemp("generated"), silent)


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
        # A validation clip of the second of two twins shows its neighbour's clip, reversed.
        backwards = clip.split == "val" and CLASSES[clip.label].reverse
        rng = np.random.default_rng([TINY.seed, number - backwards])
        drawn = find_task("scenes").draw(TINY.canvas, 0, clip.label - backwards, rng)
        decoded = read_frames(clip.file)[:: -1 if backwards else 1]
        assert decoded.shape == drawn.shape == (24, 48, 64, 3)
        assert np.abs(decoded.astype(int) - drawn).mean() < 8  # of 255: noise of 4, lossy colours


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
    assert pairs == 6  # short, long and half


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(tiny: Index, tmp_path: Path) -> None:
    again = prepare(TINY, tmp_path, silent)
    assert again.fingerprint == tiny.fingerprint
    other = prepare(GeneratedConfig(train_clips=32, val_clips=16, width=64, seed=1), tmp_path, silent)
    assert other.fingerprint != tiny.fingerprint
    assert other.folder != again.folder


def test_several_processes_write_the_same_bytes_as_one(
    tiny: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "JOBS_PER_PROCESS", 16)
    monkeypatch.setattr(parallel, "usable_cpus", lambda: 2)
    seen: list[tuple[int, int]] = []
    again = prepare(TINY, tmp_path, lambda done, total: seen.append((done, total)))
    assert again.fingerprint == tiny.fingerprint
    assert seen == [(done, 48) for done in range(49)]


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

config = GeneratedConfig(train_clips=32, val_clips=16, width=64)
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
    whole = manifest.read_text()
    outside = whole.replace('"val/00000.mp4"', '"../../elsewhere.mp4"', 1)
    assert outside != whole
    for text in (
        whole[:100],
        json.dumps({"clips": []}),
        "[]",
        outside,
        whole.replace('"val/00000.mp4"', "7", 1),
    ):
        manifest.write_text(text)
        with pytest.raises(DataError, match="makes the clips anew"):
            find(GeneratedConfig(train_clips=1, val_clips=1), tmp_path)
