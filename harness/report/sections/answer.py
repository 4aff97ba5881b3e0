"""A study's question, the answer in a sentence as far as its numbers go, and what should make a reader careful."""

from __future__ import annotations

from collections import Counter

from harness.analysis.summary import Row, Summary
from harness.report.document.blocks import Block, Items, Paragraph
from harness.report.format import estimate, interval, listed, plural, points
from harness.report.sections import ladder, sweep
from harness.stats.cheapest import Cheapest
from harness.stats.differences import NEW_TRAININGS_AND_CLIPS, Difference, Verdict
from harness.stats.distributions import ALPHA, MIN_SEEDS
from harness.stats.estimates import SAME
from harness.stats.hypotheses import Tested
from harness.units import giga


def section(summary: Summary) -> list[Block]:
    record = summary.record
    blocks: list[Block] = [Paragraph(record.question, "question")]
    if stated := _stated(summary):
        blocks.append(Items(stated))
    blocks.append(Paragraph(" ".join(_found(summary)), "answer"))
    if summary.cheapest:
        blocks.append(Items([cheapest_answer(one) for one in summary.cheapest]))
    if summary.missing or summary.unusable:
        planned = plural(len(summary.trials), "trial")
        words = f"Incomplete: {summary.usable} of {planned} have a result; the others are listed below."
        blocks.append(Paragraph(words, "warning"))
    if any(trial.skipped.get("val") for trial in record.trials):
        words = "Accuracies leave out validation clips that cannot be read; they are listed below."
        blocks.append(Paragraph(words, "warning"))
    return blocks


def answer(summary: Summary) -> str:
    """What was stated beforehand and what became of it, what else is known, with its interval, and what is open."""
    return " ".join([*_stated(summary), *_found(summary)])


def _stated(summary: Summary) -> list[str]:
    """A sentence on each hypothesis, where there is any result."""
    return [_of_hypothesis(one) for one in summary.hypotheses] if summary.best else []


def _of_hypothesis(tested: Tested) -> str:
    gap = tested.difference
    known = f": {points(gap)}" if gap.n else ""
    if tested.verdict == Verdict.TOO_FEW:
        return f"`{tested.text}`: {tested.verdict}{known and f', {points(gap)}'}."
    return f"`{tested.text}` is {tested.verdict}{known}."


def _found(summary: Summary) -> list[str]:
    sentences = [*sweep.sentences(summary), *ladder.sentences(summary)]
    if not sentences:
        sentences.append(_verdict_sentence(summary))
        sentences += _count_of_verdicts(summary) if summary.best else []
    if too_easy := ladder.ceiling(summary):
        sentences.append(too_easy)
    trials = len(summary.trials)
    if summary.usable < trials:
        sentences.append(f"{summary.usable} of {trials} trials have a result, so this may change.")
    return sentences


def cheapest_answer(found: Cheapest) -> str:
    """The engineer's question: which is the cheapest variant that will do."""
    within = f"at most {found.margin:g} point{'s' * (found.margin != 1)} below every other variant"
    if found.cost is None:
        return f"By {found.by}: of no variant with a known cost is it shown that it is {within}."
    names = " and ".join(f"`{variant}`" for variant in found.variants)
    amount = giga(found.cost, unit=" G MACs") if found.by == "MACs" else f"median {found.cost:.1f} ms"
    verb = "is" if len(found.variants) == 1 else "are"
    cheaper = f"; of the {found.cheaper} cheaper it is not" if found.cheaper else ""
    unknown = f"; {found.by} not known: {listed(found.unknown)}" if found.unknown else ""
    return f"By {found.by}: {names} ({amount}) {verb} the cheapest that is shown to be {within}{cheaper}{unknown}."


