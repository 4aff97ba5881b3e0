"""A study's question answered in a sentence, as far as its numbers go."""

from __future__ import annotations

from collections import Counter

from harness.distributions import ALPHA, MIN_SEEDS
from harness.stats import BETTER, EQUIVALENT, TOO_FEW, WORSE, Difference
from harness.summary import Row, Summary
from harness.words import estimate, points


def answer(summary: Summary) -> str:
    """What is known, with its interval, and what is still open."""
    trials = sum(row.planned for row in summary.rows)
    finished = sum(row.finished for row in summary.rows)
    sentences = [_verdict_sentence(summary)]
    if summary.best:
        sentences += _count_of_verdicts(summary)
    if finished < trials:
        sentences.append(f"{finished} of {trials} trials are finished, so this may change.")
    return " ".join(sentences)


def _verdict_sentence(summary: Summary) -> str:
    best, baseline = summary.best, summary.baseline
    if best is None:
        return "No trial has finished with an accuracy yet: nothing can be said."
    top1 = best.accuracy["top1"]
    head = f"has the highest mean top-1: {estimate(top1, ' %')}"
    if baseline is None or not baseline.accuracy["top1"].n:
        return (
            f"`{best.variant}` {head}, but the baseline `{summary.record.baseline}` has no finished trial: "
            "nothing can be said about differences to it."
        )
    if best.difference is None:
        sentence = f"No variant scores above the baseline: `{best.variant}` itself {head}"
    else:
        sentence = (
            f"`{best.variant}` {head}, {_against(best.difference, f'the baseline `{baseline.variant}`')}"
        )
    if summary.runner_up and summary.lead and summary.runner_up.difference is not None:
        sentence += f"; {_lead(summary.runner_up, summary.lead)}"
    return sentence + "."


def _against(difference: Difference, other: str) -> str:
    if not difference.n:
        return f"but shares no finished seed with {other}, so the two cannot be compared"
    gap = f"{points(difference)} against {other}"
    if difference.verdict == BETTER:
        return f"{gap}, which is more than luck explains"
    if difference.verdict == EQUIVALENT:
        return f"{gap}: {difference.words}"
    if difference.n < MIN_SEEDS:
        return f"{gap}, and with fewer than {MIN_SEEDS} paired seeds nobody can say how much of it is luck"
    if difference.low is None:
        return f"{gap}, the same for every seed, which is too few of them to tell how much is luck"
    return f"{gap}, which luck can explain: {difference.words}{_needed(difference)}"


def _needed(difference: Difference) -> str:
    if difference.seeds_needed is None or difference.seeds_needed <= difference.n:
        return ""
    return f" (some {difference.seeds_needed} would decide a difference as large)"


def _lead(runner_up: Row, lead: Difference) -> str:
    if not lead.n:
        return f"it shares no finished seed with the next, `{runner_up.variant}`"
    gap = f"it leads the next, `{runner_up.variant}`, by {points(lead)}"
    if lead.n < MIN_SEEDS:
        return f"{gap}, too few seeds to tell the two apart"
    if lead.p is not None and lead.p < ALPHA:
        return f"{gap}, which sets the two apart if one forgets that they were picked after looking"
    return f"{gap}, so that these seeds do not tell the two apart"


def _count_of_verdicts(summary: Summary) -> list[str]:
    compared = [row.difference for row in summary.rows if row.difference]
    if len(compared) < 2:
        return []
    counts = Counter(difference.words for difference in compared)
    order = {BETTER: 0, WORSE: 1, TOO_FEW: 3}
    words = sorted(counts, key=lambda word: order.get(word, 2))
    listed = ", ".join(f"{counts[word]} {word}" for word in words)
    return [f"Against the baseline, of {len(compared)} variants: {listed}."]
