"""Test protocols: what a network is shown of a video, and how its scores are fused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.place import TINY
from torch import Tensor, nn

from harness.data.clips import reordered
from harness.data.config import DataConfig
from harness.data.dataset import DataSet, open_data
from harness.data.frames import first_frames, open_frames
from harness.data.sampling import segment_test
from harness.data.transforms import normalise
from harness.data.views import PROTOCOLS, EvalConfig
from harness.errors import DataError
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.train.evaluation import evaluate, fuse, merge, shard, validation_metrics
from harness.train.loop import fit
from harness.train.recipe import TrainConfig
from harness.train.settings import Settings

CPU = torch.device("cpu")


class ByPlace(nn.Module):
    """Scores that depend on every pixel's place and time: (N, T, 3, H, W) -> (N, 16), for any size."""

    def forward(self, clips: Tensor) -> Tensor:
        t, c, h, w = clips.shape[1:]
        weights = torch.sin(torch.arange(t * c * h * w).float()).view(t, c, h, w)
        total = (clips * weights).sum(dim=(1, 2, 3, 4)) / 50
        return torch.sin(total[:, None] * torch.arange(1, 17)) * 4


def settings(test: dict[str, Any] | None = None, **data: Any) -> Settings:
    config = DataConfig(**(TINY["data"] | data), test=EvalConfig(**(test or {})))
    return Settings(data=config, train=TrainConfig(batch_size=4))


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> DataSet:
    return open_data(settings().data, tiny_data)


def frames_of(data: DataSet, index: int) -> np.ndarray:
    """All frames of a validation video."""
    clip = data.split("val").clips[index]
    place = data.index.clips.index(clip)
    start, stop = first_frames(data.index)[place : place + 2]
    return open_frames(data.index, data.config.short_side)[start:stop]


