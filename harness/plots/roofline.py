"""The roofline of the operator bench."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.plots.style import COLOURS, GREY, MARKERS, handle, legend_below, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Kernel:
    """One form of an operator in one case. intensity: FLOP for each byte that must be moved."""

    label: str
    intensity: float
    gflops: float


def roofline(
    path: Path, kernels: Sequence[Kernel], copy_gb_per_s: float, matmul_gflops: float, where: str
) -> None:
    """What each form attains, under the two roofs that were measured there: copying, and multiplying."""
    labels = sorted({kernel.label for kernel in kernels})

    def draw(figure: Figure) -> None:
        figure.set_size_inches(8.5, 5.8)
        axis = figure.subplots()
        ridge = matmul_gflops / copy_gb_per_s
        low = min(kernel.intensity for kernel in kernels) / 2
        high = 2 * max(ridge, *(kernel.intensity for kernel in kernels))
        axis.plot([low, ridge, high], [low * copy_gb_per_s, matmul_gflops, matmul_gflops], color=GREY)
        small: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9}
        half = (ridge / 2, ridge / 2 * copy_gb_per_s)
        axis.annotate(f"copy: {copy_gb_per_s:.1f} GB/s", half, xytext=(8, -6), **small)
        product = f"matrix product: {matmul_gflops:.0f} GFLOP/s"
        axis.annotate(product, (high, matmul_gflops), xytext=(0, 5), ha="right", **small)
        handles = []
        for place, label in enumerate(labels):
            colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
            own = [kernel for kernel in kernels if kernel.label == label]
            x, y = [kernel.intensity for kernel in own], [kernel.gflops for kernel in own]
            axis.plot(x, y, marker, color=colour, markersize=6, alpha=0.75)
            handles.append(handle(colour, marker, label))
        axis.set(xscale="log", yscale="log", xlabel="FLOP for each byte that must be moved", ylabel="GFLOP/s")
        axis.set_title(f"Forward passes under the measured roofs: {where}", fontsize=10)
        legend_below(figure, handles)

    save(path, draw, math=True)  # the scales' powers of ten
