"""A backbone from outside in a study: counted, part of ids, trained, kept, and refused where it cannot work."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from builders.own_networks import SMALL, write_small
from builders.place import TINY, Workplace
from builders.study_files import change, ids, load, refusal

from harness.cost.counting import count
from harness.data.transforms import MEAN, STD, normalise
from harness.errors import StudyError
from harness.model.any_backbone import AnyBackbone
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.outside import import_from

COST = {"backbone": "own", "size": 32, "num_classes": 5, "latency": False}
KS3 = {"name": "depthwise", "kernel_size": 3}


def study(place: Workplace, module: str, network: str = "Small", **model: Any) -> dict[str, Any]:
    """The tiny study over a network of the user's own."""
    write_small(place.folder, module)
    own = {**TINY["model"], "backbone": f"{module}.{network}", **model}
    return {**change("model", own), "cost": COST}


def config(place: Workplace, module: str, network: str = "Small", **model: Any) -> ModelConfig:
    """The same, to be built without a study."""
    write_small(place.folder, module)
    import_from(place.folder)
    return ModelConfig(**{"backbone": f"{module}.{network}", "dropout": 0.0, **model})


def test_parameters_and_macs_are_those_counted_by_hand(place: Workplace) -> None:
    read = load(place.folder, study(place, "own_counted"))
    plain, mixed = (count(read.cost, read.variants[name].model, 4) for name in ("tsn", "ks13"))
    convs = (8 * 27 + 8) + 2 * (8 * 72 + 8) + (16 * 72 + 16) + 2 * (16 * 144 + 16)
    assert (plain.params_total, plain.params_added) == (convs + 16 * 5 + 5, 0)
    pixels = 16 * 16 * (8 * 27 + 2 * 8 * 72) + 8 * 8 * (16 * 72 + 2 * 16 * 144)
    assert plain.macs_total == 4 * (pixels + 16 * 5)
    assert mixed.params_added == (4 + 3 * 4) + (8 + 3 * 8)
    assert mixed.macs_added == 4 * (16 * 16 * (4 + 3 * 4) + 8 * 8 * (8 + 3 * 8))
    assert plain.geometry["backbone"] == "own_counted.Small"


def test_the_horizon_is_the_sum_of_reaches_in_the_chosen_blocks(place: Workplace) -> None:
    for settings, horizon in (
        ({}, 4),
        ({"stages": (4,)}, 2),
        ({"where": ("block1",)}, 2),
        ({"where": ("Block",)}, 4),
    ):
        model = config(place, "own_horizon", operator=KS3, **settings)
        with torch.device("meta"):
            assert MSTNet(model, 8, 5).horizon() == horizon


def test_scores_are_the_networks_own_averaged_over_frames(place: Workplace) -> None:
    model = config(place, "own_scored")
    network = MSTNet(model, 4, 7, seed=3).eval()
    assert isinstance(network.outside, AnyBackbone)
    inside: Any = network.outside.network
    clips = torch.randn(2, 4, 3, 32, 24)
    x = inside.block2(inside.down(inside.block1(inside.stem(clips.flatten(0, 1)))))
    torch.testing.assert_close(network(clips), network.fc(x.mean((2, 3))).unflatten(0, (2, 4)).mean(1))
    same = MSTNet(config(place, "own_scored", operator=KS3), 4, 7, seed=3).state_dict()
    assert all(torch.equal(tensor, same[name]) for name, tensor in network.state_dict().items())


def test_pixels_are_those_that_the_networks_weights_expect(place: Workplace) -> None:
    """(x - 0.5) / 0.5, of clips that come with ImageNet's mean and deviation."""
    model = config(place, "own_halves", "halves")
    backbone = AnyBackbone(model.backbone).eval()
    pixels = torch.rand(2, 3, 32, 24)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    torch.testing.assert_close(backbone((pixels - mean) / std), backbone.network((pixels - 0.5) / 0.5))


def test_weights_are_loaded_by_the_networks_own_names_without_its_classifier(place: Workplace) -> None:
    model = config(place, "own_loaded")
    given = {name: tensor + 1 for name, tensor in MSTNet(model, 4, 7).outside.network.state_dict().items()}  # type: ignore[union-attr]
    file = place.folder / "small.pth"
    torch.save({**given, "head.weight": torch.zeros(3, 16), "head.bias": torch.zeros(3)}, file)
    loaded = MSTNet(config(place, "own_loaded", operator=KS3, weights=str(file)), 4, 5)
    state = loaded.outside.network.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(state[name], tensor) for name, tensor in given.items())
    torch.save({name: given[name] for name in list(given)[1:]}, file)
    with pytest.raises(StudyError, match=r"small.pth does not fit the backbone: missing stem.weight$"):
        MSTNet(config(place, "own_loaded", weights=str(file)), 4, 5)


def test_ids_change_with_the_backbones_source_and_with_where_but_not_without(place: Workplace) -> None:
    tiny = ids(load(place.folder, change("seeds", [0])))
    assert ids(load(place.folder, change("model/where", []))) == tiny
    before = ids(load(place.folder, study(place, "own_id")))
    where = ids(load(place.folder, study(place, "own_id", where=["Block"])))
    assert set(before.values()).isdisjoint({*where.values(), *tiny.values()})
    (place.folder / "own_id.py").write_text(f"{SMALL}\n# another file\n")
    assert set(ids(load(place.folder, study(place, "own_other"))).values()).isdisjoint(before.values())
    (place.folder / "own_id.py").write_text(SMALL + "# changed\n")
    changed = ids(
        load(place.folder, {**change("model", {**TINY["model"], "backbone": "own_id.Small"}), "cost": COST})
    )
    assert set(changed.values()).isdisjoint(before.values())


