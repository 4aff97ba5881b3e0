"""Where a network starts: weights that are drawn, a checkpoint's that are loaded, 2D ones that become 3D.

A 2D kernel is inflated as I3D does: repeated along time and divided by the number of frames that it then sees. Where
all of these show the same picture, the 3D convolution gives what the 2D one gives. Zeros stand outside the clip, so
that this is exact for features that see none of them: those further from both ends of the clip than they look.
Source: Carreira and Zisserman, Quo Vadis, Action Recognition?, Sec. 2.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from harness.errors import StudyError

APART = ("fc.", "head.")
"""How names begin that no checkpoint fills: classifiers, and heads over frames."""


def draw(model: nn.Module, convolutions: bool = True) -> None:
    """He et al.'s start of every convolution, unless they have one of their own; TSN's of the classifier, which is the
    layer `fc`. Of shapes alone nothing: drawing there imports a second's worth of torch."""
    classifier = model.get_submodule("fc")
    assert isinstance(classifier, nn.Linear)
    if classifier.weight.is_meta:
        return
    for module in model.modules() if convolutions else ():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    nn.init.normal_(classifier.weight, 0, 0.001)
    nn.init.zeros_(classifier.bias)


def inflate(kernel: Tensor, frames: int) -> Tensor:
    """A 2D kernel (out, in, h, w) as a 3D one, (out, in, frames, h, w), that sees `frames` frames alike."""
    return kernel[:, :, None].repeat(1, 1, frames, 1, 1) / frames


def load(
    model: nn.Module,
    state: Mapping[str, Tensor],
    path: Path,
    apart: tuple[str, ...] = APART,
    what: str = "weights",
) -> None:
    """Load a checkpoint, all but its classifier, before operators are inserted. 2D kernels of 3D layers are inflated.

    Args:
        state: tensors by the names of the model's own.
        path: where they come from, for errors.
        apart: how names begin that are neither asked for nor taken.
        what: the setting under `model` that names the file, for errors.

    Raises:
        StudyError: keys or shapes that do not match.
    """
    own = {key: value for key, value in model.state_dict().items() if not key.startswith(apart)}
    given = {key: value for key, value in state.items() if not key.startswith(apart)}
    for key, value in given.items():
        if key in own and own[key].dim() == 5 and value.dim() == 4:
            given[key] = inflate(value, own[key].shape[2])
    wrong = [f"missing {key}" for key in own if key not in given and not key.endswith("num_batches_tracked")]
    wrong += [f"unexpected {key}" for key in given if key not in own]
    wrong += [
        f"{key} is {tuple(given[key].shape)}, not {tuple(own[key].shape)}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    if wrong:
        shown = "; ".join(wrong[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise StudyError(f"model.{what}: {path} does not fit the backbone: {shown}")
    model.load_state_dict(given, strict=False)
