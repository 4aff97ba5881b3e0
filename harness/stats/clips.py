"""Two variants clip by clip: what their trained networks got right on the same clips.

A validation set is a sample too. The accuracies of all seeds are taken on the same clips, so the luck of that
sample is the same in every seed and does not show in their spread; it is found here. Clips that are not independent,
such as one clip forwards and backwards, form a cluster, and clusters are what is counted and resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.stats.distributions import ALPHA, half_width, p_value, sign_test
from harness.stats.estimates import POINTS, SAME, Estimate, cut


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Which clips the networks of one variant got right.

    by_seed: (clips,) bool each. ids: (clips,). cluster: (clips,), numbers.
    level: (clips,); None where clips have no levels.
    """

    ids: tuple[str, ...]
    cluster: np.ndarray
    by_seed: dict[int, np.ndarray]

    level: np.ndarray | None = None

    def at(self, level: float) -> Hits | None:
        """On the clips of one level; None where there are none."""
        places = np.array([], dtype=int) if self.level is None else np.flatnonzero(self.level == level)
        if not len(places):
            return None
        return Hits(
            ids=tuple(self.ids[place] for place in places),
            cluster=self.cluster[places],
            by_seed={seed: right[places] for seed, right in self.by_seed.items()},
            level=np.full(len(places), level),
        )


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Two trained networks of one seed on the same clips: exact, two-sided.

    gained, lost: clusters of clips of which the variant gets more, or fewer, right than the other.
    """

    seed: int
    gained: int
    lost: int
    p: float


@dataclass(frozen=True, kw_only=True)
class ClipDifference(Estimate):
    """A difference between these trained networks, paired by clip; says nothing about training them again.

    mean, low, high: in percentage points, over all their seeds; the interval is for new clips. n: clusters of
        clips; clips of one cluster are not independent.
    """

    clips: int
    p: float
    by_seed: tuple[McNemar, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PairedClips:
    """Two variants on the clips that both were evaluated on.

    net: (seeds, clusters): clips of the cluster that the variant got right, minus those the other got right.
    sizes: (clusters,): clips in each.
    """

    seeds: tuple[int, ...]
    net: np.ndarray
    sizes: np.ndarray

    @property
    def clusters(self) -> int:
        return len(self.sizes)

    def variances(self) -> tuple[float, float]:
        """Of the mean difference, in points squared: of these trained networks on other clips; and the part of
        it that is due to the clips alone, without the seeds' interplay with them, which may come out below 0."""
        return variances(self.net, self.sizes)

    def clip_error(self) -> float:
        """What other clips add to the standard error over seeds, in points."""
        return max(0.0, self.variances()[1]) ** 0.5

    def agreeing_errors(self) -> tuple[float, float]:
        """The standard errors over seeds and over clips where all seeds give the very same difference."""
        return agreeing_errors(*self.variances(), len(self.seeds), self.clusters)

    def difference(self) -> ClipDifference:
        """The difference between these trained networks."""
        clips, k = int(self.sizes.sum()), self.clusters
        mean = 100.0 * float(self.net.sum()) / (clips * len(self.seeds))
        variance = self.variances()[0] if k > 1 else 0.0
        by_seed = tuple(
            McNemar(seed=seed, gained=gained, lost=lost, p=sign_test(gained, lost))
            for seed, row in zip(self.seeds, self.net, strict=True)
            for gained, lost in [(int((row > 0).sum()), int((row < 0).sum()))]
        )
        if variance <= SAME:  # the same in every cluster, or there is but one: the spread is unknown
            net = self.net.sum(axis=0)
            p = sign_test(int((net > 0).sum()), int((net < 0).sum()))
            return ClipDifference(mean=mean, n=k, clips=clips, p=p, by_seed=by_seed)
        error = variance**0.5
        half = float(half_width(error, 0.0, k - 1, 0, ALPHA))
        p = float(p_value(mean, error, 0.0, k - 1, 0))
        low, high = cut(mean - half, mean + half, POINTS)
        return ClipDifference(mean=mean, n=k, low=low, high=high, clips=clips, p=p, by_seed=by_seed)

    def bootstrap(self, generator: np.random.Generator, resamples: int = 1000) -> Estimate:
        """The percentile interval when seeds and clusters are both drawn again, with replacement.

        Too short with few seeds, as the spread of n drawn values is too small by (n - 1) / n; shown, never quoted.
        """
        seeds, k = self.net.shape
        means = np.empty(resamples)
        net = self.net.astype(np.float32)
        for i in range(resamples):
            drawn = generator.integers(k, size=k)
            mean_net = net[generator.integers(seeds, size=seeds)].mean(axis=0)
            means[i] = 100.0 * mean_net[drawn].sum() / self.sizes[drawn].sum()
        low, high = np.quantile(means, [ALPHA / 2, 1 - ALPHA / 2])
        mean = 100.0 * float(self.net.sum()) / (float(self.sizes.sum()) * seeds)
        return Estimate(mean=mean, n=seeds, low=float(low), high=float(high))


