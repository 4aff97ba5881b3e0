"""Which way up frames come back: as every viewer shows them, whoever decodes, or refused."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from builders.datasets import open_
from builders.place import ROOT
from builders.videos import with_matrix, write_video
from PIL import Image, ImageOps

from harness.data.__main__ import main
from harness.data.frames import read_clip
from harness.data.index import Clip
from harness.data.orientation import of_matrix, upright
from harness.data.sources.annotations import refuse
from harness.data.sources.index_files import Jobs, clips_of, count
from harness.data.sources.readers import FoldersConfig
from harness.data.video import count_frames, frame_chunks, look_and_count, read_frames
from harness.errors import DataError

TURNS = [
    (*m, 0, 0, *n) if swapped is False else (0, *m, *n, 0)
    for swapped in (False, True)
    for m, n in itertools.product([(1,), (-1,)], repeat=2)
]
"""(a, b, c, d) of all eight matrices of quarter turns and mirrors."""


def shown(frames: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Pixel by pixel, as ISO/IEC 14496-12 defines the matrix: (x, y) is shown at (a x + c y, b x + d y)."""
    height, width = frames.shape[1:3]
    places = {
        (x, y): (a * x + c * y, b * x + d * y) for x, y in itertools.product(range(width), range(height))
    }
    left, top = (min(place[i] for place in places.values()) for i in (0, 1))
    result = np.zeros((len(frames), *((width, height) if b else (height, width)), 3), np.uint8)
    for (x, y), (right, down) in places.items():
        result[:, down - top, right - left] = frames[:, y, x]
    return result


def marked(height: int, width: int, count: int = 5) -> np.ndarray:
    """Four corners of four colours; frames get brighter."""
    frames = np.full((count, height, width, 3), 60, np.uint8)
    h, w = height // 3, width // 3
    frames[:, :h, :w], frames[:, :h, -w:], frames[:, -h:, :w] = (200, 20, 20), (20, 200, 20), (20, 20, 200)
    return frames + 8 * np.arange(count, dtype=np.uint8)[:, None, None, None]


def bytes_of(a: int, b: int, c: int, d: int) -> bytes:
    return np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 99, 7, 1 << 30], np.int32).tobytes()


@pytest.mark.parametrize("turn", TURNS)
def test_a_display_matrix_means_what_its_standard_says(turn: tuple[int, int, int, int]) -> None:
    frames = np.random.default_rng(0).integers(256, size=(2, 3, 5, 3), dtype=np.uint8)
    orientation = of_matrix(bytes_of(*turn))
    assert orientation is not None
    np.testing.assert_array_equal(upright(frames, orientation), shown(frames, *turn))


