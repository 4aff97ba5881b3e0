"""What a trained network says of a video: sampled, cropped and scored by the code that scored its study."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.data.clips import ClipDataset
from harness.data.index import Clip, Index
from harness.data.mirror import mirrored_classes
from harness.data.sampling import frames_at_test
from harness.data.video import count_frames
from harness.errors import DataError, TrainingError
from harness.tracking.network import TrainedNetwork
from harness.train.evaluation import score


class Prediction(NamedTuple):
    """One video.

    frames: how many it has.
    times: numbers of the sampled ones, (clips, T).
    scores: before the softmax, (classes,) float32.
    shown: the sampled frames as the network saw them, the first crop of each clip, (clips, T, side, side, 3)
        uint8.
    """

    frames: int
    times: np.ndarray
    scores: np.ndarray
    shown: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """Of each class, (classes,) float64; they add up to 1."""
        return softmax(self.scores)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Scores of one video as probabilities, (classes,) float64."""
    apart = np.exp(scores.astype(np.float64) - scores.max())
    return np.asarray(apart / apart.sum())


class Predictor:
    """Names the classes of videos as the network's study did.

    Args:
        device: where the network runs.

    Raises:
        TrackingError: the network was kept without its study's settings, so that nobody knows how clips were cut.
    """

    def __init__(self, trained: TrainedNetwork, device: torch.device) -> None:
        self.settings = trained.studied()
        self.classes = trained.classes
        self.protocol = self.settings.data.test.resolved()
        self._mirrored = mirrored_classes(trained.classes)
        self._device = device
        self._network = trained.network.to(device).eval()

    def video(self, file: Path) -> Prediction:
        """Score a video under the study's test protocol.

        Raises:
            DataError: the file is no video, or cannot be read to its end; or its scores are not finite.
        """
        data = dataclasses.replace(self.settings.data, on_unreadable="error")
        frames = count_frames(file)
        clip = Clip(id=str(file), file=file, split="val", label=0, frames=frames)
        index = Index(folder=file.parent, fingerprint="", classes=self.classes, groups=[], clips=[clip])
        try:
            views = ClipDataset(data, index, "val").views(0, self.protocol)
        except DataError as error:  # the clip's name is the file's, which the text has already
            raise DataError(str(error).removeprefix(f"clip {file}: ")) from None
        train = self.settings.train
        how = (train, self._device, self.protocol, self._mirrored, train.clips_at_once())
        try:
            scores = score(self._network, views, *how)
        except TrainingError:
            raise DataError(f"{file}: the network's scores are not finite; was its training?") from None
        times = frames_at_test(frames, data.num_frames, data.sampling, self.protocol.clips)
        return Prediction(frames, times, scores[0].numpy(), _first_crops(views, self.protocol.clips))


def _first_crops(views: Tensor, clips: int) -> np.ndarray:
    """(views, T, 3, side, side) -> (clips, T, side, side, 3): views stand clip by clip."""
    return views[:: len(views) // clips].permute(0, 1, 3, 4, 2).numpy()
