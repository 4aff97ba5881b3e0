"""Files of pictures: damaged ones are refused, and those that are not 8-bit RGB are scaled or refused."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.place import ROOT
from PIL import Image, features

from harness.data.pictures import _unusual_jpeg, picture_orientation, read_picture
from harness.errors import DataError

RAMP = np.arange(64)
"""A ramp of 64 levels, darkest first: 4 grey levels apart where there are 256."""


def noise(height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(0, 8, (height, width, 3)).cumsum(axis=1)
    return np.clip(128 + steps, 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, mode: str = "RGB", **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **how)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "how", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}, {"quality": 30}]
)
def test_a_whole_jpeg_has_the_pixels_that_pillow_decodes(
    mode: str, how: dict[str, Any], tmp_path: Path
) -> None:
    if mode == "CMYK":
        how = {key: value for key, value in how.items() if key != "subsampling"}
    for height, width in ((120, 160), (33, 47), (1, 1)):
        file = tmp_path / "a.jpg"
        file.write_bytes(jpeg(noise(height, width), mode, **how))
        with Image.open(file) as opened:
            expected = np.asarray(opened.convert("RGB"))
        np.testing.assert_array_equal(read_picture(file)[0], expected)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_of_an_unusual_kind_is_checked_by_another_decoder(mode: str) -> None:
    data = jpeg(noise(), mode, quality=90)
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(opened.convert("RGB"))
    np.testing.assert_array_equal(_unusual_jpeg(data), expected)
    with pytest.raises((OSError, ValueError)):
        _unusual_jpeg(data[: len(data) // 2])
    hole = bytearray(data)
    hole[len(data) // 2 : len(data) // 2 + 300] = b"\xff" * 300
    with pytest.raises((OSError, ValueError)):
        _unusual_jpeg(bytes(hole))


def test_inks_with_fewer_colours_than_pixels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(noise(), "CMYK", subsampling=1))
    with pytest.raises(DataError, match="stores its colours in an unusual way; save it anew"):
        read_picture(tmp_path / "a.jpg")


def damaged(data: bytes, how: str, rng: np.random.Generator) -> bytes:
    """The picture's data begin before byte 700, and end with two bytes."""
    place = int(rng.integers(700, len(data) - 250))
    if how == "cut":
        return data[:place]
    if how == "without its end":
        return data[:-2]
    return data[:place] + rng.bytes(200) + data[place + 200 :]


