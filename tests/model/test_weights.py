"""Weights from files: which file a setting means, and that a network loaded from it scores as one loaded by hand."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from builders.place import Workplace
from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import StudyError
from harness.model import weights
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.study.load import load_study
from harness.train.settings import Settings
from harness.train.trial import Job, run_trial

STAGES = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


class PlainBlock(nn.Module):
    """A residual block as in He et al., with torchvision's names, written without a look at ours."""

    def __init__(self, inputs: int, width: int, stride: int, deep: bool) -> None:
        super().__init__()
        sizes = [(inputs, width, 1), (width, width, 3), (width, 4 * width, 1)]
        sizes = sizes if deep else [(inputs, width, 3), (width, width, 3)]
        self.depth = len(sizes)
        strided = 2 if deep else 1  # "v1.5": the 3x3 carries the stride
        for i, (a, b, k) in enumerate(sizes, 1):
            step = stride if i == strided else 1
            setattr(self, f"conv{i}", nn.Conv2d(a, b, k, step, k // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        outputs = sizes[-1][1]
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = F.relu(y) if i < self.depth else y
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class PlainResNet(nn.Module):
    """An image classifier with the parameter names of torchvision's public checkpoints."""

    def __init__(self, name: str) -> None:
        super().__init__()
        deep, inputs = name == "resnet50", 64
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        for stage, count in enumerate(STAGES[name]):
            blocks = []
            for i in range(count):
                blocks.append(PlainBlock(inputs, 64 << stage, 2 if stage and not i else 1, deep))
                inputs = (64 << stage) * (4 if deep else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def plain(name: str = "resnet18") -> PlainResNet:
    """Seeded, with running statistics that are not those of a fresh batch norm."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = PlainResNet(name)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr, operator]
                module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr, operator]
    return network.eval()


def published(folder: Path, monkeypatch: pytest.MonkeyPatch, backbone: str = "resnet18") -> Path:
    """A checkpoint named as torchvision names its files, by its content; and a table that knows that name."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(plain(backbone).state_dict(), folder / "new.pth")
    digits = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(weights.PUBLIC, backbone, (f"{backbone}-{digits}",))
    return (folder / "new.pth").rename(folder / f"{backbone}-{digits}.pth")


@pytest.fixture(autouse=True)
def _nobodys_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("MIXTBENCH_WEIGHTS", raising=False)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_an_operator_free_network_scores_as_the_plain_one_whose_file_it_was_given(
    backbone: str, suffix: str, tmp_path: Path
) -> None:
    network, path = plain(backbone), tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(network.state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(network.state_dict(), path)
    model = MSTNet(ModelConfig(backbone=backbone, weights=str(path)), 2, 1000).eval()
    model.fc.load_state_dict(
        network.fc.state_dict()
    )  # the classifier is the one thing that is not taken over
    clip = torch.randn(1, 2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model(clip), network(clip[0]).mean(0, keepdim=True))


def test_the_public_names_are_torchvisions() -> None:
    assert weights.PUBLIC == {
        "resnet18": ("resnet18-f37072fd",),
        "resnet34": ("resnet34-b627a593",),
        "resnet50": ("resnet50-0676ba61", "resnet50-11ad3fa6"),
    }


def test_imagenet_is_the_public_file_in_torchs_hub_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = published(tmp_path / "torch" / "hub" / "checkpoints", monkeypatch)
    assert weights.find("imagenet", "resnet18") == file
    model = MSTNet(ModelConfig(backbone="resnet18", weights="imagenet"), 2, 5)
    assert torch.equal(model.conv1.weight, plain().conv1.weight)


def test_of_two_public_files_the_papers_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = published(tmp_path / "torch" / "hub" / "checkpoints", monkeypatch)
    monkeypatch.setitem(weights.PUBLIC, "resnet18", (file.stem, "resnet18-11ad3fa6"))
    (file.parent / "resnet18-11ad3fa6.pth").write_bytes(b"newer")
    assert weights.find("imagenet", "resnet18") == file


@pytest.mark.parametrize("as_folder", [True, False])
def test_the_environment_names_a_file_or_a_folder(
    as_folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = published(tmp_path / "mine", monkeypatch)
    monkeypatch.setenv("MIXTBENCH_WEIGHTS", str(file.parent if as_folder else file))
    assert weights.find("imagenet", "resnet18") == file


def test_what_the_environment_names_is_not_replaced_by_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = published(tmp_path / "torch" / "hub" / "checkpoints", monkeypatch)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("MIXTBENCH_WEIGHTS", str(tmp_path / "empty"))
    with pytest.raises(StudyError) as error:
        weights.find("imagenet", "resnet18")
    assert str(error.value).startswith(f"MIXTBENCH_WEIGHTS: no {file.name} in {tmp_path / 'empty'}")


def test_a_study_names_a_file_or_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = published(tmp_path / "mine", monkeypatch)
    assert weights.find(str(file), "resnet18") == weights.find(str(file.parent), "resnet18") == file


def test_a_missing_file_is_one_line_that_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as error:
        MSTNet(ModelConfig(weights="imagenet"), 2, 5)
    assert str(error.value) == (
        f"model.weights: imagenet: no resnet50-0676ba61.pth or resnet50-11ad3fa6.pth in "
        f"{tmp_path}/torch/hub/checkpoints; put it there, or set MIXTBENCH_WEIGHTS to the file"
    )


def test_a_public_name_on_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = published(tmp_path / "torch" / "hub" / "checkpoints", monkeypatch)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(
        StudyError, match=r"its SHA-256 starts with [0-9a-f]{8}, not with the .* download it again"
    ):
        weights.find("imagenet", "resnet18")


def test_a_backbone_without_a_public_file_is_refused_in_the_study() -> None:
    with pytest.raises(ValueError, match="weights: no public file of resnet_tiny, only of resnet18, "):
        ModelConfig(backbone="resnet_tiny", weights="imagenet")


def test_weights_of_another_architecture_name_their_keys(tmp_path: Path) -> None:
    torch.save(plain("resnet18").state_dict(), tmp_path / "small.pth")
    with pytest.raises(
        StudyError, match=r"small\.pth does not fit the backbone: missing layer1\.0\.conv3\.weight"
    ):
        MSTNet(ModelConfig(backbone="resnet50", weights=str(tmp_path / "small.pth")), 2, 5)


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\x20\0\0\0\0\0\0\0{broken"])
def test_a_file_that_is_no_safetensors_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(StudyError, match=r"w\.safetensors is not a checkpoint of tensors \(") as error:
        weights.read(tmp_path / "w.safetensors")
    assert "\n" not in str(error.value)


# ---- in a study -----------------------------------------------------------------------------------------------------


def tiny_weights(path: Path, fill: float) -> Path:
    """A checkpoint of the tiny backbone, without classifier, all numbers alike."""
    model = MSTNet(ModelConfig(backbone="resnet_tiny"), 2, 5)
    state = {
        key: torch.full_like(value, fill) for key, value in model.state_dict().items() if key[:3] != "fc."
    }
    torch.save(state, path)
    return path


def ids(place: Workplace) -> list[str]:
    """The ids of the tiny study's trials."""
    study = load_study(place.folder / "tiny.yaml")
    return [trial.trial_id for trial in study.trials(dict.fromkeys(study.variants, ""))]


def test_the_content_of_the_weights_decides_a_trials_id_and_their_place_does_not(place: Workplace) -> None:
    file = tiny_weights(place.folder / "a.pth", 0.5)
    place.study(**{"model.weights": str(file)})
    first = ids(place)
    shutil.copy(file, place.folder / "b.pth")
    place.study(**{"model.weights": str(place.folder / "b.pth")})
    assert ids(place) == first
    tiny_weights(place.folder / "b.pth", 0.25)
    other = ids(place)
    place.study()
    assert not {*first} & {*other}
    assert not {*ids(place)} & {*first, *other}


def test_a_result_names_the_file_that_it_started_from(ready: Workplace) -> None:
    file = tiny_weights(ready.folder / "start.pth", 0.01)
    outcome = ready.run(ready.study(**{"model.weights": str(file)}), "--variants", "tsn")
    assert outcome.code == 0, outcome.err
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    record = ready.load()
    assert record.trials[0].environment["weights"] == f"start.pth (sha256 {digest})"
    assert f"start.pth (sha256 {digest})" in record.protocol["network"]


def test_a_file_that_changed_after_the_plan_fails_the_trial(tmp_path: Path) -> None:
    file = tiny_weights(tmp_path / "start.pth", 0.5)
    job = Job(
        trial_id="0",
        variant="tsn",
        seed=0,
        data_dir=tmp_path,
        folder=tmp_path / "trial",
        settings=Settings(model=ModelConfig(backbone="resnet_tiny", weights=str(file))),
        environment={"weights": weights.describe(file)},
    )
    tiny_weights(file, 0.25)
    record = run_trial(job)
    assert record.status == "failed"
    assert "start.pth is now start.pth (sha256 " in record.reason


def test_missing_weights_stop_a_study_before_anything_is_written(place: Workplace) -> None:
    study = place.study(model={"backbone": "resnet18", "weights": "imagenet"})
    before = sorted(place.folder.iterdir())
    outcome = place.run(study)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith("error: model.weights: imagenet: no resnet18-f37072fd.pth in ")
    assert sorted(place.folder.iterdir()) == before


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("it ran",)


def test_a_file_that_holds_code_is_refused_without_advice_to_run_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "start.pth"
    torch.save({"a": Bomb()}, file)
    with pytest.raises(StudyError, match="holds more than tensors") as error:
        weights.read(file)
    assert "weights_only" not in str(error.value)
    assert capsys.readouterr().out == ""
