"""Reading videos: the frames that come back are the frames that were asked for, or the file is refused in words."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from builders.place import ROOT
from builders.videos import ENCODINGS, FRAMES, PACKED, VPX, numbered, numbered_frames, numbers_of, write_video

from harness.data import video
from harness.data.video import count_frames, frame_chunks, read_frames
from harness.errors import DataError


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.mark.parametrize("name", [*ENCODINGS, PACKED])
def test_reading_returns_exactly_the_frames_asked_for(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = numbered(name, folder)
    assert count_frames(path) == FRAMES
    assert numbers_of(read_frames(path)) == list(range(FRAMES))
    monkeypatch.setattr(video, "CHUNK_FRAMES", 7)  # chunks end within groups of pictures
    rng = np.random.default_rng(0)
    for _ in range(8):
        wanted = rng.integers(FRAMES, size=8)  # any order, some twice
        assert numbers_of(read_frames(path, wanted)) == wanted.tolist()
    assert numbers_of(read_frames(path, [47])) == [47]
    pieces = list(frame_chunks(path))
    assert all(len(piece) <= 7 for piece in pieces)
    assert numbers_of(np.concatenate(pieces)) == list(range(FRAMES))


@pytest.mark.parametrize("name", ["h264-open-groups.mp4", "mpeg4-with-b-frames.mp4", PACKED])
def test_no_more_is_decoded_at_once_than_a_limit_of_bytes_and_the_frames_are_the_same(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of frames of 8192x4320 64 are 6.8 GB."""
    assert [video.at_once((h, w, 3)) for h, w in ((256, 340), (1080, 1920), (4320, 8192), (9000, 9000))] == [
        64, 21, 1, 1,
    ]  # fmt: skip
    path = numbered(name, folder)
    wanted = [47, 3, 3, 0]
    whole = list(frame_chunks(path, short_side=20)), read_frames(path), read_frames(path, wanted, 20)
    frame = whole[1][0]
    monkeypatch.setattr(video, "CHUNK_BYTES", 5 * frame.nbytes + 1)
    bounded = list(frame_chunks(path, short_side=20)), read_frames(path), read_frames(path, wanted, 20)
    assert max(map(len, whole[0])) > 5
    assert max(map(len, bounded[0])) == 5
    assert np.array_equal(np.concatenate(whole[0]), np.concatenate(bounded[0]))
    assert np.array_equal(whole[1], bounded[1])
    assert np.array_equal(whole[2], bounded[2])


def test_some_of_these_videos_do_have_frames_out_of_order(folder: Path) -> None:
    """Else the tests above would test nothing: decoding order must differ from the order of showing."""
    for name in ("h264-open-groups.mp4", "hevc-open-groups.mp4", "mpeg4-with-b-frames.mp4"):
        with av.open(str(numbered(name, folder))) as container:
            shown = [packet.pts for packet in container.demux(video=0) if packet.size]
        assert shown != sorted(shown), name


@pytest.mark.parametrize(
    ("name", "codec"),
    [("one.mp4", "libx264"), ("one.avi", "mpeg4"), ("one.webm", "libvpx"), ("one9.webm", "libvpx-vp9")],
)
def test_a_video_of_one_frame_is_read(name: str, codec: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, numbered_frames(6)[5:], codec, VPX if "vp" in codec else {})
    assert count_frames(path) == 1
    assert numbers_of(read_frames(path, [0, 0])) == [5, 5]
    with pytest.raises(DataError, match=r"frame 1 was asked for, of 1 frames"):
        read_frames(path, [1])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (33, 47), (47, 33)])
@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("odd.mp4", "libx264", "yuv444p"),
        ("odd.avi", "mpeg4", "yuv420p"),
        ("odd.webm", "libvpx", "yuv420p"),
        ("odd9.webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_frames_of_odd_sizes_down_to_one_pixel_are_read(
    name: str, codec: str, pix_fmt: str, height: int, width: int, tmp_path: Path
) -> None:
    grey = np.full((3, height, width, 3), 200, np.uint8)
    grey[1] = 40
    path = write_video(tmp_path / name, grey, codec, VPX if "vp" in codec else {}, pix_fmt=pix_fmt)
    frames = read_frames(path, [2, 1])
    assert frames.shape == (2, height, width, 3)
    assert np.abs(frames.mean(axis=(1, 2, 3)) - [200, 40]).max() < 12  # lossy
    assert read_frames(path, [0], short_side=5).shape[1:3] == (
        (5, round(width * 5 / height)) if height <= width else (round(height * 5 / width), 5)
    )


