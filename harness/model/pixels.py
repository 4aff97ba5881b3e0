"""How pixels are normalised; without torch, for those that only count frames."""

from __future__ import annotations

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's, of RGB in 0..1, as torchvision's public files expect them; clips are normalised so."""
