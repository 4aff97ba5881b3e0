"""Parts of WebM, Matroska and AVI files that do not fit into each other are told; whatever else there is, is read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import pytest
from builders.damaged import frames_of, outcome, scene, whole
from builders.videos import VPX, write_video

from harness.data.parts import broken
from harness.data.video import look_and_count, read_frames
from harness.errors import DataError


@pytest.mark.parametrize("name", ["vp9.webm", "h264.mkv", "mpeg4.avi", "mjpeg.avi"])
def test_a_file_whose_end_is_missing_says_so(name: str, tmp_path: Path) -> None:
    data = whole(name, tmp_path).read_bytes()
    (cut := tmp_path / f"cut-{name}").write_bytes(data[:-100])
    with pytest.raises(
        DataError, match=rf"is to be {len(data):,} bytes long, and {len(data) - 100:,} are there"
    ):
        read_frames(cut)


@pytest.mark.parametrize(("place", "byte"), [(3, 0xA7), (6, 0x83)])
def test_a_block_that_one_bit_made_something_else_is_missed(place: int, byte: int, tmp_path: Path) -> None:
    """Of a number of more than 8 bytes, or of a track that is not there: FFmpeg steps over either without a word."""
    data = whole("vp9.webm", tmp_path).read_bytes()
    at = data.index(b"\xe7\x81\x00\xa3") + place  # the first block of a cluster, 2 bytes of size, its track
    assert data[at] == {3: 0xA3, 6: 0x81}[place]
    (changed := tmp_path / "changed.webm").write_bytes(data[:at] + bytes([byte]) + data[at + 1 :])
    assert "is damaged at byte" in broken(changed)


def test_a_video_that_says_that_it_lasts_for_weeks_is_unreadable(tmp_path: Path) -> None:
    """decord makes room for all its frames, and ended its process: 450 years, by one bit of a WebM."""
    data = whole("vp9.webm", tmp_path).read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # Matroska's Duration, a float of 8 bytes in milliseconds
    (changed := tmp_path / "weeks.webm").write_bytes(data[:at] + struct.pack(">d", 1.4e13) + data[at + 8 :])
    with pytest.raises(DataError, match="says that it lasts 162037 days; it is damaged"):
        look_and_count(changed)


def test_what_stands_behind_a_whole_file_is_no_damage(tmp_path: Path) -> None:
    for name in ("vp8.webm", "h264.avi"):
        path = whole(name, tmp_path)
        (longer := tmp_path / f"longer-{name}").write_bytes(path.read_bytes() + b"and a note")
        assert outcome(longer, frames_of(path)) == "unchanged"


def test_a_live_recording_does_not_know_its_length_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "live.webm"
    with av.open(str(path), "w", format="webm", options={"live": "1"}) as output:
        stream: Any = output.add_stream("libvpx", rate=12, options=VPX)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for image in scene():
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode())
    assert broken(path) == ""
    assert len(read_frames(path)) == len(scene())


def test_an_avi_with_fewer_frames_than_its_header_says_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", scene(), "mpeg4", {})
    data = bytearray(path.read_bytes())
    place = data.index(b"strh") + 8 + 32  # AVISTREAMHEADER: dwLength
    assert int.from_bytes(data[place : place + 4], "little") == len(scene())
    data[place : place + 4] = (len(scene()) + 3).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"its header says 43 frames, and 40 are there"):
        read_frames(path)


def test_a_checksum_of_matroska_finds_one_bit(tmp_path: Path) -> None:
    path = whole("h264.mkv", tmp_path)
    data = bytearray(path.read_bytes())
    assert b"\x1f\x43\xb6\x75" in data  # a cluster
    data[data.index(b"\x1f\x43\xb6\x75") + 300] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is damaged at byte"):
        read_frames(path)
