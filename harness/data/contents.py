"""What a file holds, whatever its name says, told by its first bytes: for the words about one that cannot be read."""

from __future__ import annotations

from pathlib import Path

_PICTURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}

_KNOWN = {
    b"version https://git-lfs": "a Git LFS pointer and not the file itself; `git lfs pull` fetches it",
    b"GIF8": "a GIF; make a video of it first, as in `ffmpeg -i a.gif a.mp4`",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"Rar!": "a rar archive; unpack it",
    b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"%PDF": "a PDF",
    b"ID3": "sound alone",
    b"fLaC": "sound alone",
}

_PAGES = (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--", b"<script")


def what_is(start: bytes) -> str:
    """What a file that begins so is, in words that go on from "it is "; "" where that is not known.

    Args:
        start: its first bytes, some hundred of them.
    """
    known = next((words for begin, words in _KNOWN.items() if start.startswith(begin)), "")
    if known:
        return known
    if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
        return _KNOWN[b"fLaC"]
    kind = next((name for begin, name in _PICTURES.items() if start.startswith(begin)), "")
    if kind or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return f"a picture ({kind or 'WebP'})"
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES):
        return "a web page (HTML); a download that failed may leave one, so fetch the file again"
    if start and not start.strip(b"\0"):
        return "nothing but zero bytes; a download that was stopped may leave that, so fetch the file again"
    try:
        text = start.decode("utf-8", errors="strict" if len(start) < 8 else "ignore")
    except UnicodeDecodeError:
        return ""
    whole = len(text.encode()) >= len(start) - 3  # the last letter may be cut
    printable = all(letter.isprintable() or letter in "\t\r\n\ufeff" for letter in text)
    return f"text ({text.split(chr(10))[0].strip()[:40]!r})" if text.strip() and whole and printable else ""


def why_not(path: str | Path, wanted: str) -> str:
    """Why a file cannot be read as a "video" or a "picture", as far as its first bytes tell."""
    try:
        with open(path, "rb") as file:
            found = what_is(file.read(512))
    except OSError:
        found = ""
    if not found or found.startswith(f"a {wanted}"):
        return f"cannot be read as a {wanted}; is it complete?"
    return f"cannot be read as a {wanted}: it is {found}"
