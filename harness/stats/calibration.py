"""Whether the statistics keep their promises, on simulated studies whose truth is known.

    python -m harness.stats --calibrate

A simulated network is right about a clip where the clip's ease for its operator, the luck of its training and the
luck of this very clip in this training together are above 0; all are normal, so true accuracies are known exactly.
Intervals, p values and corrections are computed by the functions that reports use.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from harness.seeds import seed_for
from harness.stats.clips import PairedClips, agreeing_errors, variances
from harness.stats.differences import holm
from harness.stats.distributions import ALPHA, half_width, p_value
from harness.stats.estimates import SAME

SEEDS = (3, 5, 10)

ROWS = 9  # and the baseline

DIFFERENCES = (0.5, 1.0, 2.0)  # points, of the first rows of a study in which not all are equal

LESS = (-1.0, -2.0, -4.0)  # the same at the ceiling


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Where simulated studies take place.

    Attributes:
        clips: in the validation set. pair: clips that belong together, 1 where all are independent.
        top1: the baseline's, in percent.
        seed_sd: of one variant's top-1 over trainings, in points, on given clips.
        retrained: percentage of clips on which two trainings of one operator disagree, at a top-1 near 50 %; near
            the ceiling few clips are left to disagree on.
        other_operator: the same for two operators.
        margin: of the test of equivalence, in points.
        collapsing: percentage of trainings, of all variants but the baseline, that lose `fall` points; the others are
            as much better as makes up for it, so that true means stay what they are.
    """

    name: str
    clips: int = 11_522
    pair: int = 1
    top1: float = 46.7
    seed_sd: float = 0.33
    retrained: float = 20.0
    other_operator: float = 20.0
    differences: tuple[float, ...] = ()
    margin: float = 1.0
    collapsing: float = 0.0
    fall: float = 0.0

    @property
    def gaps(self) -> np.ndarray:
        """(rows,): true differences to the baseline, in points."""
        return np.array([*self.differences, *[0.0] * (ROWS - len(self.differences))])


_SAME = "A against A"

_OTHER = "equal operators that are right about other clips"

_CEILING = "at the ceiling of 99.7 %, 320 clips in pairs, three rows with less"

TRUTHS = (
    Truth(name=_SAME),
    Truth(name=_OTHER, other_operator=30.0),
    Truth(
        name=f"{_OTHER}, 480 clips in pairs", clips=480, pair=2, top1=60.0, seed_sd=1.5, other_operator=30.0
    ),
    Truth(name="A against A, whole trainings luckier or not", retrained=4.0, other_operator=4.0),
    Truth(name="A against A, three rows with a difference", differences=DIFFERENCES),
    Truth(name="other operators, three rows with a difference", other_operator=30.0, differences=DIFFERENCES),
    Truth(name=f"A against A {_CEILING}", clips=320, pair=2, top1=99.7, differences=LESS, margin=2.0),
    Truth(
        name=f"other operators {_CEILING}",
        clips=320,
        pair=2,
        top1=99.7,
        other_operator=30.0,
        differences=LESS,
        margin=2.0,
    ),
    Truth(name="equal means, one training in ten of a row falls by 10 points", collapsing=10.0, fall=10.0),
)


