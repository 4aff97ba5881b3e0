"""The rows of Table 2 of the MixTConv paper."""

from __future__ import annotations

from typing import Any

TABLE2: dict[str, dict[str, Any]] = {
    "tsn": {"name": "identity"},
    "ordinary": {"name": "ordinary", "kernel_size": 3},
    "tsm": {"name": "shift"},
    "ks3": {"name": "depthwise", "kernel_size": 3},
    "ks5": {"name": "depthwise", "kernel_size": 5},
    "ks7": {"name": "depthwise", "kernel_size": 7},
    "ks13": {"name": "mixtconv", "kernel_sizes": [1, 3]},
    "ks135": {"name": "mixtconv", "kernel_sizes": [1, 3, 5]},
    "ks1357": {"name": "mixtconv", "kernel_sizes": [1, 3, 5, 7]},
    "ks357": {"name": "mixtconv", "kernel_sizes": [3, 3, 3], "dilations": [1, 2, 3]},
}