def test_reading_resizes_the_short_side_and_keeps_the_aspect(folder: Path) -> None:
    frames = read_frames(numbered("vp9.webm", folder), [5, 3], short_side=32)
    assert frames.shape == (2, 32, 48, 3)
    assert numbers_of(frames) == [5, 3]


# --- What cannot be read ------------------------------------------------------------------------------------


def test_a_frame_beyond_the_end_names_the_file(folder: Path) -> None:
    with pytest.raises(DataError, match=r"vp9\.webm: frame 48 was asked for, of 48 frames"):
        read_frames(numbered("vp9.webm", folder), [0, 48])


def test_another_number_of_frames_than_listed_is_refused(folder: Path) -> None:
    for name in ("vp9.webm", "h264.ts"):
        with pytest.raises(DataError, match=rf"{name}: has 48 frames, 50 are listed"):
            read_frames(numbered(name, folder), [0], listed=50)


@pytest.mark.parametrize("indices", [[], [-1]])
def test_asking_for_no_frame_is_a_wrong_call(indices: list[int], folder: Path) -> None:
    with pytest.raises(ValueError, match="from 0"):
        read_frames(numbered("vp9.webm", folder), indices)


def without_frames(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=12)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        output.start_encoding()


def only_sound(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())


def picture(path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (96, 64)).save(path, format="PNG")