def variances(net: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """`PairedClips.variances` of a (seeds, clusters) array."""
    seeds, k = net.shape
    clips = float(sizes.sum())
    scale = 1e4 * k / (k - 1) / clips**2
    by_seed = net.sum(axis=1, dtype=float) / clips
    own, size = (net @ sizes).astype(float), float(sizes @ sizes)  # of each seed, squares about its own mean:
    squares = np.einsum("sk,sk->s", net, net).astype(float) - 2 * by_seed * own + by_seed**2 * size
    mean_net, mean = net.mean(axis=0), float(by_seed.mean())
    over_seeds = float(mean_net @ mean_net) - 2 * mean * float(mean_net @ sizes) + mean**2 * size
    total = max(0.0, scale * over_seeds)  # rounding may leave it just below
    if seeds == 1:
        return total, 0.0
    interplay = scale * (float(squares.sum()) / seeds - over_seeds) / (seeds - 1)
    return total, total - interplay


def agreeing_errors(total: float, clips_alone: float, seeds: int, clusters: int) -> tuple[float, float]:
    """The standard errors over seeds and over clips where all seeds give the very same difference, in points.

    Their spread is then unknown, not zero. One cluster more or less is what no count of k clusters can exclude: a part
    of 0.5 / (k + 1) of them. That much may fall out otherwise in each training, and that much on other clips, whatever
    was seen. More is taken where the clips say more: seeds whose sums agree may differ clip by clip.

    Args:
        total, clips_alone: what `PairedClips.variances` says.
    """
    part = 0.5 / (clusters + 1)
    one_cluster = 1e4 * part * (1 - part) / clusters
    over_seeds = max(one_cluster / seeds, total - clips_alone)
    return over_seeds**0.5, max(clips_alone, one_cluster - over_seeds, 0.0) ** 0.5


def hits(predictions: Mapping[int, Mapping[str, Sequence[Any]]]) -> Hits | None:
    """From the predictions of one variant's finished trials, on the clips that all of them have.

    None where a trial kept none, or does not say which clips belong together: nothing is guessed then.

    Args:
        predictions: by seed, as `TrialRecord.predictions` says.
    """
    kept = list(predictions.values())
    if not kept or not all({"clip", "cluster", "label", "predicted"} <= one.keys() for one in kept):
        return None
    first = kept[0]
    ids = [str(clip) for clip in first["clip"]]
    by_seed = {
        seed: np.asarray(one["label"]) == np.asarray(one["predicted"]) for seed, one in predictions.items()
    }
    cluster = np.unique([str(name) for name in first["cluster"]], return_inverse=True)[1]
    level = np.array(first["level"], dtype=float) if "level" in first else None
    if all(one["clip"] == first["clip"] for one in kept[1:]):
        return Hits(ids=tuple(ids), cluster=cluster, by_seed=by_seed, level=level)
    places = {seed: {str(clip): i for i, clip in enumerate(one["clip"])} for seed, one in predictions.items()}
    common = [clip for clip in ids if all(clip in known for known in places.values())]
    in_first = {clip: i for i, clip in enumerate(ids)}
    chosen = [in_first[clip] for clip in common]
    return Hits(
        ids=tuple(common),
        cluster=cluster[chosen],
        level=None if level is None else level[chosen],
        by_seed={seed: by_seed[seed][[known[clip] for clip in common]] for seed, known in places.items()},
    )


def resampled_levels(
    hits: Hits, levels: Sequence[float], generator: np.random.Generator, resamples: int = 1000
) -> np.ndarray:
    """Accuracy at each level, in per cent, when seeds and clusters of clips are both drawn again, with replacement.

    Returns:
        (resamples, levels); NaN where no clip of a level was drawn.
    """
    members = np.unique(hits.cluster, return_inverse=True)[1]
    seeds, clusters = len(hits.by_seed), int(members.max()) + 1
    drawn_seeds = _drawn_again(generator, seeds, resamples) / seeds
    drawn = _drawn_again(generator, clusters, resamples)
    accuracy = np.empty((resamples, len(levels)))
    for place, level in enumerate(levels):
        here = hits.level == level
        sizes = np.bincount(members[here], minlength=clusters)
        right = np.empty((seeds, clusters))
        for row, hit in zip(right, hits.by_seed.values(), strict=True):
            row[:] = np.bincount(members[here], weights=hit[here], minlength=clusters)
        with np.errstate(invalid="ignore"):
            accuracy[:, place] = 100 * ((drawn_seeds @ right) * drawn).sum(axis=1) / (drawn @ sizes)
    return accuracy


def _drawn_again(generator: np.random.Generator, many: int, resamples: int) -> np.ndarray:
    """(resamples, many): how often each of `many` is drawn in as many draws with replacement."""
    places = generator.integers(many, size=(resamples, many)) + many * np.arange(resamples)[:, None]
    return np.bincount(places.ravel(), minlength=resamples * many).reshape(resamples, many)


def pair_clips(variant: Hits | None, other: Hits | None) -> PairedClips | None:
    """The two on their common clips and seeds; None where there are none."""
    if variant is None or other is None:
        return None
    seeds = tuple(sorted(variant.by_seed.keys() & other.by_seed.keys()))
    mine, theirs = slice(None), slice(None)
    cluster = variant.cluster
    if variant.ids != other.ids:
        places = {clip: i for i, clip in enumerate(other.ids)}
        common = [i for i, clip in enumerate(variant.ids) if clip in places]
        mine, theirs = common, [places[variant.ids[i]] for i in common]  # type: ignore[assignment]
        cluster = cluster[mine]
    if not seeds or not len(cluster):
        return None
    names, members = np.unique(cluster, return_inverse=True)
    net = np.zeros((len(seeds), len(names)))
    for row, seed in zip(net, seeds, strict=True):
        difference = variant.by_seed[seed][mine].astype(float) - other.by_seed[seed][theirs]
        row += np.bincount(members, weights=difference, minlength=len(names))
    return PairedClips(seeds=seeds, net=net, sizes=np.bincount(members, minlength=len(names)).astype(float))
