"""2D networks of timm, of torchvision, and of the user's own: built by name, with random weights. The door to the two.

Nothing is downloaded. Both packages are optional: `pip install 'mixtbench[timm]'`, `'mixtbench[torchvision]'`.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Callable
from types import ModuleType

import torch
from torch import nn

from harness.errors import nearest
from operators.base import at_path

_declared: list[torch.library.Library] = []
"""torchvision's operators without their code; see `_import_torchvision`."""


def is_outside(name: str) -> bool:
    """Whether a backbone is none of ours: `timm/NAME`, `torchvision/NAME`, or a dotted path."""
    return "/" in name or "." in name


def build(name: str) -> nn.Module:
    """A network over frames, (B, 3, H, W) -> scores or features, with random weights.

    Args:
        name: `timm/resnet18.a1_in1k`, `torchvision/mobilenet_v3_small`, or the dotted path of a function or class that
            makes a network when it is called without arguments.

    Raises:
        ValueError: `backbone: ...`: a package that is not installed, or no network of that name.
        Exception: whatever a function of the user's own raises.
    """
    package, slash, rest = name.partition("/")
    if not slash:
        made = at_path(name, "backbone", "backbone")()
        if not isinstance(made, nn.Module):
            raise ValueError(f"backbone: {name} makes a {type(made).__name__}, no nn.Module")
        return made
    if package not in _MAKERS:
        raise ValueError(f"backbone: {name!r}: no package {package!r}{nearest(package, _MAKERS)}")
    try:
        return _MAKERS[package](rest)
    except ImportError as error:
        raise ValueError(
            f"backbone: {name} needs {error.name or package}, which is not installed; "
            f"pip install 'mixtbench[{package}]'"
        ) from None


def version(name: str) -> str:
    """What decides which network a name means, besides the name: `timm 1.0.31`; "" for one of no package."""
    package, slash, _ = name.partition("/")
    return f"{package} {importlib.metadata.version(package)}" if slash else ""


def own_path(name: str) -> tuple[str, ...]:
    """The dotted path of what makes a backbone of the user's own; nothing for any other."""
    return (name,) if "." in name and "/" not in name else ()


def _of_timm(name: str) -> nn.Module:
    _import_torchvision()  # timm does
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        import timm
    known = timm.list_models()
    if name.partition(".")[0] not in known:
        raise ValueError(f"backbone: timm has no network {name!r}{_near(name, known)}")
    try:
        network = timm.create_model(name, pretrained=False)
    except RuntimeError as error:  # of a tag that is none of the network's
        raise ValueError(f"backbone: timm/{name}: {error}") from None
    assert isinstance(network, nn.Module)
    return network


def _of_torchvision(name: str) -> nn.Module:
    models = _import_torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(f"backbone: torchvision has no network {name!r}{_near(name, known)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks whose random weights changed once
        network = models.get_model(name, weights=None)
    assert isinstance(network, nn.Module)
    return network


_MAKERS: dict[str, Callable[[str], nn.Module]] = {"timm": _of_timm, "torchvision": _of_torchvision}


def _import_torchvision() -> ModuleType:
    """torchvision, also where its compiled operators cannot be loaded.

    Beside a torch for CPUs pip installs torchvision for CUDA, whose library does not load there; then its import fails
    where it describes two operators that no network uses. Once they are declared, it goes on. Calling one still fails.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that library, once more
        try:
            import torchvision
        except RuntimeError as error:
            if "torchvision::nms does not exist" not in str(error):
                raise
            library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _declared.append(library)
            import torchvision
    assert isinstance(torchvision, ModuleType)
    return torchvision


def _near(name: str, known: list[str]) -> str:
    hint = nearest(name.partition(".")[0], known)
    return hint if hint.startswith("; did you mean") else f"; it has {len(known)}, none of a name like it"
