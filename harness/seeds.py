"""Every random draw's seed, derived from what the draw is for.

No generator is carried along from draw to draw: a seed depends on (study seed, purpose, epoch, ...) alone. So a
resumed trial draws what an unbroken one would, and two variants with one seed see the same clips, crops, backbone
start and dropout masks, whatever their operators consume.
"""

from __future__ import annotations

import hashlib


def seed_for(*parts: int | str) -> int:
    """A seed in [0, 2**63) for the draw that the parts name, e.g. `seed_for(seed, "order", epoch)`."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
