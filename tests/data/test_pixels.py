"""What a pixel comes back as, whatever its bits, its file and its decoder; and which of several videos in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from builders.videos import numbered_frames, numbers_of, write_streams, write_video
from PIL import Image

from harness.data import contents
from harness.data.__main__ import main
from harness.data.video import count_frames, frame_chunks, look_and_count, read_frames
from harness.errors import DataError

RAMP = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, :, None] * 4, (48, 64, 3))


def colours(count: int = 4) -> np.ndarray:
    """Smooth colours, and blocks with sharp edges."""
    y, x = np.mgrid[0:50, 0:66]
    frames = np.stack([np.stack([x * 3, y * 4 + t, 255 - 3 * x], -1) for t in range(count)]).astype(np.uint8)
    frames[:, 10:26, 20:36], frames[:, 30:44, 8:30] = (250, 10, 10), (10, 10, 250)
    return frames


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p10le", "yuv444p10le"])
def test_ten_bits_are_the_same_colours_in_every_container(pix_fmt: str, tmp_path: Path) -> None:
    """decord reads MP4, and by itself takes other colours from 10 bits than FFmpeg does."""
    found = {}
    for name in ("a.mp4", "a.mkv", "a.ts"):
        path = write_video(tmp_path / name, colours(), "libx264", {"qp": "0", "bf": "0"}, pix_fmt=pix_fmt)
        found[name] = read_frames(path)
        np.testing.assert_array_equal(np.concatenate(list(frame_chunks(path))), found[name])
        assert look_and_count(path) == (4, 1)
    np.testing.assert_array_equal(found["a.mp4"], found["a.mkv"])
    np.testing.assert_array_equal(found["a.mp4"], found["a.ts"])
    eight = write_video(
        tmp_path / "8.mp4", colours(), "libx264", {"qp": "0"}, pix_fmt=pix_fmt.removesuffix("10le")
    )
    difference = np.abs(found["a.mp4"].astype(int) - read_frames(eight))
    assert difference.mean() < 1.5  # the colours themselves are those of 8 bits
    assert np.quantile(difference, 0.99) < 6


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p"])
def test_eight_bits_are_the_same_colours_in_every_container(pix_fmt: str, tmp_path: Path) -> None:
    found = []
    for name in ("a.mp4", "a.ts"):  # decord's, and PyAV's
        path = write_video(tmp_path / name, colours(), "libx264", {"qp": "0", "bf": "0"}, pix_fmt=pix_fmt)
        found.append(read_frames(path))
        assert look_and_count(path) == (4, 0)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "gray12le", "gray16le", "yuv444p16le", "gbrp12le"])
def test_a_ramp_of_64_levels_keeps_them_at_any_depth(pix_fmt: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "ramp.mkv", RAMP[None].repeat(2, axis=0), "ffv1", {}, pix_fmt=pix_fmt)
    frame = read_frames(path)[1].astype(int)
    assert np.abs(frame - RAMP).max() <= 2
    assert len(np.unique(frame[0, :, 0])) == 64


@pytest.mark.parametrize("opacity", [255, 254])
def test_a_video_that_is_transparent_in_places_is_refused(opacity: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("png", rate=12)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "rgba"
        image = np.concatenate([RAMP, np.full((48, 64, 1), 255, np.uint8)], axis=2)
        image[5, 7, 3] = opacity
        output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgba")))
        output.mux(stream.encode())
    if opacity == 255:
        np.testing.assert_array_equal(read_frames(path)[0], RAMP)
    else:
        with pytest.raises(DataError, match=r"a\.mov: frame 0 is transparent in places"):
            read_frames(path)


# --- Several streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("best", [0, 1])
def test_of_two_videos_in_a_file_the_one_that_ffmpeg_takes_is_read(
    best: int, container: str, tmp_path: Path
) -> None:
    streams = [np.full((3, 32, 64, 3), 128, np.uint8), numbered_frames(20)]
    path = write_streams(tmp_path / f"two.{container}", *(streams if best else streams[::-1]), best=best)
    with av.open(str(path)) as opened:
        chosen = opened.streams.best("video")
        assert chosen is not None
        assert chosen.index == best  # as FFmpeg says
    assert count_frames(path) == 20
    assert numbers_of(read_frames(path)) == list(range(20))
    assert numbers_of(read_frames(path, [7, 3])) == [7, 3]
    assert numbers_of(np.concatenate(list(frame_chunks(path)))) == list(range(20))


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    path = write_streams(
        tmp_path / "a.mp4", np.full((1, 64, 64, 3), 9, np.uint8), numbered_frames(20), cover=0
    )
    assert numbers_of(read_frames(path)) == list(range(20))
    assert look_and_count(path).frames == 20


# --- What is there instead of a video -----------------------------------------------------------------------


def moving_gif(path: Path) -> None:
    images = [Image.new("L", (64, 48), 60 * i) for i in range(4)]
    images[0].save(path, format="GIF", save_all=True, append_images=images[1:])


def sound(path: Path, container: str, codec: str) -> None:
    with av.open(str(path), "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=16000)
        for _ in range(5):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
            frame.sample_rate = 16000
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


INSTEAD = {
    "a GIF": moving_gif,
    "a web page (HTML)": lambda path: path.write_text("\n<!DOCTYPE html>\n<html><title>404</title></html>"),
    "a Git LFS pointer": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
    ),
    "sound alone": lambda path: sound(path, "wav", "pcm_s16le"),
    "sound alone ": lambda path: sound(path, "mp4", "aac"),
    "sound alone  ": lambda path: sound(path, "matroska", "pcm_s16le"),
    "a zip archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(range(60))),
    "a picture (JPEG)": lambda path: Image.new("RGB", (64, 48)).save(path, format="JPEG"),
    "a picture (PNG)": lambda path: Image.new("RGB", (64, 48)).save(path, format="PNG"),
    "nothing but zero bytes": lambda path: path.write_bytes(bytes(5000)),
    "text ('404: not found')": lambda path: path.write_text("404: not found\n" * 40),
    """text ('{"message": "Not Found"}')""": lambda path: path.write_text('{"message": "Not Found"}'),
}


@pytest.mark.parametrize("what", INSTEAD)
def test_what_is_no_video_is_called_what_it_is(what: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    INSTEAD[what](path)
    for read in (
        lambda: count_frames(path),
        lambda: read_frames(path, [0]),
        lambda: list(frame_chunks(path)),
    ):
        with pytest.raises(DataError) as caught:
            read()
        assert f"{path}: cannot be read as a video: it is {what.strip()}" in str(caught.value)


@pytest.mark.parametrize("start", [b"", b"\x00\x00\x00\x18ftypmp42", b"\x1a\x45\xdf\xa3", b"\x80\x81\x82"])
def test_what_is_not_known_is_not_guessed(start: bytes) -> None:
    assert contents.what_is(start) == ""


@pytest.mark.parametrize("part", [0.3, 0.7, 0.98])
def test_a_video_whose_end_is_missing_is_named_without_being_decoded(
    part: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its index stands in front of its frames, so it opens, and its first frames come back."""
    plain = write_video(tmp_path / "plain.mp4", np.random.default_rng(0).integers(
        256, size=(20, 48, 64, 3), dtype=np.uint8), "libx264", {})  # fmt: skip
    whole = tmp_path / "whole.mp4"
    with av.open(str(plain)) as source, av.open(str(whole), "w", options={"movflags": "faststart"}) as output:
        copy = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    for split in ("train", "val"):
        (tmp_path / "root" / split / "a").mkdir(parents=True)
        (tmp_path / "root" / split / "a" / f"{split}.mp4").write_bytes(whole.read_bytes())
    data = whole.read_bytes()
    path = tmp_path / "root" / "train" / "a" / "cut.mp4"
    path.write_bytes(data[: int(len(data) * part)])
    for read in (
        lambda: count_frames(path),
        lambda: read_frames(path, [0]),
        lambda: list(frame_chunks(path)),
    ):
        with pytest.raises(
            DataError, match=r"cut\.mp4: its index says 20 frames, and the file holds \d+ of them"
        ):
            read()
    assert main(["check", str(tmp_path / "root"), "--out", str(tmp_path / "found.json")]) == 1
    assert "unreadable: train/a/cut.mp4: " in capsys.readouterr().out
