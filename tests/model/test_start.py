"""Where 3D networks start: 2D kernels repeated along time give the 2D network's features where nothing moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import StudyError
from harness.model.bninception import BNInception, Inception, from_public
from harness.model.build import build
from harness.model.config import ModelConfig
from harness.model.eco import ECO
from harness.model.mstnet import MSTNet
from harness.model.network import Network
from harness.model.start import inflate

WIDTH = 0.125


def trained(backbone: str, path: Path) -> Network:
    """A 2D network with statistics as training leaves them, and its checkpoint."""
    model = build(ModelConfig(backbone=backbone, width=WIDTH), 1, 7, seed=5)
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in (
                (module.running_mean, -0.2),
                (module.running_var, 0.5),
                (module.weight.data, 0.5),
            ):
                assert isinstance(values, Tensor)
                values.copy_(low + torch.rand(values.shape, generator=generator))
    torch.save(model.state_dict(), path)
    return model.eval().double()


def started(backbone: str, frames: int, **weights: str) -> Network:
    config: dict[str, Any] = {"backbone": backbone, "width": WIDTH, **weights}
    return build(ModelConfig(**config), frames, 7).eval().double()


def still(frames: int, *shape: int) -> tuple[Tensor, Tensor]:
    """A picture, and a clip that shows nothing else."""
    picture = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return picture, picture[None, None].repeat(1, frames, 1, 1, 1)


def outputs(model: nn.Module, name: str, x: Tensor) -> Tensor:
    """What a layer gives when the model sees x."""
    seen: list[Tensor] = []
    hook = model.get_submodule(name).register_forward_hook(lambda *given: seen.append(given[2]))
    with torch.no_grad():
        model(x)
    hook.remove()
    return seen[0]


def test_a_kernel_is_repeated_and_divided() -> None:
    kernel = torch.tensor([[[[6.0]]]])
    assert inflate(kernel, 3).flatten().tolist() == [2.0, 2.0, 2.0]
    assert inflate(torch.randn(4, 2, 3, 5), 5).shape == (4, 2, 5, 3, 5)


def test_an_inflated_i3d_gives_resnet50s_features_where_it_sees_no_end_of_the_clip(tmp_path: Path) -> None:
    flat = trained("resnet50", tmp_path / "flat.pth")
    assert isinstance(flat, MSTNet)
    first = flat.get_submodule("layer4.0")  # which keeps height and width in I3D
    first.conv2.stride = first.downsample[0].stride = (1, 1)  # type: ignore[union-attr, index]
    model = started("i3d_resnet50", 48, weights=str(tmp_path / "flat.pth"))
    picture, clip = still(48, 3, 40, 32)
    expected = outputs(flat, "layer4", picture[None, None])[0]
    volume = outputs(model, "layer4", clip)[0].transpose(0, 1)  # (T / 2, C, H, W)
    for place in range(9, 15):  # 18 frames and more from both ends
        torch.testing.assert_close(volume[place], expected)
    assert not torch.allclose(volume[0], expected, rtol=1e-3)  # zeros stand before the clip


def test_non_local_blocks_start_as_the_identity(tmp_path: Path) -> None:
    trained("resnet50", tmp_path / "flat.pth")
    path = str(tmp_path / "flat.pth")
    plain, attending = (started(name, 4, weights=path) for name in ("i3d_resnet50", "nl_i3d_resnet50"))
    clip = still(4, 3, 32, 40)[1]
    assert torch.equal(outputs(plain, "layer4", clip), outputs(attending, "layer4", clip))


@pytest.mark.parametrize("name", ["eco", "eco_lite"])
def test_ecos_2d_part_starts_as_bninception(name: str, tmp_path: Path) -> None:
    flat = trained("bninception", tmp_path / "flat.pth")
    assert isinstance(flat, BNInception)
    model = started(name, 2, weights=str(tmp_path / "flat.pth"))
    picture, clip = still(2, 3, 40, 32)
    block = flat.get_submodule("layer2.3c")
    assert isinstance(block, Inception)
    with torch.no_grad():
        x = flat.layer1(picture[None])
        for before in ("3a", "3b"):
            x = flat.get_submodule(f"layer2.{before}")(x)
        inner = block.with_inner(x)[1]
    seen: list[Tensor] = []
    model.get_submodule("layer2").register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    model(clip)
    for frame in range(2):
        torch.testing.assert_close(seen[0][:, :, frame], inner)
    if name == "eco":  # the rest of it too
        torch.testing.assert_close(
            outputs(model, "frames2d.layer4", clip)[:1], outputs(flat, "layer4", picture[None, None])
        )


def plane(kernel: Tensor) -> Tensor:
    """What a 3D kernel is where all frames are alike."""
    return kernel.sum(dim=2)


def test_ecos_3d_part_starts_from_an_inflated_resnet18(tmp_path: Path) -> None:
    flat = trained("resnet18", tmp_path / "flat.pth").state_dict()
    model = started("eco_lite", 16, weights_3d=str(tmp_path / "flat.pth"))
    assert isinstance(model, ECO)
    for stage, ours in ((3, model.layer3), (4, model.layer4)):
        for place, block in enumerate((ours.first, ours.second)):
            for layer in ("conv1", "conv2"):
                kernel = block.get_submodule(layer).weight
                assert isinstance(kernel, Tensor)
                torch.testing.assert_close(plane(kernel), flat[f"layer{stage}.{place}.{layer}.weight"])
        assert ours.first.downsample is not None
        shortcut = plane(ours.first.downsample.weight.detach())
        torch.testing.assert_close(
            shortcut[:, :, 1, 1], flat[f"layer{stage}.0.downsample.0.weight"][:, :, 0, 0]
        )
        assert shortcut.abs().sum() == pytest.approx(float(shortcut[:, :, 1, 1].abs().sum()))
    # The first block of the third stage on a picture, in two dimensions and by hand.
    block = model.layer3.first
    picture = torch.randn(1, 16, 10, 6, dtype=torch.float64)
    name = "layer3.0"
    norm = [flat[f"{name}.bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    y = F.relu(F.batch_norm(F.conv2d(picture, flat[f"{name}.conv1.weight"], None, 2, 1), *norm))
    expected = F.conv2d(y, flat[f"{name}.conv2.weight"], None, 1, 1)
    expected = expected + F.conv2d(picture, flat[f"{name}.downsample.0.weight"], None, 2)
    volume = picture[:, :, None].repeat(1, 1, 16, 1, 1)
    with torch.no_grad():
        total = block(volume, volume)[1]
    for place in range(2, 6):
        torch.testing.assert_close(total[:, :, place], expected)


def test_the_public_bninception_gives_for_rgb_frames_what_it_gives_for_its_own() -> None:
    kernel, bias = torch.randn(8, 3, 7, 7, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    state = {"conv1_7x7_s2.weight": kernel, "conv1_7x7_s2.bias": bias, "inception_4e_3x3_bn.bias": bias}
    ours = from_public(state)
    assert set(ours) == {"layer1.conv1_7x7_s2.weight", "layer1.conv1_7x7_s2.bias", "layer3.4e.3x3_bn.bias"}
    rgb = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    mean, deviation = (
        torch.tensor(x, dtype=torch.float64)[:, None, None]
        for x in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    caffe = rgb.flip(1) * 255 - torch.tensor([104.0, 117.0, 128.0], dtype=torch.float64)[:, None, None]
    theirs = F.conv2d(caffe, kernel, bias, 2, 3)
    here = F.conv2d(
        (rgb - mean) / deviation, *(ours[f"layer1.conv1_7x7_s2.{part}"] for part in ("weight", "bias")), 2, 3
    )
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(here[inside], theirs[inside], rtol=1e-5, atol=1e-4)


def test_a_file_of_another_network_is_one_line(tmp_path: Path) -> None:
    trained("resnet18", tmp_path / "small.pth")
    path = str(tmp_path / "small.pth")
    for backbone, settings, words in (
        (
            "i3d_resnet50",
            {"weights": path},
            r"model.weights: .*small.pth does not fit the backbone: missing layer1",
        ),
        (
            "eco",
            {"weights": path},
            r"model.weights: .*does not fit the backbone: missing layer1.conv1_7x7_s2",
        ),
        ("eco_lite", {"weights_3d": str(tmp_path / "none.pth")}, r"model.weights: no file .*none.pth"),
    ):
        with pytest.raises(StudyError, match=words) as error:
            started(backbone, 2, **settings)
        assert "\n" not in str(error.value)