@pytest.mark.usefixtures("no_trial_figures")
def test_a_study_over_an_own_network_runs_and_keeps_a_network_that_loads(ready: Workplace) -> None:
    content = study(ready, "own_trained", where=["Block"])
    path = ready.study(**{key: content[key] for key in ("model", "cost")})
    outcome = ready.run(path)
    assert (outcome.code, outcome.err) == (0, "")
    record = ready.load()
    assert {trial.status for trial in record.trials} == {"done"}
    (mixed,) = [trial for trial in record.trials if trial.variant == "ks13"]
    assert [one["operator"] for one in mixed.probes["filters"]] == [
        "outside.network.block1.conv1.temporal",
        "outside.network.block2.conv1.temporal",
    ]
    assert [one["stage"] for one in mixed.probes["reach"]] == [3, 4]
    client = ready.client()
    experiment = client.get_experiment_by_name("tiny")
    kept = {model.name: model for model in client.search_logged_models([experiment.experiment_id])}
    loaded = mlflow.pyfunc.load_model(kept["ks13-s0"].artifact_location)
    clips = np.random.default_rng(0).integers(0, 256, (2, 4, 3, 16, 16), dtype=np.uint8)
    network = loaded._model_impl.network
    with torch.no_grad():
        expected = network(normalise(torch.from_numpy(clips))).numpy()
    assert np.array_equal(loaded.predict(clips), expected)
    assert isinstance(network.outside, AnyBackbone)


def test_a_plan_says_where_operators_stand(place: Workplace) -> None:
    path = place.folder / "tiny.yaml"
    load(place.folder, study(place, "own_planned", where=["Block"]))
    outcome = place.run(path, "--dry-run")
    assert outcome.code == 0
    assert "own_planned.Small" in outcome.out


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no such module": (
        "nowhere.Net",
        {},
        "model.backbone: no module 'nowhere' for backbone 'nowhere.Net'; put its folder "
        "on PYTHONPATH, or the file beside the study",
    ),
    "no such name": ("{own}.Smal", {}, "model.backbone: {own} has no 'Smal'; did you mean 'Small'?"),
    "no network": ("{own}.listed", {}, "model.backbone: {own}.listed makes a list, no nn.Module"),
    "no package": (
        "tim/resnet18",
        {},
        "model.backbone: 'tim/resnet18': no package 'tim'; did you mean 'timm'?",
    ),
    "ours, nearly": (
        "resnet5",
        {},
        "model.backbone: no backbone 'resnet5'; did you mean 'resnet50'?; or timm/NAME, "
        "torchvision/NAME, or a dotted path of your own",
    ),
    "clips would meet": (
        "{own}.Centred",
        {},
        "model.backbone: {own}.Centred: its forward (Centred) mixes the images of a "
        "batch, so clips would meet",
    ),
    "an error of its own": (
        "{own}.Broken",
        {},
        "model.backbone: {own}.Broken cannot be run on frames (2, 3, 224, 224): "
        "AttributeError: 'Broken' object has no attribute 'nothing'",
    ),
    "no vectors": (
        "{own}.Maps",
        {},
        "model.backbone: {own}.Maps makes (2, 8, 112, 112) of 2 frames; it must make scores "
        "or features (2, D)",
    ),
    "a pattern without a match": (
        "{own}.Small",
        {"where": ["Blok"]},
        "model.where: 'Blok' matches no module of Small; did "
        "you mean 'Block'?; there are 2 Block (block1 to block2), 6 Conv2d (stem to "
        "block2.conv2)",
    ),
    "stages without blocks": (
        "{own}.Small",
        {"stages": [1, 2]},
        "model.stages: no block in stages 1, 2; there are blocks in 3, 4",
    ),
    "a placement that it has not": (
        "{own}.Small",
        {"placement": "block_out"},
        "model.placement: 'block_out' is none of head, inner, consensus, which {own}.Small has",
    ),
    "where in one of ours": (
        "resnet_tiny",
        {"where": ["Block"]},
        "model.where: is for backbones from outside; of resnet_tiny choose `stages`",
    ),
    "weights of ImageNet": (
        "{own}.Small",
        {"weights": "imagenet"},
        "model.weights: no public file of {own}.Small, only of resnet18, resnet34, resnet50; give a path",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line_with_its_place(place: Workplace, what: str) -> None:
    backbone, settings, message = WRONG[what]
    own = f"own_wrong_{list(WRONG).index(what)}"
    content = study(place, own, **settings)
    content["model"]["backbone"] = backbone.format(own=own)
    if "." not in content["model"]["backbone"]:
        content["cost"] = TINY["cost"]
    assert refusal(place.folder, content) == f"tiny.yaml: {message.format(own=own)}"


def test_costs_in_a_backbone_that_cannot_carry_the_operators_are_refused(place: Workplace) -> None:
    content = {**study(place, "own_costed", where=["Block"]), "cost": {"backbone": "resnet50"}}
    assert refusal(place.folder, content) == (
        "tiny.yaml: cost.backbone: resnet50 cannot carry the operators of tsn, ks13: where: is for backbones "
        "from outside; of resnet50 choose `stages`; use own"
    )
