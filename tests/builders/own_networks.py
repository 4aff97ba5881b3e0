"""A backbone of a user's own, in a file beside the study; its counts are made by hand in the tests."""

from __future__ import annotations

from pathlib import Path

SMALL = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return torch.relu(x + self.conv2(torch.relu(self.conv1(x))))

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.block1 = nn.Conv2d(3, 8, 3, 2, 1), Block(8)
        self.down, self.block2 = nn.Conv2d(8, 16, 3, 2, 1), Block(16)
        self.head = nn.Linear(16, 7)

    def forward(self, x):
        return self.head(self.block2(self.down(self.block1(self.stem(x)))).mean((2, 3)))

class Centred(Small):
    def forward(self, x):
        return super().forward(x - x.mean(0))

class Broken(Small):
    def forward(self, x):
        return self.nothing(x)

def halves():
    small = Small()
    small.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    return small

def listed():
    return [Small()]

class Maps(Small):
    def forward(self, x):
        return self.stem(x)
"""


def write_small(folder: Path, module: str, text: str = SMALL) -> None:
    """A file beside the study; another module's name in each test, since Python keeps what it has imported."""
    (folder / f"{module}.py").write_text(text)