def logits_of(network: nn.Module, frames: np.ndarray) -> np.ndarray:
    """One cropped clip (T, side, side, 3), normalised in plain numpy."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = ((frames / 255 - mean) / std).transpose(0, 3, 1, 2)
    return network(torch.from_numpy(x).float()[None])[0].double().numpy()


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


@pytest.mark.parametrize("fusion", ["scores", "logits"])
def test_two_full_resolution_clips_are_fused_as_a_plain_loop_does_it(data: DataSet, fusion: str) -> None:
    network = ByPlace()
    chosen = settings({"protocol": "fullres_2clip", "fusion": fusion})
    result = evaluate(network, chosen, data, CPU)
    assert result.indices.tolist() == list(range(16))
    for index in range(16):
        video = frames_of(data, index)  # 24 frames of 32x24
        rows = []
        for times in ([3, 9, 15, 21], [0, 6, 12, 18]):  # int(24/8 + 6i), int(6i)
            for left in (0, 4, 8):
                logits = logits_of(network, video[times, :, left : left + 24])
                rows.append(softmax(logits) if fusion == "scores" else logits)
        expected = np.mean(rows, axis=0)
        found = softmax(result.scores[index].astype(float)) if fusion == "scores" else result.scores[index]
        np.testing.assert_allclose(found, expected, atol=2e-4)
        assert result.labels[index] == data.split("val").labels[index]


def test_a_test_of_many_views_takes_no_more_at_once_than_training_does(data: DataSet) -> None:
    chosen = settings({"protocol": "fullres_2clip"})
    sizes: list[int] = []
    network = ByPlace()
    network.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    whole = evaluate(network, chosen, data, CPU)
    assert max(sizes) == 4  # the batch of the settings
    sizes.clear()
    parts = evaluate(network, chosen, data, CPU, at_once=3)
    assert max(sizes) == 3
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("batch", "micro", "ranks", "clips"),
    [(64, 0, 1, 64), (64, 0, 8, 8), (64, 4, 8, 4), (10, 0, 3, 4), (8, 16, 1, 8)],
)
def test_a_process_holds_its_part_of_a_batch_or_a_micro_batch(
    batch: int, micro: int, ranks: int, clips: int
) -> None:
    assert TrainConfig(batch_size=batch, micro_batch=micro).clips_at_once(ranks) == clips


def test_one_centre_clip_is_passed_through(data: DataSet) -> None:
    network = ByPlace()
    result = evaluate(network, settings(), data, CPU, indices=[5])
    logits = logits_of(network, frames_of(data, 5)[segment_test(24, 4), 4:20, 8:24])
    np.testing.assert_allclose(result.scores[0], logits, atol=2e-4)


def test_ten_crop_shows_corners_and_centre_and_their_mirror_images(data: DataSet) -> None:
    views = data.split("val").views(3, PROTOCOLS["ten_crop"])
    video = frames_of(data, 3)[[3, 9, 15, 21]]
    places = [(0, 0), (0, 16), (8, 0), (8, 16), (4, 8)]  # top, left of 16x16 in 24x32
    assert views.shape == (10, 4, 3, 16, 16)
    for i, (top, left) in enumerate(places):
        crop = video[:, top : top + 16, left : left + 16].transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(views[2 * i].numpy(), crop)
        np.testing.assert_array_equal(views[2 * i + 1].numpy(), crop[..., ::-1])


def test_ten_crop_is_refused_where_classes_name_a_direction_unless_the_user_says_how(tiny_data: Path) -> None:
    message = r"ten_crop shows mirror images, which make '\w+' of '\w+'; use test\.mirror: swap_labels"
    with pytest.raises(DataError, match=message):
        open_data(settings({"protocol": "ten_crop"}).data, tiny_data)
    for mirror in ("swap_labels", "on", True, "off", False):
        open_data(settings({"protocol": "ten_crop", "mirror": mirror}).data, tiny_data)


def test_a_mirrored_crop_is_read_with_the_directions_exchanged(tiny_data: Path) -> None:
    network = ByPlace()
    chosen = settings({"protocol": "ten_crop", "mirror": "swap_labels", "fusion": "logits"})
    data = open_data(chosen.data, tiny_data)
    names = data.classes
    left, right = names.index("slide_left"), names.index("slide_right")
    result = evaluate(network, chosen, data, CPU, indices=[7])
    video, rows = frames_of(data, 7)[[3, 9, 15, 21]], []
    for top, edge in [(0, 0), (0, 16), (8, 0), (8, 16), (4, 8)]:
        crop = video[:, top : top + 16, edge : edge + 16]
        rows.append(logits_of(network, crop))
        logits = logits_of(network, crop[:, :, ::-1])
        swapped = logits.copy()
        for a, b in [
            ("slide_left", "slide_right"),
            ("rotate_clockwise", "rotate_counterclockwise"),
            ("step_left", "step_right"),
        ]:
            swapped[[names.index(a), names.index(b)]] = logits[[names.index(b), names.index(a)]]
        assert swapped[left] == logits[right]
        rows.append(swapped)
    np.testing.assert_allclose(result.scores[0], np.mean(rows, axis=0), atol=2e-4)


def test_shards_hold_every_video_once_and_merge_to_the_whole(data: DataSet) -> None:
    network = ByPlace()
    whole = evaluate(network, settings(), data, CPU)
    for world in (1, 3, 20):  # 16 videos: uneven, and more processes than videos
        shards = [shard(16, rank, world) for rank in range(world)]
        assert sorted(index for part in shards for index in part) == list(range(16))
        merged = merge([evaluate(network, settings(), data, CPU, indices=part) for part in shards])
        assert merged.indices.tolist() == list(range(16))
        np.testing.assert_allclose(merged.scores, whole.scores, atol=1e-5)
        assert merged.labels.tolist() == whole.labels.tolist()


def test_merging_a_video_twice_is_refused(data: DataSet) -> None:
    part = evaluate(ByPlace(), settings(), data, CPU, indices=[1, 2])
    with pytest.raises(ValueError, match="by two"):
        merge([part, part])


def test_an_order_probe_shows_the_same_frames_in_another_order(data: DataSet) -> None:
    val, plain = data.split("val"), PROTOCOLS["fullres_2clip"]
    straight = val.views(2, plain)
    assert torch.equal(val.views(2, plain, "reversed"), straight.flip(1))
    assert torch.equal(val.views(2, plain, "frozen"), straight[:, [2, 2, 2, 2]])
    shuffled = val.views(2, plain, "shuffled", seed=3)
    assert torch.equal(shuffled, val.views(2, plain, "shuffled", seed=3))
    for k in range(6):  # a permutation of each clip's frames
        found = {tuple(frame.flatten().tolist()) for frame in shuffled[k]}
        assert found == {tuple(frame.flatten().tolist()) for frame in straight[k]}
    assert any(
        not torch.equal(val.views(index, plain, "shuffled", seed=3), val.views(index, plain))
        for index in range(4)
    )


def test_an_unknown_order_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'reversed'"):
        reordered(np.zeros((2, 1)), "reverse")


def test_fused_scores_stay_finite_however_sure_the_network_is() -> None:
    logits = torch.tensor([[[0.0, 500.0], [0.0, 900.0]]])
    assert torch.isfinite(fuse(logits, "scores")).all()


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"protocol": "fulres_2clip"}, "protocol: no protocol 'fulres_2clip'; did you mean 'fullres_2clip'?"),
        ({"fusion": "probabilities"}, "fusion: 'probabilities' is none of scores, logits"),
        ({"crops": "middle"}, "crops: 'middle' is none of"),
        ({"clips": 0}, "clips: 0 is too few"),
        ({"clips": 3}, "test.clips: 3: segment sampling has 1 or 2 clips"),
    ],
)
def test_a_wrong_protocol_is_named_with_the_rule(test: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        settings(test)
    assert message in str(caught.value)


def test_a_part_replaces_that_of_the_named_protocol() -> None:
    chosen = EvalConfig(protocol="ten_crop", mirror=False, fusion="logits").resolved()
    assert chosen == dataclasses.replace(
        PROTOCOLS["ten_crop"], name="ten_crop, changed", mirror="off", fusion="logits"
    )
    assert len(chosen.views()) == 5


def test_a_protocol_is_stated_in_words() -> None:
    assert PROTOCOLS["fullres_2clip"].words(224, 256) == (
        "fullres_2clip: 2 clips a video, short side 256, left, centre and right 256x256, 6 views, "
        "probabilities averaged over views"
    )
    assert PROTOCOLS["center_1clip"].words(224, 256) == (
        "center_1clip: 1 clip a video, short side 256, centre 224x224, 1 view"
    )


def test_a_real_network_scores_frames_larger_than_its_training_crops(data: DataSet) -> None:
    chosen = settings({"protocol": "fullres_2clip"})
    network = MSTNet(ModelConfig(backbone="resnet_tiny"), 4, 16, seed=0)
    result = evaluate(network, chosen, data, CPU)
    assert result.scores.shape == (16, 16)
    assert np.isfinite(result.scores).all()
    with torch.no_grad():  # six views of video 9, by hand
        clips = normalise(data.split("val").views(9, PROTOCOLS["fullres_2clip"]))
        probabilities = network.eval()(clips).softmax(1).mean(0).numpy()
    np.testing.assert_allclose(softmax(result.scores[9]), probabilities, atol=1e-5)


def test_the_result_is_taken_under_the_test_protocol_and_the_history_on_one_centre_crop(
    data: DataSet, tiny_data: Path
) -> None:
    train = TrainConfig(epochs=1, batch_size=16, optimizer="adamw", schedule="one_cycle")
    chosen = dataclasses.replace(settings({"protocol": "fullres_2clip"}), train=train)
    chosen = dataclasses.replace(chosen, model=ModelConfig(backbone="resnet_tiny"))
    network, state, tested = fit(chosen, 0, open_data(chosen.data, tiny_data), CPU)
    np.testing.assert_array_equal(tested.scores, evaluate(network, chosen, data, CPU).scores)
    centre = evaluate(network, chosen, data, CPU, protocol=PROTOCOLS["center_1clip"])
    assert state.history[-1]["val/loss"] == validation_metrics(centre, data)["val/loss"]
    assert state.history[-1]["val/loss"] != validation_metrics(tested, data)["val/loss"]


@pytest.mark.parametrize("clips", [1, 2, 3])
def test_dense_sampling_shows_windows_spread_over_the_video(clips: int, tiny_data: Path) -> None:
    chosen = settings(
        {"clips": clips}, sampling="dense"
    )  # 24 frames, every 16th of a window of 64: modulo 24
    data = open_data(chosen.data, tiny_data)
    views = data.split("val").views(1, chosen.data.test.resolved())
    expected = frames_of(data, 1)[[0, 16, 8, 0], 4:20, 8:24].transpose(0, 3, 1, 2)
    for view in views:
        np.testing.assert_array_equal(view.numpy(), expected)
    assert len(views) == clips
