"""python -m harness.data check|prepare ROOT: see whether a data set is whole, and make it ready.
python -m harness.data sheet TASK: see what generated clips show.

Exit code: 0 all is well, 1 some clips or annotations are not, 2 the request cannot be carried out, 130 stopped.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from harness.console import bar, say
from harness.errors import DataError
from harness.options import Parser, carried_out

if TYPE_CHECKING:
    from harness.data.sources.annotations import Problem
    from harness.data.sources.readers import ReaderConfig

SHOWN = 10
"""Problems of a kind that are printed; the file has all of them."""


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names and labels print in any encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    kept = "videos that are extracted stay so; the same command does the others"
    stopped = kept if getattr(args, "extract", None) is not None else "nothing was written"
    return carried_out(lambda: args.command(args), stopped)


def _check(args: argparse.Namespace) -> int:
    from harness.data.generated.making import MANIFEST
    from harness.data.sources import index_files
    from harness.data.sources.check import KINDS, check, check_out

    if (args.root / MANIFEST).is_file():
        return _check_generated(args.root)
    config = _config(args)
    if args.out:
        check_out(args.out)
    begin = time.monotonic()
    with bar("check", "clips") as advance:
        found = check(config, advance, decode=args.decode)
    if args.out:
        found.save(args.out)
    say("format", f"{config.name} in {found.root}")
    looked = "every frame decoded" if args.decode else "frames counted, not decoded (--decode does)"
    good = sum(map(len, found.frames.values()))
    say("clips", f"{good:,} good, {looked}, {time.monotonic() - begin:.0f} s")
    say("classes", f"{len(found.classes)}, {len(found.unused)} of them without a training clip")
    print()
    print("\n".join(found.table()))
    print()
    for kind in KINDS:
        _show([problem for problem in found.problems if problem.kind == kind])
    where = f"all of them in {args.out}" if args.out else "--out FILE lists all of them"
    say("problems", f"{len(found.problems):,}" + (f"; {where}" if found.problems or args.out else ""))
    index = index_files.find(config, args.data_dir.expanduser().absolute())
    whole = index is None or _check_decoded(index.folder)
    return 0 if whole and not found.problems else 1


def _check_generated(folder: Path) -> int:
    """What this project made itself, held against what it wrote down of it then."""
    from harness.data.generated.making import changed_clips

    count, changed = changed_clips(folder)
    say("clips", f"{count - len(changed):,} of {count:,} as they were written")
    for file in changed[:SHOWN]:
        say("changed", f"{file}; rename the folder, and the next run makes all clips anew")
    return 0 if _check_decoded(folder) and not changed else 1


def _check_decoded(folder: Path) -> bool:
    """Whether the decoded frames of a data set, where there are any, are as they were written."""
    from harness.data.frames import damaged_files

    files, damaged = damaged_files(folder)
    if files:
        say("decoded", f"{len(files) - len(damaged)} of {len(files)} files as they were written")
    for file in damaged:
        say("damaged", f"{file}; the next run decodes the videos anew")
    return not damaged


def _prepare(args: argparse.Namespace) -> int:
    from harness.data.columns import chosen, in_split, with_problem
    from harness.data.sources import index_files
    from harness.data.sources.annotations import Problem
    from harness.data.sources.extraction import PICTURES, ExtractConfig, extract

    config = _config(args)
    data_dir = args.data_dir.expanduser().absolute()
    if args.recount:
        index_files.forget(config, data_dir)
    with bar("index", "clips") as advance:
        index = index_files.prepare(config, data_dir, advance, look_again=True)
    counts = ", ".join(f"{np.count_nonzero(in_split(index.clips, s)):,} {s}" for s in ("train", "val"))
    say("index", f"{config.name}: {counts} clips, {len(index.classes)} classes, in {index.folder}")
    say(" ", f"fingerprint {index.fingerprint[:16]}")
    unreadable = chosen(index.clips, np.flatnonzero(with_problem(index.clips)))
    problems = [Problem("unreadable", str(c.file), c.problem, c.split, c.id) for c in unreadable]
    root = config.folder()
    dataset: dict[str, object] = {"name": config.name, "root": str(root), **dict(args.settings)}
    if args.extract is not None:
        how = ExtractConfig(short_side=args.short_side, quality=args.quality)
        if not any(clip.is_video for clip in index.clips):
            raise DataError(f"--extract: every clip of {config.name} is a folder of pictures already")
        out = Path(args.extract or root / f"frames-{how.short_side}").expanduser().absolute()
        videos = [clip for clip in index.clips if clip.is_video and not clip.problem]
        with bar("extract", "videos") as advance:
            bad = extract(videos, out, how, advance)
        say("frames", f"{len(videos) - len(bad):,} of {len(videos):,} videos as jpg in {out}")
        problems += bad
        dataset.pop("first_picture", None)  # extracted frames count from 1
        if config.name == "folders":
            dataset = {key: value for key, value in dataset.items() if key != "clips"} | {"root": str(out)}
            if left_out := len(index.clips) - len(videos) + len(bad):
                which = "folders of pictures, which must be copied or linked there, and videos that cannot be read"
                say(
                    "warning",
                    f"{left_out:,} clips are not in {out}, and a study on it will not know: {which}",
                )
        else:  # within the root by its place there: a data set that moves stays the same one
            where = out.relative_to(root) if out.is_relative_to(root) else out
            dataset["clips"] = f"{where}/{{id}}/{PICTURES}"
    _show(problems)
    text = yaml.safe_dump({"dataset": dataset}, default_flow_style=True, width=10_000).strip()
    print(f"study    data: {text}")  # to be copied: not wrapped
    return 1 if problems else 0


def _sheet(args: argparse.Namespace) -> int:
    from harness.data.generated.config import GeneratedConfig
    from harness.data.generated.sheet import FRAMES, sheet
    from harness.files import writable, write_whole

    file = args.out or Path(f"{args.task}.png")
    picture = sheet(GeneratedConfig.seen(FRAMES, {"task": args.task}))
    with writable(file, "choose another file"):
        write_whole(file, picture)
    say("picture", str(file))
    return 0


def _show(problems: Sequence[Problem]) -> None:
    for problem in problems[:SHOWN]:
        where = "" if problem.text.startswith(problem.place) else f"{problem.place}: "
        say("", f"{problem.kind}: {problem.clip or '-'}: {where}{problem.text}")
    if len(problems) > SHOWN:
        say("", f"{problems[0].kind}: and {len(problems) - SHOWN:,} more")


def _config(args: argparse.Namespace) -> ReaderConfig:
    """The data set's settings as a study would read them."""
    from harness.data.config import DataConfig
    from harness.data.sources.readers import READERS, ReaderConfig, guess_format
    from harness.errors import nearest

    root = args.root.expanduser().absolute()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    if args.format and args.format not in READERS:
        raise DataError(f"--format: no format {args.format!r}{nearest(args.format, READERS)}")
    settings = {"name": args.format or guess_format(root), "root": str(root)} | dict(args.settings)
    source = DataConfig(dataset=settings).source()
    assert isinstance(source, ReaderConfig)
    return source