def _verdict_sentence(summary: Summary) -> str:
    best, baseline = summary.best, summary.baseline
    if best is None:
        return "No trial has finished with an accuracy yet: nothing can be said."
    top1 = estimate(best.accuracy["top1"], " %")
    head = f"has the highest mean top-1: {top1}"
    if summary.tied:
        so = "has" if len(summary.tied) == 1 else "have"
        head = f"has the highest mean top-1, {top1}, and so {so} {listed(summary.tied)}"
    if baseline is None or not baseline.accuracy["top1"].n:
        sentence = (
            f"`{best.variant}` {head}, "
            f"but the baseline `{summary.record.baseline}` has no trial with an accuracy: "
            "nothing can be said about differences to it"
        )
    elif best.difference is None:
        sentence = f"No variant scores above the baseline: `{best.variant}` itself {head}"
    else:
        against = _against(best.difference, f"the baseline `{baseline.variant}`")
        sentence = f"`{best.variant}` {head}, {against}"
    second = summary.runner_up
    if second and summary.lead and second.variant != summary.record.baseline:
        sentence += f"; {_lead(second, summary.lead)}"
    return sentence + "."


def _against(difference: Difference, other: str) -> str:
    if not difference.n:
        return f"but shares no finished seed with {other}, so the two cannot be compared"
    gap = f"{points(difference)} against {other}"
    if difference.verdict == Verdict.BETTER:
        return f"{gap}, which is more than {_luck(difference)} explains"
    if difference.verdict == Verdict.WORSE:  # a mean over other seeds than the difference
        return f"{gap} on the seeds that both have: worse, by more than {_luck(difference)} explains"
    if difference.verdict == Verdict.EQUIVALENT:
        return f"{gap}: {difference.words}"
    if difference.n < MIN_SEEDS:
        few = f"with fewer than {MIN_SEEDS} paired seeds nobody can say how much of it is luck"
        return f"{gap}, and {few}{_these_networks(difference)}"
    if difference.low is None:
        return f"{gap}, the same for every seed, which is too few of them to tell how much is luck"
    return f"{gap}, which luck can explain: {difference.words}{_needed(difference)}"


def _luck(difference: Difference) -> str:
    """The verdict's luck: without predictions clip by clip, that of the validation clips is not in it."""
    return "luck" if difference.covers == NEW_TRAININGS_AND_CLIPS else "luck of training"


def _these_networks(difference: Difference) -> str:
    """All that so few seeds can give: an interval over clips, of networks that are not trained again."""
    clips = difference.clips
    if clips is None or clips.low is None:
        return ""
    return f" (these very networks on new clips:{interval(clips)}, which does not cover training them again)"


def _needed(difference: Difference) -> str:
    if difference.seeds_needed is None or difference.seeds_needed <= difference.n:
        return ""
    return f" (some {difference.seeds_needed} would decide a difference as large)"


def _lead(runner_up: Row, lead: Difference) -> str:
    if not lead.n:
        return f"it shares no finished seed with the next, `{runner_up.variant}`"
    gap = f"its difference to the next, `{runner_up.variant}`, is {points(lead)}"
    if lead.mean > SAME:
        gap = f"it leads the next, `{runner_up.variant}`, by {points(lead)}"
    if lead.n < MIN_SEEDS:
        return f"{gap}, too few seeds to tell the two apart"
    if lead.p is not None and lead.p < ALPHA:
        return f"{gap}, which sets the two apart if one forgets that they were picked after looking"
    return f"{gap}, so that these seeds do not tell the two apart"


def _count_of_verdicts(summary: Summary) -> list[str]:
    compared = [row.difference for row in summary.rows if row.difference]
    if len(compared) < 2 or not any(difference.n for difference in compared):
        return []
    counts = Counter(difference.words for difference in compared)
    order: dict[str, int] = {Verdict.BETTER: 0, Verdict.WORSE: 1, Verdict.TOO_FEW: 3}
    words = sorted(counts, key=lambda word: order.get(word, 2))
    parts = ", ".join(f"{counts[word]} {word}" for word in words)
    return [f"Against the baseline, of {len(compared)} variants: {parts}."]
