"""What lies where clips should, when they do not lie there: in words, and with the setting that would read it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from harness.data.columns import Clip
from harness.data.container import VIDEO_SUFFIXES

LOOKED_AT = 8
"""Clips that are looked into before all are: where none of them is named as the settings say, none is."""

_NUMBERED = re.compile(r"(.*?)(\d+)(\.(?:jpe?g|png|bmp|webp|tiff?))", re.IGNORECASE)


def names_in(folder: Path) -> set[str]:
    """What a folder holds; nothing where it cannot be listed."""
    try:
        with os.scandir(folder) as listing:
            return {entry.name for entry in listing}
    except OSError:
        return set()


def advice(clip: Clip, clips: str) -> tuple[str, str]:
    """Why a clip is not found as its settings say: what is there instead, and the settings that read it.

    Args:
        clips: the setting `clips` of the data set.

    Returns:
        Both "" where neither is known.
    """
    return _videos(clip, clips) if clip.is_video else _pictures(clip, clips)


def _pictures(clip: Clip, clips: str) -> tuple[str, str]:
    kinds: dict[tuple[str, int, str], list[int]] = {}
    for name in names_in(clip.file):
        if found := _NUMBERED.fullmatch(name):
            digits = found[2]
            width = len(digits) if digits.startswith("0") else 0
            kinds.setdefault((found[1], width, found[3]), []).append(int(digits))
    # 00999.jpg and 10000.jpg are of one kind: a number with all its digits is as wide as one filled up with zeros.
    for (before, width, after), numbers in list(kinds.items()):
        for number in kinds.get((before, 0, after), []) if width else []:
            if len(str(number)) >= width:
                numbers.append(number)
    if not kinds:
        return "", ""
    (before, width, after), numbers = max(kinds.items(), key=lambda kind: (len(kind[1]), kind[0][1]))
    numbers = sorted(set(numbers))
    if {"{", "}"} & set(before + after) or numbers != list(range(numbers[0], numbers[-1] + 1)):
        return "", ""
    pictures = f"{before}{{frame:0{width}d}}{after}" if width > 1 else f"{before}{{frame}}{after}"
    named = (pictures.format(frame=number) for number in (numbers[0], numbers[-1]))
    settings = []
    if pictures.format(frame=numbers[-1]) != clip.pictures.format(frame=numbers[-1]):
        settings.append(f"clips={clips.rpartition('/')[0]}/{pictures}")
    if numbers[0] != clip.first_picture:
        settings.append(f"first_picture={numbers[0]}")
    return (f"holds {' to '.join(named)}", " and ".join(settings)) if settings else ("", "")


def _videos(clip: Clip, clips: str) -> tuple[str, str]:
    """The same name with another ending, or a folder of pictures."""
    stem = clip.file.with_suffix("") if clip.file.suffix.lower() in VIDEO_SUFFIXES else clip.file
    setting = clips.removesuffix(clip.file.suffix)
    if stem != clip.file and os.path.isdir(stem):
        there, how = _pictures(Clip(
            id=clip.id, file=stem, split=clip.split, label=0, frames=0, pictures="{frame}", first_picture=1,
        ), f"{setting}/")  # fmt: skip
        return (f"there is the folder {stem.name}, which {there}", how) if there else ("", "")
    for suffix in sorted(VIDEO_SUFFIXES):
        for ending in (suffix, suffix.upper()):
            if ending != clip.file.suffix and os.path.isfile(other := stem.with_name(stem.name + ending)):
                return f"there is {other.name}", f"clips={setting}{ending}" if clips != "{id}" else ""
    return "", ""


def agreed(clips: Sequence[Clip], setting: str) -> str:
    """What is wrong with where the settings look for clips, if it is wrong for all of them; "" otherwise.

    Args:
        setting: `clips` of the data set.
    """
    looked = []
    for clip in clips[:: max(1, len(clips) // LOOKED_AT)][:LOOKED_AT]:
        # A picture before the first one would be left out, and the number of frames be wrong for each clip.
        right = (
            os.path.exists(clip.file)  # and not Path's own, which raises where a name is too long
            if clip.is_video
            else os.path.exists(clip.picture(0)) and not os.path.exists(clip.picture(-1))
        )
        there, how = ("", "") if right else advice(clip, setting)
        if right or how:
            looked.append((clip, there, how))
    if not looked or len({how for *_, how in looked}) > 1 or not looked[0][2]:
        return ""
    clip, there, how = looked[0]
    wanted = clip.file.name if clip.is_video else f"{clip.picture(0).name} and so on"
    return f"{clip.file}: {there}, not {wanted}; {how} would read that, here and in all {len(looked)} clips looked at"
