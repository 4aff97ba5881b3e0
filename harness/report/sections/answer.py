"""A study's question, the answer in a sentence as far as its numbers go, and what should make a reader careful."""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.analysis.summary import Row, Summary
from harness.report.document.blocks import Block, Items, Paragraph
from harness.report.format import (
    estimate,
    interval,
    listed,
    p_value,
    plural,
    points,
    signed,
    unsigned,
    who_is_what,
)
from harness.report.sections import ladder, sweep
from harness.stats.cheapest import Cheapest
from harness.stats.differences import NEW_TRAININGS_AND_CLIPS, Difference, Verdict
from harness.stats.distributions import ALPHA, MIN_SEEDS
from harness.stats.estimates import SAME
from harness.stats.hypotheses import Hypothesis, Tested, parse_hypothesis
from harness.units import giga


def section(summary: Summary) -> list[Block]:
    record = summary.record
    blocks: list[Block] = [Paragraph(record.question, "question")]
    stated = _stated(summary)
    if stated:
        blocks += [Paragraph(_count_of_stated(summary), "answer"), Items(stated, "answer")]
    blocks.append(Paragraph(" ".join(_found(summary)), "" if stated else "answer"))
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
    stated = _stated(summary)
    return " ".join([*([_count_of_stated(summary)] if stated else []), *stated, *_found(summary)])


def headline(summary: Summary) -> str:
    """The answer in a line or two, for a list of studies."""
    if _stated(summary):
        return " ".join([_count_of_stated(summary), *_found(summary)[:1]])
    return " ".join(_found(summary))


def _count_of_stated(summary: Summary) -> str:
    counts = Counter(one.verdict for one in summary.hypotheses)
    order = (Verdict.SUPPORTED, Verdict.NOT_SUPPORTED, Verdict.TOO_FEW)
    if len(counts) == 1:
        (verdict,) = counts
        if len(summary.hypotheses) > 1 and verdict == Verdict.NOT_SUPPORTED:
            return f"None of the {len(summary.hypotheses)} hypotheses that the study stated beforehand is supported."
        who = "All hypotheses" if len(summary.hypotheses) > 1 else "The hypothesis"
        verb = "are" if len(summary.hypotheses) > 1 else "is"
        if verdict == Verdict.TOO_FEW:
            return f"{who} that the study stated beforehand: {verdict}."
        return f"{who} that the study stated beforehand {verb} {verdict}."
    parts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict])
    return f"Of {len(summary.hypotheses)} hypotheses that the study stated beforehand: {parts}."


def _stated(summary: Summary) -> list[str]:
    """A sentence on each hypothesis, where there is any result; those of several levels that say the same, in one."""
    if not summary.usable:
        return []
    groups: dict[tuple[Any, ...], list[tuple[Hypothesis, Tested]]] = {}
    for one in summary.hypotheses:
        stated = parse_hypothesis(one.text, summary.record.margin)
        own = one.text if stated.level is None else ""
        key = (stated.left, stated.relation, stated.right, stated.within, one.verdict, own)
        groups.setdefault(key, []).append((stated, one))
    return [_of_hypotheses(group, summary) for group in groups.values()]


def _of_hypotheses(group: list[tuple[Hypothesis, Tested]], summary: Summary) -> str:
    stated, tested = group[0]
    gaps = [one.difference for _, one in group if one.difference.n]
    known = f": {points(gaps[0])}" if gaps else ""
    where = f" at {stated.level_name} {stated.level:g}" if stated.level is not None else ""
    if len(group) > 1:
        levels = [one.level for one, _ in group if one.level is not None]
        tried = summary.ladder.levels if summary.ladder else sorted(levels)
        where = f" at {stated.level_name} {ladder.levels_in_words(levels, tried)}"
        known = f": {_of_several(gaps)}" if gaps else ""
    if any(one.by_one_side for _, one in group):
        known += ", by a test of the stated side alone"
    if lost := [one.p_holm for _, one in group if one.by_correction and one.p_holm is not None]:
        all_stated = plural(sum(one.p is not None for one in summary.hypotheses), "hypothesis", "hypotheses")
        known += f", but p {'up to ' * (len(lost) > 1)}{p_value(max(lost))} after correction for {all_stated}"
    verdict = str(tested.verdict)
    return f"{verdict[0].upper()}{verdict[1:]}: {_claim(stated)}{where}{known}."


def _of_several(gaps: list[Difference]) -> str:
    """Lowest to highest of their means, and what their intervals span."""
    first, last = (signed(pick(gap.mean for gap in gaps)) for pick in (min, max))
    words = f"{first} points at each" if first == last else f"{first} to {last} points"
    lows, highs = (
        [gap.low for gap in gaps if gap.low is not None],
        [gap.high for gap in gaps if gap.high is not None],
    )
    if len(lows) == len(highs) == len(gaps):
        words += f", intervals within [{unsigned(min(lows))}, {unsigned(max(highs))}]"
    fewest, most = (pick(gap.n for gap in gaps) for pick in (min, max))
    return f"{words} (n={fewest})" if fewest == most else f"{words} (n={fewest} to {most})"


