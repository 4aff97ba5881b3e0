"""python -m harness.export RUN_OR_MODEL --to onnx|torch OUT: a trained network as a file, checked against it.

Exit code: 0 written, 2 the request cannot be carried out; nothing is written then; 130 stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.console import say, start
from harness.errors import UserError
from harness.options import NETWORK, STORE, Parser, carried_out

if TYPE_CHECKING:
    from harness.export.forms import Form
    from harness.train.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    return carried_out(lambda: _run(args), "nothing was written")


def _run(args: argparse.Namespace) -> int:
    start(args.network)
    import json

    import torch

    from harness.export import forms
    from harness.files import writable, write_whole
    from harness.tracking.trained import load_trained

    beside = args.out.with_name(f"{args.out.name}.json")
    trained = load_trained(args.network, args.tracking_uri)
    settings = trained.studied()
    shape = (settings.data.num_frames, 3, *_sides(settings))
    clips = torch.randn(2, *shape)
    try:
        found = forms.program(trained.network, clips)
        form = forms.as_torch(found) if args.to == "torch" else forms.as_onnx(found, clips, args.opset)
    except UserError as error:
        raise UserError(f"{args.network}: {error}") from None
    apart = forms.difference(trained.network, form, shape)
    if not apart <= forms.TOLERANCE:
        raise UserError(
            f"{args.network}: the file's scores differ by {apart:.1e} of the largest one, more than "
            f"{forms.TOLERANCE:.0e}; nothing was written"
        )
    described = _description(args, settings, trained.classes, form, apart)
    with writable(args.out, "choose another file"):
        write_whole(beside, json.dumps(described, indent=1, ensure_ascii=False) + "\n")
        write_whole(args.out, form.content)
    what = f"ONNX opset {args.opset}" if args.to == "onnx" else f"torch.export of torch {torch.__version__}"
    say("written", f"{args.out}: {what}, {len(form.content) / 2**20:.2f} MiB")
    say(
        "checked",
        f"on random clips, one and three at once: largest difference {apart:.1e} of the largest score",
    )
    say("beside", f"{beside}: how clips are made, and the names of {len(trained.classes)} classes")
    return 0


def _sides(settings: Settings) -> tuple[int, int]:
    """Height and width of what the study's test protocol shows to the network."""
    data = settings.data
    side = data.crop if data.test.resolved().size == "crop" else data.short_side
    return side, side


def _description(
    args: argparse.Namespace, settings: Settings, classes: Sequence[str], form: Form, apart: float
) -> dict[str, Any]:
    """All that whoever loads the file needs to know, as plain values."""
    import torch

    from harness.data.sampling import SAMPLING_WORDS
    from harness.data.transforms import MEAN, STD
    from harness.export import forms
    from harness.machine import commit

    data = settings.data
    return {
        "network": args.network,
        "form": args.to,
        **({"opset": args.opset} if args.to == "onnx" else {}),
        "written_by": {"torch": torch.__version__, "commit": commit()},
        "bytes": len(form.content),
        "largest_difference": apart,
        "nodes": form.kinds,
        "input": {
            "name": forms.INPUT,
            "dtype": "float32",
            "shape": ["clips", data.num_frames, 3, *_sides(settings)],
            "axes": "clips, frames in their order, RGB, height, width",
        },
        "preprocessing": {
            "sampling": f"{data.sampling}: {SAMPLING_WORDS[data.sampling]}",
            "short_side": data.short_side,
            "views": data.test.resolved().words(data.crop, data.short_side),
            "normalising": "(value / 255 - mean) / std, for each colour",
            "mean": list(MEAN),
            "std": list(STD),
        },
        "output": {
            "name": forms.OUTPUT,
            "dtype": "float32",
            "shape": ["clips", len(classes)],
            "meaning": "scores before the softmax, a class each, in the order of `classes`",
        },
        "classes": list(classes),
    }


def _parser() -> Parser:
    parser = Parser(
        prog="python -m harness.export",
        description="Write a trained network as a file that other programs run, check the file against the network on "
        "random clips, and describe beside it, as JSON, how clips are made and what the classes are called.",
        examples=[
            "python -m harness.export smoke/ks1357 --to onnx ks1357.onnx",
            "python -m harness.export smoke/ks1357 --to torch ks1357.pt2",
        ],
    )
    add = parser.add_argument
    add("network", **NETWORK)
    add("out", type=Path, metavar="OUT", help="the file, such as ks3.onnx or ks3.pt2")
    add("--to", choices=("onnx", "torch"), required=True, help="onnx needs the extra `export`")
    add("--opset", type=int, default=20, metavar="N", help="of ONNX, 18 or newer (default: %(default)s)")
    add("--tracking-uri", **STORE)
    return parser


if __name__ == "__main__":
    sys.exit(main())
