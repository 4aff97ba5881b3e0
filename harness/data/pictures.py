"""Reading pictures: the door to libjpeg-turbo (simplejpeg), and to Pillow for whatever is no JPEG.

Pillow decodes a damaged JPEG to garbage without a word: libjpeg only warns. Here a warning is an error. The pixels of
JPEGs are the very ones that Pillow returns, and take half its time.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.contents import why_not
from harness.data.orientation import UPRIGHT, upright
from harness.errors import DataError, first_line
from harness.files import is_no_file

_JPEG = b"\xff\xd8\xff"
_START = 4096
"""Bytes within which a JPEG says that it has EXIF, if it does."""

_ORIENTATION = 0x0112

_FORMATS = ("PNG", "TIFF", "WEBP", "BMP", "DIB", "JPEG", "JPEG2000", "GIF", "PPM", "AVIF", "TGA")
"""What Pillow opens, whatever a file's name says: it would read PostScript too, by a program that runs it."""

_OPAQUE = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"}
_SEE_THROUGH = {"LA", "La", "PA", "RGBA", "RGBa"}
"""Pillow's modes of 8 bits or fewer."""


def read_picture(file: Path) -> tuple[np.ndarray, int]:
    """A picture as it is shown, (H, W, 3) uint8 RGB, and how it had to be turned for that, 1 to 8 as EXIF counts.

    16 bits are scaled to 8: the high byte. JPEG's own reduced sizes (Pillow's `draft`) would be faster for large
    pictures, but other pixels.

    Raises:
        DataError: it is missing, no picture, damaged, transparent in places, or of numbers without a given range.
    """
    from PIL import UnidentifiedImageError  # here: clips that are no pictures can be read without it

    try:
        data = _content(file)
        return _jpeg(data) if data.startswith(_JPEG) else _other(data)
    except FileNotFoundError:
        raise DataError(f"{file}: no such picture") from None
    except UnidentifiedImageError:
        raise DataError(f"{file}: {why_not(file, 'picture')}") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged files raise anything
        raise DataError(f"{file}: cannot be read as a picture ({first_line(error)})") from None


def _content(file: Path) -> bytes:
    if is_no_file(file):
        raise OSError("it is no file")
    return file.read_bytes()


def picture_orientation(file: Path) -> int:
    """How a picture is to be turned, 1 to 8; 1 where it cannot be read, which is said when it is."""
    try:
        if not os.path.isfile(file):
            return UPRIGHT
        with open(file, "rb", buffering=0) as opened:
            start = opened.read(_START)
            return _orientation(start if start.startswith(_JPEG) else start + opened.readall())
    except Exception:  # as in `read_picture`
        return UPRIGHT


def _orientation(data: bytes) -> int:
    """As EXIF says. A JPEG's start is enough."""
    if data.startswith(_JPEG):
        if b"Exif\0\0" not in data[:_START]:
            return UPRIGHT
    elif data.startswith(b"\x89PNG") and b"eXIf" not in data:
        return UPRIGHT
    with _opened(data) as picture:
        return _stated(picture)


def _stated(picture: Any) -> int:
    turn = picture.getexif().get(_ORIENTATION, UPRIGHT)
    return turn if turn in range(1, 9) else UPRIGHT


def _jpeg(data: bytes) -> tuple[np.ndarray, int]:
    import simplejpeg
    from PIL import Image

    how = {"fastdct": False, "fastupsample": False, "strict": True}
    turn = _orientation(data)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:  # it knows the usual ways alone of storing fewer colours than pixels
        return upright(_unusual_jpeg(data), turn), turn
    if height * width > 2 * (Image.MAX_IMAGE_PIXELS or height * width):
        raise ValueError(f"{width}x{height} pixels are too many")
    if colours not in ("CMYK", "YCCK"):
        return upright(simplejpeg.decode_jpeg(data, "RGB", **how), turn), turn
    simplejpeg.decode_jpeg(data, "CMYK", **how)  # whether it is whole; what its inks look like, Pillow knows
    return upright(_by_pillow(data), turn), turn


def _unusual_jpeg(data: bytes) -> np.ndarray:
    """Decoded twice: FFmpeg says whether it is whole."""
    import av

    try:
        decoder = av.CodecContext.create("mjpeg", "r")
        decoder.options = {"err_detect": "explode"}
        found = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except av.FFmpegError:
        found = []
    pixels = _by_pillow(data)
    if len(found) != 1 or found[0].is_corrupt:
        raise ValueError("it is damaged, or stores its colours in an unusual way; save it anew")
    return pixels


def _by_pillow(data: bytes) -> np.ndarray:
    with _opened(data) as picture:
        return np.asarray(picture.convert("RGB"))


def _opened(data: bytes) -> Any:
    from PIL import Image

    Image.init()
    return Image.open(io.BytesIO(data), formats=[name for name in _FORMATS if name in Image.OPEN])


def _other(data: bytes) -> tuple[np.ndarray, int]:
    with _opened(data) as picture:
        turn = _stated(picture)
        pixels = _eight_bits(picture)
        left = _stated(picture)  # a TIFF is turned by Pillow itself, and then no longer says that it is to be
    return upright(pixels, left), turn


def _eight_bits(picture: Any) -> np.ndarray:
    """A picture of whatever kind, (H, W, 3) uint8 RGB."""
    mode, kind = picture.mode, picture.format
    if mode.startswith("I;16") or (mode == "I" and kind in ("PNG", "PPM")):  # "I" by older versions of Pillow
        bits = picture.tag_v2.get(258) if kind == "TIFF" else (16,)
        if bits != (16,):
            raise ValueError(f"it has {bits} bits a pixel; save it with 8 or 16")
        high = (np.asarray(picture).astype(np.int64) >> 8).astype(np.uint8)
        return np.repeat(high[..., None], 3, axis=2)
    if mode in _SEE_THROUGH or (mode in _OPAQUE and "transparency" in picture.info):
        pixels = np.asarray(
            picture.convert("LA").convert("RGBA") if mode == "La" else picture.convert("RGBA")
        )
        if (pixels[..., 3] < 255).any():
            raise ValueError("it is transparent in places; save it without transparency")
        return np.ascontiguousarray(pixels[..., :3])
    if mode not in _OPAQUE:
        what = "numbers of no given range" if mode in ("I", "F") else f"colours of the kind {mode}"
        raise ValueError(f"it holds {what}; save it as 8-bit or 16-bit grey, or as RGB")
    return np.asarray(picture if mode == "RGB" else picture.convert("RGB"))
