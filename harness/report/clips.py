"""Pictures of clips: examples of each class, and clips that the best variant loses and the baseline wins.

Only where a study says `report: {clips: true}`: whether frames may stand on a page is a question of the data's licence.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.analysis.summary import Row, Summary
from harness.data.batches import eval_batches
from harness.data.config import DataConfig
from harness.data.dataset import DataSet, find_data, located
from harness.data.strip import strip
from harness.data.views import PROTOCOLS, EvalConfig
from harness.errors import UserError
from harness.report.document.blocks import Block, Heading, Paragraph, Picture, one_line
from harness.report.format import plural

EACH, LOST, MOST = 2, 8, 16
"""Clips of a class; clips that were lost; classes that are shown."""

HEIGHT, QUALITY = 64, 80
"""Pixels of a frame; of the jpg."""


def section(summary: Summary, folder: Path, data_dir: Path) -> list[Block]:
    """Draw the pictures into `folder`, and give the blocks that show them.

    Args:
        data_dir: where generated data sets lie.
    """
    heading = Heading(2, "Clips")
    data = _data(summary, data_dir)
    if data is None:
        words = "The data set was not found, so no clips are shown. After a run with `--data-dir`, give it here too."
        return [heading, Paragraph(words)]
    folder.mkdir()
    blocks: list[Block] = [heading, Heading(3, "Examples of each class")]
    labels = [clip.label for clip in data.split("val").clips]
    for label, name in list(enumerate(data.classes))[:MOST]:
        places = [place for place, one in enumerate(labels) if one == label][:EACH]
        if places:
            rows = [(f"{_short(name)}\n{data.split('val').clips[place].id[-20:]}", place) for place in places]
            blocks.append(_picture(data, rows, folder / f"class-{label}.jpg", f"Clips of {one_line(name)}"))
    if len(data.classes) > MOST:
        blocks.append(Paragraph(f"The first {MOST} of {len(data.classes)} classes.", "note"))
    return [*blocks, *_lost(summary, data, folder)]


def _data(summary: Summary, data_dir: Path) -> DataSet | None:
    record = summary.record
    kept = record.settings.get(record.baseline, {}).get("data", {})
    raw: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value  # JSON has lists where settings have tuples
        for key, value in kept.items()
    }
    try:
        config = DataConfig(**{**raw, "test": EvalConfig(**raw.get("test", {}))})
        return find_data(located(config), data_dir)
    except (UserError, TypeError):  # a folder that cannot be read, or settings of another version
        return None


def _lost(summary: Summary, data: DataSet, folder: Path) -> list[Block]:
    """Clips that the baseline is right about in more seeds than the best other variant is."""
    best = next((row for row in (summary.best, summary.runner_up) if row and row.difference), None)
    if best is None or summary.baseline is None:
        return []
    seeds = best.by_seed["top1"].keys() & summary.baseline.by_seed["top1"].keys()
    mine, theirs = (_right(summary, row, seeds) for row in (best, summary.baseline))
    behind = {clip: theirs[clip][0] - mine[clip][0] for clip in mine.keys() & theirs.keys()}
    lost = sorted((clip for clip in behind if behind[clip] > 0), key=lambda clip: (-behind[clip], clip))
    won = sum(many < 0 for many in behind.values())
    place_of = {clip.id: place for place, clip in enumerate(data.split("val").clips)}
    rows = [
        (
            f"{_short(data.classes[data.split('val').clips[place_of[clip]].label])}\ntaken for\n{_short(taken)}",
            place_of[clip],
        )
        for clip in lost[:LOST]
        if clip in place_of
        for taken in [data.classes[mine[clip][1]]]
    ]
    heading = Heading(3, f"Clips that {best.variant} loses and {summary.record.baseline} wins")
    if not rows:
        return [heading, Paragraph("None: of no clip is the baseline right in more seeds.")]
    words = f"What {best.variant} is wrong about in more seeds than {summary.record.baseline}"
    note = f"{plural(len(lost), 'clip')} of {len(behind):,}, over the seeds that both have; "
    note += f"{won:,} the other way around."
    note += f" Shown are the {len(rows)} most often lost." if len(rows) < len(lost) else ""
    return [heading, _picture(data, rows, folder / "lost.jpg", words), Paragraph(note, "note")]


def _right(summary: Summary, row: Row, seeds: Collection[int]) -> dict[str, tuple[int, int]]:
    """By clip, in how many of these seeds it is right, and what it is most often taken for where it is wrong."""
    right: Counter[str] = Counter()
    wrong: dict[str, Counter[int]] = {}
    for trial in summary.trials:
        if trial.variant == row.variant and trial.seed in seeds and trial.predictions.get("clip"):
            p = trial.predictions
            for clip, label, predicted in zip(p["clip"], p["label"], p["predicted"], strict=True):
                right[clip] += label == predicted
                counted = wrong.setdefault(clip, Counter())
                counted[predicted] += label != predicted
    return {clip: (right[clip], counted.most_common(1)[0][0]) for clip, counted in wrong.items()}


def _picture(data: DataSet, rows: Sequence[tuple[str, int]], file: Path, title: str) -> Picture:
    """rows: a caption, and the clip's place in the validation split; one that cannot be read is left out."""
    shown = [(caption, frames) for caption, place in rows if (frames := _frames(data, place)) is not None]
    content = io.BytesIO()
    if shown:
        strip(shown, HEIGHT).save(content, "jpeg", quality=QUALITY, optimize=True)
        file.write_bytes(content.getvalue())
    return Picture(f"{file.parent.name}/{file.name}" if shown else "", title)


def _frames(data: DataSet, place: int) -> np.ndarray | None:
    """What a test with one centre crop sees of a clip: (T, H, W, 3) uint8."""
    try:
        batch = next(
            iter(eval_batches(data.split("val"), 1, protocol=PROTOCOLS["center_1clip"], indices=[place]))
        )
    except UserError:
        return None
    if not len(batch.labels):
        return None
    frames: np.ndarray = batch.clips[0].permute(0, 2, 3, 1).numpy()
    return frames


def _short(name: str, most: int = 20) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}\u2026"
