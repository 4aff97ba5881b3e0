"""A trained network on a stream: each frame is scored when it comes, at the cost of one frame."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from harness.data.sampling import WINDOW
from harness.data.transforms import normalise, place_crop
from harness.data.video import frame_chunks
from harness.errors import UserError
from harness.model.stream import Stream
from harness.tracking.network import TrainedNetwork
from harness.train.evaluation import autocast


class Seen(NamedTuple):
    """One frame.

    number: in the video, from 0.
    scores: before the softmax, (classes,): the mean over the last T frames, as the network averages over a clip.
    milliseconds: from the cropped frame to its scores.
    state_bytes: that are remembered for the next frame.
    """

    number: int
    scores: np.ndarray
    milliseconds: float
    state_bytes: int


class Watcher:
    """Scores the frames of videos one by one: centre crop, every n-th frame.

    Args:
        device: where the network runs.
        every: n; 0 takes the study's own step where its clips are dense, and else 1.

    Raises:
        TrackingError: the settings of the network's study are not known.
        UserError: an operator of the network cannot be run on a stream.
    """

    def __init__(self, trained: TrainedNetwork, device: torch.device, every: int = 0) -> None:
        settings = trained.studied()
        self.data, self.train, self.classes = settings.data, settings.train, trained.classes
        dense = self.data.sampling == "dense"
        self.every = every or (WINDOW // self.data.num_frames if dense else 1)
        self._device = device
        self._side = self.data.crop if self.data.test.resolved().size == "crop" else self.data.short_side
        try:
            self._stream = Stream(trained.network).to(device)
        except ValueError as error:
            raise UserError(f"--stream: {error}") from None

    def video(self, file: Path) -> Iterator[Seen]:
        """The frames of a video as a stream of its own.

        Raises:
            DataError: the file is no video, cannot be read to its end, or its frames change their size.
        """
        self._stream.begin()
        last: deque[torch.Tensor] = deque(maxlen=self.data.num_frames)
        number = 0
        for chunk in frame_chunks(file, self.data.short_side):
            for frame in chunk:
                if number % self.every == 0:
                    yield self._one(number, frame, last)
                number += 1

    def _one(self, number: int, frame: np.ndarray, last: deque[torch.Tensor]) -> Seen:
        cropped = place_crop(frame[None], self._side, 0.5, 0.5)
        layout = torch.channels_last if self.train.channels_last else torch.contiguous_format
        begin = time.perf_counter()
        x = normalise(cropped.to(self._device)).contiguous(memory_format=layout)
        with autocast(self.train, self._device):
            scores = self._stream(x)
        last.append(scores[0].float().cpu())  # waits for the device
        elapsed = 1e3 * (time.perf_counter() - begin)
        mean = torch.stack(list(last)).mean(dim=0).numpy()
        return Seen(number, mean, elapsed, self._stream.state_bytes())