class Simulator:
    """Draws studies of one truth."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        normal = NormalDist()
        self._ease = math.cos(math.pi * truth.retrained / 100)  # variance of a clip's ease, of 1 in all
        self._shared = math.cos(math.pi * truth.other_operator / 100)  # the part that all operators share
        # Churn between trainings moves top-1 by itself; a shift of the whole training makes up the rest.
        churn = 100 * math.sqrt(truth.retrained / 200 / truth.clips)
        density = normal.pdf(normal.inv_cdf(truth.top1 / 100))
        self._shift = math.sqrt(max(0.0, truth.seed_sd**2 - churn**2)) / 100 / density
        top1 = np.array([truth.top1, *(truth.top1 + truth.gaps + truth.fall * truth.collapsing / 100)]) / 100
        total = math.sqrt(1 + self._shift**2)
        self._level = np.array([normal.inv_cdf(p) for p in top1], dtype=np.float32) * total
        fallen = np.array([normal.inv_cdf(p - truth.fall / 100) for p in top1], dtype=np.float32) * total
        self._fall = fallen - self._level  # (variants,)

    def study(self, generator: np.random.Generator, seeds: int) -> np.ndarray:
        """(variants, seeds, clips) bool: right or wrong; the first variant is the baseline."""
        truth, variants = self.truth, len(self._level)

        def clips(*shape: int) -> np.ndarray:  # what belongs together has the same ease
            drawn = generator.standard_normal((*shape, truth.clips // truth.pair), dtype=np.float32)
            return np.repeat(drawn, truth.pair, axis=-1)

        ease = math.sqrt(self._shared) * clips() + self._level[:, None]  # (variants, clips)
        own = self._ease - self._shared
        if own > 1e-9:
            ease = ease + math.sqrt(own) * clips(variants)
        shift = self._shift * generator.standard_normal((variants, seeds, 1), dtype=np.float32)
        if truth.collapsing:
            falls = generator.random((variants, seeds, 1)) < truth.collapsing / 100
            falls[0] = False
            shift = shift + falls * self._fall[:, None, None]
        luck = generator.standard_normal((variants, seeds, truth.clips), dtype=np.float32)
        result: np.ndarray = luck * np.float32(math.sqrt(1 - self._ease)) > -(ease[:, None] + shift)
        return result

    def nets(self, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rows, seeds, clusters) against the baseline, as `PairedClips.net`; and the clusters' sizes."""
        net = right[1:].astype(np.float32) - right[0]
        pair = self.truth.pair
        clusters = net.reshape(*net.shape[:2], -1, pair).sum(axis=-1) if pair > 1 else net
        return clusters, np.full(clusters.shape[-1], pair, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the studies of one truth with one number of seeds; rates in percent.

    family: studies with any false claim of a difference, after Holm. single: rows of true difference 0 with an
        uncorrected p below 5 %. coverage: of the quoted interval, over all rows; `trainings`: of the t interval over
        seeds alone; `bootstrap`: of the resampling that is never quoted, over few studies.
    power, hypothesis: by true difference, how often it is decided in the table, and how often where it was the one
        hypothesis stated beforehand. equivalent: by true difference, rows called equivalent within the truth's margin.
    """

    truth: Truth
    seeds: int
    studies: int
    family: float
    single: float
    coverage: float
    trainings: float
    bootstrap: float
    power: dict[float, float]
    hypothesis: dict[float, float]
    equivalent: dict[float, float]


def simulate(truth: Truth, studies: int, *, bootstraps: int = 50) -> list[Outcome]:
    """One outcome for every number of seeds; fewer seeds are the first ones of the same studies.

    Args:
        bootstraps: studies whose first row is resampled too, which is slow.
    """
    simulator = Simulator(truth)
    shape = (len(SEEDS), studies, ROWS)
    gap, seed_error, clip_error = np.empty(shape), np.empty(shape), np.empty(shape)
    alone = np.empty(shape)  # the spread of the seeds as it is, 0 where they agree
    resampled: list[list[bool]] = [[] for _ in SEEDS]
    clusters = truth.clips // truth.pair
    for study in range(studies):
        generator = np.random.default_rng(seed_for("calibration", truth.name, study))
        nets, sizes = simulator.nets(simulator.study(generator, max(SEEDS)))
        for k, seeds in enumerate(SEEDS):
            by_seed = 100 * nets[:, :seeds].sum(axis=2, dtype=float) / truth.clips
            gap[k, study] = by_seed.mean(axis=1)
            alone[k, study] = by_seed.std(axis=1, ddof=1) / math.sqrt(seeds)
            for row, net in enumerate(nets):
                total, clips_alone = variances(net[:seeds], sizes)
                errors = alone[k, study, row], max(0.0, clips_alone) ** 0.5
                if errors[0] <= SAME:
                    errors = agreeing_errors(total, clips_alone, seeds, clusters)
                seed_error[k, study, row], clip_error[k, study, row] = errors
            if study < bootstraps:
                clips = PairedClips(seeds=tuple(range(seeds)), net=nets[0, :seeds], sizes=sizes)
                drawn = clips.bootstrap(generator, 400)
                resampled[k].append(drawn.holds(float(truth.gaps[0])))
    return [
        _outcome(truth, seeds, gap[k], seed_error[k], clip_error[k], alone[k], clusters, resampled[k])
        for k, seeds in enumerate(SEEDS)
    ]


def _outcome(
    truth: Truth,
    seeds: int,
    gap: np.ndarray,
    seed_error: np.ndarray,
    clip_error: np.ndarray,
    alone: np.ndarray,
    clusters: int,
    resampled: list[bool],
) -> Outcome:
    gaps = truth.gaps
    parts = (seed_error, clip_error, seeds - 1, clusters - 1)
    p = p_value(gap, *parts)
    p_holm = np.array([holm(row) for row in p.tolist()])
    above, below = _one_sided(gap + truth.margin, *parts), _one_sided(truth.margin - gap, *parts)
    p_margin = np.array([holm(row) for row in np.maximum(above, below).tolist()])
    equivalent = (p_margin < ALPHA) & ~(p_holm < ALPHA)
    stated = _one_sided(np.where(gaps < 0, -gap, gap), *parts)
    false = gaps == 0
    covered = np.abs(gap - gaps) <= half_width(*parts)
    has_spread = alone > SAME  # the t interval over seeds alone is none where they all agree
    over_seeds = (np.abs(gap - gaps) <= half_width(alone, 0.0, seeds - 1, 0))[has_spread]

    def rate(hits: Any) -> float:
        return 100 * float(np.mean(hits))

    return Outcome(
        truth=truth,
        seeds=seeds,
        studies=len(gap),
        family=rate((p_holm < ALPHA)[:, false].any(axis=1)),
        single=rate((p < ALPHA)[:, false]),
        coverage=rate(covered),
        trainings=rate(over_seeds),
        bootstrap=rate(resampled) if resampled else math.nan,
        power={d: rate((p_holm < ALPHA)[:, gaps == d]) for d in truth.differences},
        hypothesis={d: rate((stated < ALPHA)[:, gaps == d]) for d in truth.differences},
        equivalent={d: rate(equivalent[:, gaps == d]) for d in (0.0, *truth.differences)},
    )


def _one_sided(gap: np.ndarray, *parts: np.ndarray | float) -> np.ndarray:
    half = p_value(gap, *parts) / 2  # type: ignore[arg-type]
    return np.where(gap > 0, half, 1 - half)


def calibrate(
    studies: int = 1000,
    *,
    quick: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """The tables of docs/statistics.md, as Markdown.

    Args:
        quick: smaller validation sets; for a test of this very code.
        progress: told of the truths that are done, and how many there are.
    """
    begin = time.monotonic()
    lines = [
        f"{studies:,} simulated studies a row, {ROWS} variants against a baseline, nominal 5 %.",
        "",
        "| truth | seeds | any false claim in a study [%] | false at 5 %, one row [%] | "
        "coverage of the quoted 95 % interval [%] | of the t interval over seeds alone [%] | of the bootstrap [%] |",
        "|:--|--:|--:|--:|--:|--:|--:|",
    ]
    powers = [
        "| truth | seeds | true difference [points] | "
        "decided in the table [%] | decided as the one hypothesis [%] | "
        "margin [points] | called equivalent within it [%] |",
        "|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for done, truth in enumerate(TRUTHS):
        progress(done, len(TRUTHS))
        if quick:
            truth = Truth(**{**truth.__dict__, "clips": min(truth.clips, 1200), "seed_sd": 1.2})
        for one in simulate(truth, studies, bootstraps=10 if quick else 100):
            lines.append(
                f"| {truth.name} | {one.seeds} | {one.family:.1f} | {one.single:.1f} | {one.coverage:.1f} | "
                f"{one.trainings:.1f} | {one.bootstrap:.0f} |"
            )
            for d in (0.0, *truth.differences) if truth.differences else ():
                decided = f"{one.power[d]:.1f} | {one.hypothesis[d]:.1f}" if d else "- | -"
                equivalent = f"{truth.margin:g} | {one.equivalent[d]:.1f}"
                powers.append(f"| {truth.name} | {one.seeds} | {d:g} | {decided} | {equivalent} |")
    took = f"{time.monotonic() - begin:.0f} s"
    return "\n".join([*lines, "", *powers, "", f"Simulated in {took}."])