BROKEN: dict[str, Any] = {
    "missing.mp4": lambda path, whole: None,
    "empty.mp4": lambda path, whole: path.write_bytes(b""),
    "folder.mp4": lambda path, whole: path.mkdir(),
    "text.mp4": lambda path, whole: path.write_text("a note, not a video\n" * 50),
    "text.txt": lambda path, whole: path.write_text("a note, not a video\n" * 50),
    "noise.mp4": lambda path, whole: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "picture.png": lambda path, whole: picture(path),
    "picture.mp4": lambda path, whole: picture(path),
    "only-sound.mp4": lambda path, whole: only_sound(path),
    "no-frames.mp4": lambda path, whole: without_frames(path),
    "no-frames.mkv": lambda path, whole: without_frames(path),
    "truncated.mp4": lambda path, whole: path.write_bytes(whole[: len(whole) // 2]),
    "one-byte.webm": lambda path, whole: path.write_bytes(b"\x1a"),
    "header-alone.webm": lambda path, whole: path.write_bytes(b"\x1a\x45\xdf\xa3" + b"\0" * 20),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_unusable_video_is_one_line_that_names_it(
    name: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    BROKEN[name](path, numbered("h264-one-group.mp4", folder).read_bytes())
    for read in (lambda: read_frames(path, [0, 40]), lambda: count_frames(path), lambda: read_frames(path)):
        with pytest.raises(DataError) as caught:
            read()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (
        capfd.readouterr().err.count("\n") <= 3
    )  # libav keeps quiet; decord's own line cannot be turned off


def test_a_stream_that_changes_its_size_is_refused(tmp_path: Path) -> None:
    """Transport streams may be joined by their bytes; PyAV gives each frame as large as it is."""
    path, parts = tmp_path / "joined.ts", []
    for number, width in enumerate((96, 64)):
        frames = np.zeros((5, 64, width, 3), np.uint8)
        parts.append(write_video(tmp_path / f"{number}.ts", frames, "libx264", {"bf": "0"}).read_bytes())
    path.write_bytes(b"".join(parts))
    for read in (lambda: read_frames(path), lambda: count_frames(path), lambda: list(frame_chunks(path))):
        with pytest.raises(DataError, match=r"joined\.ts: frame 5 is 64x64 pixels, and the first one 96x64"):
            read()


@pytest.mark.parametrize(
    "name", ["vp8.webm", "vp9.webm", "mpeg4-with-b-frames.avi", "h264-b-frames.avi", "h264.ts"]
)
def test_a_truncated_stream_never_passes_for_a_whole_one(name: str, folder: Path, tmp_path: Path) -> None:
    whole = numbered(name, folder).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=name):  # it opens, and counts fewer frames
        read_frames(path, range(FRAMES))
    with pytest.raises(DataError, match=name):
        read_frames(path, [0, 1], listed=FRAMES)


@pytest.mark.parametrize("name", ["h264-open-groups.mp4", "hevc-open-groups.mp4"])
def test_a_video_cut_where_frames_need_earlier_ones_is_refused_and_not_padded(
    name: str, folder: Path, tmp_path: Path
) -> None:
    """Copied from its second group on, an open group begins with frames that nothing can decode any more.

    As it comes, decord repeats the last frame in their place. MP4 says that they are not shown; Matroska cannot.
    """
    for suffix in (".mkv", ".mp4"):
        path = (tmp_path / name).with_suffix(suffix)
        with av.open(str(numbered(name, folder))) as source, av.open(str(path), "w") as output:
            stream = source.streams.video[0]
            copy = output.add_stream_from_template(stream)
            groups = 0
            for packet in source.demux(stream):
                groups += packet.is_keyframe
                if groups > 1 and packet.size:
                    packet.stream = copy
                    output.mux(packet)
        if suffix == ".mkv":
            with pytest.raises(DataError, match=rf"{path.name}: decodes to .+ its index says"):
                read_frames(path)
        else:
            assert numbers_of(read_frames(path)) == list(range(12, FRAMES))
            assert count_frames(path) == FRAMES - 12


@pytest.mark.parametrize("hidden", [6, 12])  # in the middle of a group, and a whole one
@pytest.mark.parametrize(
    "name", ["h264-without-b-frames.mp4", "h264-open-groups.mp4", "hevc-closed-groups.mp4"]
)
def test_the_frames_of_a_video_cut_without_encoding_it_anew_are_those_that_it_shows(
    name: str, hidden: int, folder: Path, tmp_path: Path
) -> None:
    """Its first frames lie before its beginning: they serve to decode others, and an edit list hides them."""
    path = tmp_path / name
    with (
        av.open(str(numbered(name, folder))) as source,
        av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as output,
    ):
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                ticks = int(Fraction(hidden, 12) / stream.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, copy
                output.mux(packet)
    shown = list(range(hidden, FRAMES))
    assert count_frames(path) == len(shown)
    assert numbers_of(read_frames(path)) == shown
    assert numbers_of(np.concatenate(list(frame_chunks(path)))) == shown
    for wanted in ([0], [9, 5, 0, 5], [len(shown) - 1]):
        assert numbers_of(read_frames(path, wanted, listed=len(shown))) == [shown[i] for i in wanted]
    for listed in (len(shown) - 1, FRAMES + 1):
        with pytest.raises(DataError, match=f"{listed} are listed"):
            read_frames(path, [0], listed=listed)


@pytest.mark.parametrize("where", [0, 13, 30, 47])
@pytest.mark.parametrize(
    "name",
    [
        "h264-closed-groups.mp4",
        "hevc-open-groups.mp4",
        "mpeg4-with-b-frames.avi",
        "mjpeg.avi",
        "h264-b-frames.avi",
    ],
)
def test_one_destroyed_packet_makes_the_video_unreadable(
    name: str, where: int, folder: Path, tmp_path: Path
) -> None:
    source = numbered(name, folder)
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][where]
        place, size = packet.pos, packet.size
    data[place : place + size] = bytes(size)
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=name):
        read_frames(path)


def test_a_damaged_video_is_refused_or_read_but_never_crashes(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("h264-open-groups.mp4", "mpeg4-with-b-frames.avi", "vp9.webm", "h264.ts"):
        whole = numbered(name, folder).read_bytes()
        for attempt in range(5):
            data = bytearray(whole)
            for place in rng.integers(len(data), size=40):
                data[place] = rng.integers(256)
            path = tmp_path / f"{attempt}-{name}"
            path.write_bytes(data)
            with contextlib.suppress(DataError):
                assert len(read_frames(path)) == count_frames(path)


@pytest.mark.parametrize("name", ["sample.mp4", "sample.avi"])
def test_real_clips_read_the_same_frames_alone_as_together(name: str) -> None:
    path = ROOT.parent / "shared" / "data" / "clips" / name
    if not path.exists():
        pytest.skip("the sample clips are not here")
    count = count_frames(path)
    some = np.random.default_rng(0).integers(count, size=4)
    np.testing.assert_array_equal(read_frames(path, some, 64), read_frames(path, None, 64)[some])