def _parser() -> argparse.ArgumentParser:
    from harness.files import default_data_dir

    parser = Parser(
        prog="python -m harness.data",
        description="See whether a data set is whole; make it ready; see what generated clips show.",
        examples=[
            "python -m harness.data check ~/data/jester      # what is wrong with it, if anything",
            "python -m harness.data prepare ~/data/jester    # make its index, and print the line for a study",
            "python -m harness.data sheet strobe             # a picture of a generated task",
        ],
    )
    commands = parser.add_subparsers(required=True, metavar="check|prepare|sheet", parser_class=Parser)
    check = commands.add_parser(
        "check",
        help="read all annotations, look at all clips, list what is wrong",
        description="Read all annotations of a data set, look at all its clips, and list what is wrong. Nothing is "
        "written unless --out asks for it.",
        examples=[
            "python -m harness.data check ~/data/jester",
            "python -m harness.data check ~/data/jester --decode --out problems.csv",
        ],
    )
    prepare = commands.add_parser(
        "prepare",
        help="make the index; with --extract, videos to jpg frames",
        description="Make the index of a data set, and print the line that a study needs; with --extract, write the "
        "frames of its videos as jpg.",
        examples=[
            "python -m harness.data prepare ~/data/jester",
            "python -m harness.data prepare ~/data/own --format folders --extract ~/data/own-frames",
        ],
    )
    show = commands.add_parser(
        "sheet",
        help="draw a clip of every level of a generated task, frame by frame",
        description="Draw a clip of every level of a generated task, frame by frame.",
        examples=["python -m harness.data sheet strobe --out strobe.png"],
    )
    check.set_defaults(command=_check)
    prepare.set_defaults(command=_prepare)
    show.set_defaults(command=_sheet)
    show.add_argument("task", help="strobe, scenes and so on; docs/data.md has them all")
    show.add_argument("--out", type=Path, metavar="FILE", help="a PNG (default: <task>.png)")
    for command in (check, prepare):
        command.add_argument("root", type=Path, help="the folder with the annotations")
        add = command.add_argument_group("the data set").add_argument
        words = "something_v1, something_v2, jester, list or folders; guessed from the files without it"
        add("--format", default="", help=words)
        words = "a setting of the data set: clips=videos/{id}.webm"
        add(
            "--set",
            action="append",
            default=[],
            type=_setting,
            dest="settings",
            metavar="KEY=VALUE",
            help=words,
        )
        words = "where the index and decoded frames are, as for harness.run (default: %(default)s)"
        add("--data-dir", type=Path, default=default_data_dir(), metavar="DIR", help=words)
    add = check.add_argument_group("how closely").add_argument
    add("--decode", action="store_true", help="decode every frame of every clip, which takes long")
    add("--out", type=Path, metavar="FILE", help="list all problems there, as .json or .csv")
    add = prepare.add_argument_group("what is made").add_argument
    add("--recount", action="store_true", help="look at every clip again, also where an index is there")
    words = (
        "write the frames of videos as jpg, to DIR or ROOT/frames-<short side>; goes on where it was stopped"
    )
    add("--extract", nargs="?", const="", metavar="DIR", help=words)
    add("--short-side", type=int, default=256, help="of extracted frames, pixels (default: 256)")
    add("--quality", type=int, default=95, help="of extracted jpg (default: 95)")
    return parser


def _setting(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, int(value) if value.isdecimal() else value


if __name__ == "__main__":
    sys.exit(main())