@pytest.mark.parametrize("how", ["cut", "without its end", "overwritten"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_damaged_jpeg_is_unreadable(mode: str, how: str, tmp_path: Path) -> None:
    """libjpeg only warns, and Pillow keeps the warning to itself."""
    rng = np.random.default_rng(0)
    file, data = tmp_path / "a.jpg", jpeg(noise(), mode, quality=90)
    for _ in range(20):
        file.write_bytes(damaged(data, how, rng))
        with pytest.raises(DataError, match=r"a\.jpg: cannot be read as a picture \([^\n]+\)$"):
            read_picture(file)


REPORTED = ROOT.parent / "shared" / "cases" / "04_corrupt_jpeg"


@pytest.mark.skipif(not REPORTED.is_dir(), reason="the reported files are not here")
def test_the_reported_jpeg_is_unreadable() -> None:
    assert read_picture(REPORTED / "noise.jpg")[0].shape == (200, 200, 3)
    with pytest.raises(DataError, match=r"noise_hole\.jpg: cannot be read as a picture \(Corrupt JPEG data"):
        read_picture(REPORTED / "noise_hole.jpg")


def test_a_jpeg_is_read_no_slower_than_by_pillow(tmp_path: Path) -> None:
    """At most 1.3 times its time is asked for; half of it was measured."""
    file = tmp_path / "a.jpg"
    file.write_bytes(jpeg(noise(256, 340), quality=90))

    def by_pillow() -> None:
        with Image.open(file) as opened:
            np.asarray(opened)

    def seconds(read: Any) -> float:
        begin = time.process_time()
        for _ in range(20):
            read()
        return time.process_time() - begin

    pairs = [(seconds(lambda: read_picture(file)), seconds(by_pillow)) for _ in range(5)]
    assert min(ours for ours, _ in pairs) < 1.3 * min(theirs for _, theirs in pairs)


@pytest.mark.parametrize("kind", ["DDS", "EPS"])
def test_a_picture_of_a_kind_that_no_film_has_is_not_opened(kind: str, tmp_path: Path) -> None:
    """PostScript is a program, which Pillow has another program run."""
    Image.fromarray(noise()).save(tmp_path / "a.png", kind)
    with pytest.raises(DataError, match="cannot be read as a picture"):
        read_picture(tmp_path / "a.png")
    assert picture_orientation(tmp_path / "a.png") == 1


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_whatever_a_decoder_raises_of_a_damaged_picture_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a.avif"
    Image.fromarray(noise()).save(file)
    assert read_picture(file)[0].shape == (120, 160, 3)
    content = file.read_bytes()
    file.write_bytes(content.replace(b"av01", b"av00"))  # RuntimeError
    with pytest.raises(DataError, match=r"a\.avif: cannot be read as a picture"):
        read_picture(file)
    assert picture_orientation(file) == 1


# --- Not 8-bit RGB ------------------------------------------------------------------------------------------


def grey16(file: Path) -> None:
    Image.fromarray(np.tile((RAMP * 1024).astype(np.uint16), (8, 1))).save(file)


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.jp2"])
def test_sixteen_bit_grey_is_scaled_and_keeps_its_levels(name: str, tmp_path: Path) -> None:
    grey16(tmp_path / name)
    pixels, _ = read_picture(tmp_path / name)
    expected = np.broadcast_to((RAMP * 4)[None, :, None], (8, 64, 3))
    np.testing.assert_array_equal(pixels, expected)


def test_sixteen_bit_grey_is_as_bright_as_sixteen_bit_colour(tmp_path: Path) -> None:
    """A PGM and a PPM of the same numbers; of colours, Pillow itself keeps the high byte."""
    values = (RAMP * 1024 + 255).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 64 1 65535\n" + values.tobytes())
    (tmp_path / "a.ppm").write_bytes(b"P6 64 1 65535\n" + values.repeat(3).tobytes())
    grey, colour = (read_picture(tmp_path / name)[0].astype(int) for name in ("a.pgm", "a.ppm"))
    assert np.abs(grey - colour).max() <= 1


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("I", "numbers of no given range"),
        ("F", "numbers of no given range"),
        ("LAB", "colours of the kind LAB"),
    ],
)
def test_numbers_without_a_range_are_refused(mode: str, message: str, tmp_path: Path) -> None:
    Image.new(mode, (64, 8)).save(tmp_path / "a.tiff")
    with pytest.raises(DataError, match=rf"a\.tiff: cannot be read as a picture \(it holds {message}"):
        read_picture(tmp_path / "a.tiff")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("opacity", [255, 254])
def test_a_picture_that_is_transparent_in_places_is_refused(mode: str, opacity: int, tmp_path: Path) -> None:
    image = Image.fromarray(np.tile((RAMP * 4).astype(np.uint8), (8, 1))).convert("RGBA")
    image.putpixel((5, 3), (*image.getpixel((5, 3))[:3], opacity if mode != "P" else 0))
    file = tmp_path / "a.png"
    if mode == "P":
        image.convert("RGB").quantize(64).save(file, **({"transparency": 3} if opacity < 255 else {}))
    else:
        image.convert(mode).save(file)
    if opacity < 255:
        with pytest.raises(DataError, match="it is transparent in places"):
            read_picture(file)
    else:
        np.testing.assert_array_equal(read_picture(file)[0][0, :, 0], RAMP * 4)


def test_two_levels_and_palettes_are_read(tmp_path: Path) -> None:
    image = Image.fromarray(np.tile((RAMP * 4).astype(np.uint8), (8, 1)))
    image.point(lambda level: 255 * (level > 127)).convert("1").save(tmp_path / "1.png")
    assert np.unique(read_picture(tmp_path / "1.png")[0]).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "a Git LFS pointer"),
        (b"<html><body>gone</body></html>", "a web page"),
        (bytes(900), "nothing but zero bytes"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(content: bytes, what: str, tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"cannot be read as a picture: it is {what}"):
        read_picture(file)