@pytest.mark.parametrize("turn", [(1, 1, -1, 1), (0, 0, 0, 0), (1, 0, 0, 0)])
def test_what_is_no_quarter_turn_has_no_orientation(turn: tuple[int, int, int, int]) -> None:
    assert of_matrix(bytes_of(*turn)) is None


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(
    ("codec", "height", "width"),
    [("libx264", 66, 98), ("libx264", 48, 64), ("libsvtav1", 64, 96)],  # decord reads the first alone
)
def test_a_video_is_upright_whoever_decodes_it(
    codec: str, height: int, width: int, turn: tuple[int, int, int, int], tmp_path: Path
) -> None:
    plain = write_video(tmp_path / "plain.mp4", marked(height, width), codec, {})
    path = with_matrix(plain, tmp_path / "turned.mp4", *turn)
    expected = shown(read_frames(plain), *turn)
    np.testing.assert_array_equal(read_frames(path), expected)
    np.testing.assert_array_equal(read_frames(path, [3, 0], listed=5), expected[[3, 0]])
    np.testing.assert_array_equal(np.concatenate(list(frame_chunks(path))), expected)
    assert look_and_count(path) == (5, int(turn != (1, 0, 0, 1)))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_matroska_file_is_turned_too(degrees: int, tmp_path: Path) -> None:
    """decord turns none; PyAV writes how such a file is to be shown, counter-clockwise."""
    path = tmp_path / "turned.mkv"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=12)
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write it")
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.set_display_rotation(degrees)
        for image in marked(64, 96):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode())
    plain = write_video(tmp_path / "plain.mkv", marked(64, 96), "libx264", {})
    expected = np.rot90(read_frames(plain), degrees // 90, axes=(1, 2))  # counter-clockwise
    found = read_frames(path)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() < 30  # encoded apart


def test_a_video_that_is_turned_by_less_than_a_quarter_is_refused(tmp_path: Path) -> None:
    plain = write_video(tmp_path / "plain.mp4", marked(64, 96), "libx264", {})
    path = with_matrix(plain, tmp_path / "turned.mp4", 1, 1, -1, 1)
    for read in (lambda: read_frames(path), lambda: count_frames(path)):
        with pytest.raises(DataError, match=r"turned by -45 degrees; only quarter turns are read"):
            read()


# --- Pictures -----------------------------------------------------------------------------------------------


def write_turned(file: Path, orientation: int, pixels: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, quality=95, exif=exif)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_shown_as_its_exif_orientation_says(
    orientation: int, suffix: str, tmp_path: Path
) -> None:
    pixels = marked(30, 50)
    for number in range(3):
        write_turned(tmp_path / f"{number + 1}.{suffix}", orientation, pixels[number])
    clip = Clip(id="7", file=tmp_path, split="train", label=0, frames=3, pictures=f"{{frame}}.{suffix}")
    found = read_clip(clip, np.array([2, 0]), None)
    for place, number in enumerate((3, 1)):
        with Image.open(tmp_path / f"{number}.{suffix}") as opened:
            expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        np.testing.assert_array_equal(found[place], expected)
    assert count((clip, 3)).special == (0 if orientation == 1 else orientation)


def test_an_orientation_that_exif_does_not_know_changes_nothing(tmp_path: Path) -> None:
    write_turned(tmp_path / "1.jpg", 9, marked(30, 50)[0])
    clip = Clip(id="7", file=tmp_path, split="train", label=0, frames=1, pictures="{frame}.jpg")
    assert read_clip(clip, np.array([0]), None).shape == (1, 30, 50, 3)


def turn_clip(folder: Path, orientation: int, *, only: str = "*") -> None:
    for file in folder.glob(f"{only}.jpg"):
        with Image.open(io.BytesIO(file.read_bytes())) as opened:
            pixels = np.asarray(opened)
        write_turned(file, orientation, pixels)


def test_turned_clips_are_another_data_set_and_are_upright_in_a_trial(own: Callable[[str], Path]) -> None:
    root = own("jester")
    plain = open_("jester", root)
    for folder in (root / "20bn-jester-v1").iterdir():
        turn_clip(folder, 6)
    for index in root.parent.glob("index/*/index*"):
        index.unlink()
    turned = open_("jester", root)
    assert turned.fingerprint != plain.fingerprint
    before, after = (data.split("train")._read(0, np.array([0])) for data in (plain, turned))
    assert (before.shape, after.shape) == ((1, 24, 32, 3), (1, 32, 24, 3))
    clockwise = np.rot90(before, -1, axes=(1, 2)).astype(int)
    assert np.abs(after - clockwise).mean() < 4  # jpg twice


def test_a_clip_whose_pictures_are_turned_differently_is_refused(
    own: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = own("jester")
    turn_clip(root / "20bn-jester-v1" / "101", 3, only="00005")
    data = open_("jester", root)
    with pytest.raises(
        DataError, match=r"00005\.jpg: has the orientation 3 \(EXIF\), and others of this clip 1"
    ):
        data.split("train")._read(1, np.array([2, 4]))
    with pytest.raises(DataError, match=r"has the orientation 3"):  # the index knows, whatever is asked for
        data.split("train")._read(1, np.array([4]))
    assert main(["check", str(root), "--decode", "--out", str(root / "found.json")]) == 1
    assert "unreadable: 101: " in capsys.readouterr().out


def test_extracted_frames_are_upright(tmp_path: Path) -> None:
    plain = write_video(tmp_path / "plain.mp4", marked(64, 96), "libx264", {})
    for split in ("train", "val"):
        (tmp_path / "root" / split / "a").mkdir(parents=True)
        with_matrix(plain, tmp_path / "root" / split / "a" / "1.mp4", 0, 1, -1, 0)
    out = tmp_path / "out"
    words = ["prepare", str(tmp_path / "root"), "--data-dir", str(tmp_path / "d"), "--extract", str(out)]
    assert main(words) == 0
    with Image.open(out / "train" / "a" / "1.mp4" / "00001.jpg") as opened:
        kept = np.asarray(opened).astype(int)
    expected = shown(read_frames(plain, [0]), 0, 1, -1, 0)[0]
    assert np.abs(kept - expected).mean() < 6  # jpg


CASES = ROOT.parent / "shared" / "cases" / "02_rotated_av1"


@pytest.mark.skipif(not CASES.is_dir(), reason="the reported files are not here")
def test_the_reported_phone_videos_agree() -> None:
    """All three show a white block in the corner that a quarter turn clockwise brings the stored first pixel to."""
    for file in sorted(CASES.glob("*.mp4")):
        frame = read_frames(file, [0])[0]
        height, width = frame.shape[:2]
        assert height > width, file.name
        h, w = height // 8, width // 8
        corners = [frame[:h, :w], frame[:h, -w:], frame[-h:, :w], frame[-h:, -w:]]
        assert np.argmax([corner.mean() for corner in corners]) == 1, file.name


def test_folders_are_counted_as_they_are_shown(tmp_path: Path) -> None:
    """As `check` counts them: each clip's own way, in one data set."""
    plain = write_video(tmp_path / "plain.mp4", marked(64, 96), "libx264", {})
    for split in ("train", "val"):
        folder = tmp_path / "root" / split / "a"
        folder.mkdir(parents=True)
        with_matrix(plain, folder / "1.mp4", -1, 0, 0, 1)
        (folder / "2.mp4").write_bytes(plain.read_bytes())
    config = FoldersConfig(root=str(tmp_path / "root"))
    found = [count(job) for job in Jobs(*clips_of(config, tmp_path / "root", refuse)[1:])]
    assert [(one.frames, one.special) for one in found] == 2 * [(5, 1), (5, 0)]