def _claim(stated: Hypothesis) -> str:
    """`a >= b within 2` in words."""
    left, right, within = f"`{stated.left}`", f"`{stated.right}`", f"{stated.within:g}"
    unit = f"point{'s' * (stated.within != 1)}"
    return {
        ">": f"{left} is better than {right}",
        "<": f"{left} is worse than {right}",
        "~": f"{left} and {right} are no more than {within} {unit} apart",
        ">=": f"{left} is at most {within} {unit} below {right}",
    }[stated.relation]


def _found(summary: Summary) -> list[str]:
    sentences = [*sweep.sentences(summary), *ladder.sentences(summary)]
    if not sentences:
        sentences.append(_verdict_sentence(summary))
        if out := summary.unranked:
            sentences.append(
                f"Left out of that order, because trials of {'it' if len(out) == 1 else 'them'} failed: {listed(out)}."
            )
        sentences += _count_of_verdicts(summary) if summary.usable else []
    if too_easy := ladder.ceiling(summary):
        sentences.append(too_easy)
    trials = len(summary.trials)
    if summary.usable < trials:
        sentences.append(f"{summary.usable} of {trials} trials have a result, so this may change.")
    return sentences


def cheapest_answer(found: Cheapest) -> str:
    """The engineer's question: which is the cheapest variant that will do."""
    within = f"at most {found.margin:g} point{'s' * (found.margin != 1)} below every other variant"
    doubtful = " or doubtful" if found.by == "latency" else ""
    if found.cost is None:
        why = f"none is shown to be {within}" if found.tested else "too few seeds"
        if not found.priced:
            why = f"every {found.by} that was measured is doubtful (see Cost)"
        elif found.close_unknown:
            why = f"of those shown to be {within}, the {found.by} is not known{doubtful}: {listed(found.close_unknown)}"
        return f"By {found.by}: no cheapest variant can be named yet: {why}."
    *others, last = found.variants
    names = f"{listed(others)} and `{last}`" if others else f"`{last}`"
    amount = giga(found.cost, unit=" G MACs") if found.by == "MACs" else _latencies(found)
    verb = "are" if others else "is"
    cheaper = f"; of the {found.cheaper} cheaper it is not shown" if found.cheaper else ""
    unknown = f"; {found.by} not known{doubtful}: {listed(found.unknown)}" if found.unknown else ""
    return f"By {found.by}: {names} ({amount}) {verb} the cheapest shown to be {within}{cheaper}{unknown}."


def _latencies(found: Cheapest) -> str:
    if len(found.variants) == 1:
        return f"median {found.cost:.1f} ms"
    return f"medians {found.cost:.1f} to {found.highest:.1f} ms; their quartiles overlap"


def _verdict_sentence(summary: Summary) -> str:
    best, baseline = summary.best, summary.baseline
    if not summary.usable:
        return "No trial has finished with an accuracy yet: nothing can be said."
    if best is None:
        return "No seed is done by every variant yet, and means over other seeds are not compared."
    top1 = estimate(summary.ranked[best.variant], " %") + _of_seeds(summary)
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
        none = "No variant" if not summary.unranked else "No variant with all its seeds"
        sentence = f"{none} scores above the baseline: `{best.variant}` itself {head}"
    else:
        tested = sum(row.difference is not None and row.difference.p is not None for row in summary.rows)
        against = _against(best.difference, f"the baseline `{baseline.variant}`", tested)
        sentence = f"`{best.variant}` {head}, {against}"
    second = summary.runner_up
    if second and summary.lead and second.variant != summary.record.baseline:
        sentence += f". {_lead(second, summary.lead)}"
    return sentence + "."


def _of_seeds(summary: Summary) -> str:
    """Where means are over fewer seeds than some variant has."""
    common = next(iter(summary.ranked.values())).n
    if all(row.accuracy["top1"].n <= common for row in summary.rows):
        return ""
    return " on the seeds that all variants have" if common > 1 else " on the one seed that all variants have"


def _against(difference: Difference, other: str, tested: int) -> str:
    """tested: rows that the verdict is corrected for."""
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
    alone = difference.low > 0 or (difference.high is not None and difference.high < 0)
    # An interval that leaves 0 out would else say another thing than the verdict.
    corrected = f" after correction for {tested} rows" if alone else ""
    return f"{gap}, which{corrected} luck can explain: {difference.words}{_needed(difference)}"


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
        return f"It shares no finished seed with the next, `{runner_up.variant}`"
    gap = f"Its difference to the next, `{runner_up.variant}`, is {points(lead)}"
    if lead.mean > SAME:
        gap = f"It leads the next, `{runner_up.variant}`, by {points(lead)}"
    if lead.n < MIN_SEEDS:
        return f"{gap}, too few seeds to tell the two apart"
    if lead.p is not None and lead.p < ALPHA:
        return f"{gap}, which would set the two apart, had they not been picked after looking"
    return f"{gap}, so that these seeds do not tell the two apart"


def _count_of_verdicts(summary: Summary) -> list[str]:
    compared = [row.difference for row in summary.rows if row.difference]
    if len(compared) < 2 or not any(difference.n for difference in compared):
        return []
    order: dict[str, int] = {Verdict.BETTER: 0, Verdict.WORSE: 1, Verdict.TOO_FEW: 3}
    verdicts = sorted(((gap.words, gap.variant) for gap in compared), key=lambda one: order.get(one[0], 2))
    return [f"Against the baseline, of {len(compared)} variants: {who_is_what(verdicts)}."]
