"""The sentence that opens a report, case by case."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from builders.scores import FOUR, jitter
from builders.studies import cost, failed, predictions, small_study, study, trial

from harness.analysis.summary import summarize
from harness.records import StudyRecord, TrialRecord
from harness.report.sections.answer import answer, cheapest_answer
from harness.stats.cheapest import cheapest
from harness.stats.estimates import Quartiles
from harness.stats.scores import Scores


def said(record: StudyRecord) -> str:
    return answer(summarize(record))


def seeds(variant: str, *top1: float, **changes: Any) -> list[TrialRecord]:
    return [trial(variant, seed, value, **changes) for seed, value in enumerate(top1)]


def test_luck_is_called_that_of_training_where_no_clips_were_kept() -> None:
    """Differences 50, 51, 52: 4.3027 / sqrt 3 = 2.5 on either side."""
    assert said(small_study()) == (
        "`ks3` has the highest mean top-1: 73.0 ± 7.5 % (n=3), +51.0 points [48.5, 53.5] (n=3) against the baseline "
        "`tsn`, which is more than luck of training explains."
    )


def test_variants_that_score_the_same_share_the_first_place() -> None:
    trials = [
        *seeds("tsn", 50.0, 51.0, 52.0),
        *seeds("ks3", 100.0, 100.0, 100.0),
        *seeds("ks5", 100.0, 100.0, 100.0),
    ]
    text = said(study(trials, ["tsn", "ks3", "ks5"]))
    assert text.startswith(
        "`ks3` has the highest mean top-1, 100.0 % (n=3), and so has `ks5`, +49.0 points ["
    )
    assert (
        ". Its difference to the next, `ks5`, is +0.0 points (n=3), so that these seeds do not tell" in text
    )


def test_a_variant_that_equals_the_baseline_does_not_score_above_it() -> None:
    """Whichever of the two stands first in the study, and 0.1 + 0.2 is not exactly 0.3."""
    trials = [*seeds("ks3", 0.1 + 0.2, 51.0, 52.0), *seeds("tsn", 0.3, 51.0, 52.0)]
    for variants in (["ks3", "tsn"], ["tsn", "ks3"]):
        text = said(study(trials, variants))
        assert text.startswith(
            "No variant scores above the baseline: `tsn` itself has the highest mean top-1, 34.4 [0.0, 100.0] %"
        )
        assert "and so has `ks3`. Its difference to the next, `ks3`, is +0.0 points" in text


def test_a_mean_over_more_seeds_than_the_baseline_has_cannot_make_the_best() -> None:
    """On the seeds that both have, ks3 is 9, 10, 11 points below; two lucky seeds lift its own mean to 64.2."""
    trials = [*seeds("tsn", 50.0, 51.0, 52.0), *seeds("ks3", 41.0, 41.0, 41.0, 99.0, 99.0)]
    text = said(study(trials, ["tsn", "ks3"], seeds=[0, 1, 2, 3, 4]))
    assert text.startswith(
        "No variant scores above the baseline: `tsn` itself has the highest mean top-1: 51.0 ± 2.5 % (n=3) on the "
        "seeds that all variants have. It leads the next, `ks3`, by +10.0 points [7.5, 12.5] (n=3)"
    )
    assert text.endswith("8 of 10 trials have a result, so this may change.")


def test_a_study_that_is_under_way_ranks_by_the_seeds_that_all_variants_have() -> None:
    """ks3's lucky second seed is not held against one of ks5: on seed 0, ks5 is ahead."""
    trials = [*seeds("tsn", 50.0), *seeds("ks3", 60.0, 90.0), *seeds("ks5", 70.0)]
    text = said(study(trials, ["tsn", "ks3", "ks5"], seeds=[0, 1]))
    assert text.startswith(
        "`ks5` has the highest mean top-1: 70.0 % (n=1) on the one seed that all variants have, "
    )


def test_without_a_common_seed_nothing_is_ranked() -> None:
    trials = [trial("tsn", 0, 50.0), trial("ks3", 1, 60.0)]
    text = said(study(trials, ["tsn", "ks3"], seeds=[0, 1]))
    assert text.startswith(
        "No seed is done by every variant yet, and means over other seeds are not compared."
    )


def test_a_variant_with_a_failed_trial_keeps_no_other_from_its_seeds() -> None:
    trials = [*seeds("tsn", 50.0, 51.0, 52.0), *seeds("ks3", 60.0, 62.0, 61.0), *seeds("ks5", 99.0, 99.0)]
    text = said(study([*trials, failed("ks5", 2)], ["tsn", "ks3", "ks5"]))
    assert text.startswith("`ks3` has the highest mean top-1: 61.0 ± 2.5 % (n=3), +10.0 points")
    assert "Left out of that order, because trials of it failed: `ks5`." in text


def test_of_two_variants_the_one_with_a_failed_trial_is_compared_on_the_seeds_that_both_have() -> None:
    """It is 50 and 52 points ahead there: no word of nothing being better than the baseline."""
    trials = [*seeds("tsn", 20.0, 22.0, 24.0), trial("ks3", 0, 70.0), failed("ks3", 1), trial("ks3", 2, 76.0)]
    text = said(study(trials, ["tsn", "ks3"]))
    assert text.startswith(
        "`ks3` has the highest mean top-1: 73.0 % (n=2) on the seeds that all variants have, +51.0 points (n=2) "
    )
    assert "Left out" not in text


def test_a_baseline_that_leads_only_those_without_failures_says_so() -> None:
    trials = [*seeds("tsn", 50.0, 51.0, 52.0), *seeds("ks3", 40.0, 42.0, 41.0), *seeds("ks5", 99.0, 99.0)]
    text = said(study([*trials, failed("ks5", 2)], ["tsn", "ks3", "ks5"]))
    assert text.startswith(
        "No variant with all its seeds scores above the baseline: `tsn` itself has the highest"
    )


def test_one_seed_gets_the_interval_over_clips_and_what_it_does_not_cover() -> None:
    """Net 1, 1, 0, 1 of four clips: 75 points ± 3.1824 x 25."""
    trials = seeds("tsn", 25.0, predictions=predictions("0010"))
    trials += seeds("ks3", 100.0, predictions=predictions("1111"))
    text = said(study(trials, ["tsn", "ks3"], seeds=[0]))
    assert text == (
        "`ks3` has the highest mean top-1: 100.0 % (n=1), +75.0 points (n=1) against the baseline `tsn`, and with "
        "fewer than 3 paired seeds nobody can say how much of it is luck (these very networks on new clips: "
        "[-4.6, 100.0], which does not cover training them again)."
    )


def test_two_seeds_without_clips_give_no_interval_at_all() -> None:
    text = said(study([*seeds("tsn", 50.0, 51.0), *seeds("ks3", 60.0, 62.0)], ["tsn", "ks3"], seeds=[0, 1]))
    assert "+10.5 points (n=2) against the baseline `tsn`, and with fewer than 3 paired seeds nobody" in text
    assert "[" not in text


def test_a_result_that_is_no_number_is_no_result() -> None:
    record = small_study()
    broken = dataclasses.replace(record.trials[0], last={"top1": math.nan})
    text = said(dataclasses.replace(record, trials=[broken, *record.trials[1:]]))
    assert text.endswith("5 of 6 trials have a result, so this may change.")


def test_without_a_baseline_the_best_two_are_still_compared() -> None:
    trials = [failed("tsn", 0), *seeds("ks3", 70.0, 71.0, 72.0), *seeds("ks5", 60.0, 61.1, 61.9)]
    text = said(study(trials, ["tsn", "ks3", "ks5"]))
    assert (
        "but the baseline `tsn` has no trial with an accuracy: nothing can be said about differences to it"
        in text
    )
    assert (
        ". It leads the next, `ks5`, by +10.0 points [9.8, 10.2] (n=3), which would set the two apart, had"
        in text
    )
    assert text.endswith("looking. 6 of 9 trials have a result, so this may change.")


def test_an_interval_without_zero_that_shows_nothing_says_what_it_lacks() -> None:
    """Ahead by 5 - sqrt 3, 5 and 5 + sqrt 3: t is 5 on two degrees of freedom, p 0.0189 to one side, times 4; to both
    sides 0.0377, times 2. The interval alone, 5 ± 4.3027, leaves 0 out."""
    trials = [*seeds("tsn", 50.0, 50.0, 50.0), *seeds("ks5", 49.0, 50.0, 51.0)]
    trials += seeds("ks3", 55 - math.sqrt(3), 55.0, 55 + math.sqrt(3))
    stated = ["ks3 > tsn", "ks5 > tsn", "ks5 > ks3", "tsn > ks5"]
    text = said(study(trials, ["tsn", "ks3", "ks5"], hypotheses=stated))
    assert (
        "Not supported: `ks3` is better than `tsn`: +5.0 points [0.7, 9.3] (n=3), but p 0.075 after correction for 4 "
        "hypotheses. Not supported: `ks5` is better than `tsn`: +0.0 points [-2.5, 2.5] (n=3). "
    ) in text
    assert (
        "+5.0 points [0.7, 9.3] (n=3) against the baseline `tsn`, which after correction for 2 rows luck can explain: "
        "too few seeds to tell"
    ) in text


def test_the_counts_of_verdicts_name_whose_they_are() -> None:
    """Not where all have the same one."""
    trials = [
        *seeds("tsn", 20.0, 22.0, 24.0),
        *seeds("ks3", 70.0, 73.0, 76.0),
        *seeds("ks5", 21.0, 22.0, 25.0),
    ]
    text = said(study(trials, ["tsn", "ks3", "ks5"]))
    assert text.endswith(
        "Against the baseline, of 2 variants: 1 better (`ks3`), 1 too few seeds to tell (`ks5`)."
    )
    few = said(study(trials, ["tsn", "ks3", "ks5"], seeds=[0]))
    assert few.endswith("Against the baseline, of 2 variants: 2 too few seeds to tell.")


def test_a_difference_within_the_margin_is_called_one() -> None:
    trials = [*seeds("tsn", 50.0, 51.0, 52.0), *seeds("ks3", 50.2, 51.1, 52.3)]
    text = said(study(trials, ["tsn", "ks3"], margin=1.0))
    assert "against the baseline `tsn`: no difference larger than 1 point." in text


def test_the_cheapest_is_named_with_its_cost_and_the_cheaper_ones_that_will_not_do() -> None:
    costs = {"low": 1e9, "mid": 2e9, "high": 4e9, "alike": 3e9}
    assert cheapest_answer(cheapest(FOUR, costs, "MACs")) == (
        "By MACs: `alike` (3.00 G MACs) is the cheapest shown to be at most 1 point below every other variant; "
        "of the 2 cheaper it is not shown."
    )
    assert cheapest_answer(cheapest(FOUR, costs | {"high": 3e9}, "MACs")).startswith(
        "By MACs: `high` and `alike` (3.00 G MACs) are the cheapest shown"
    )


def test_latencies_that_cannot_be_told_apart_are_named_together() -> None:
    costs = {
        "high": Quartiles(q1=440.0, median=445.0, q3=457.0, n=5),
        "alike": Quartiles(q1=452.0, median=463.2, q3=472.0, n=5),
    }
    assert cheapest_answer(cheapest(FOUR, costs, "latency")).startswith(
        "By latency: `high` and `alike` (medians 445.0 to 463.2 ms; their quartiles overlap) are the cheapest shown"
    )


def test_the_cheapest_names_the_variants_whose_cost_is_not_known() -> None:
    assert cheapest_answer(cheapest(FOUR, {"high": 4.0}, "latency")) == (
        "By latency: `high` (median 4.0 ms) is the cheapest shown to be at most 1 point below every other "
        "variant; latency not known or doubtful: `low`, `mid`, `alike`."
    )


def test_where_nothing_is_shown_to_be_good_enough_the_report_says_so() -> None:
    """Spread by 2 points, three seeds cannot show a margin of 1."""
    apart = Scores(accuracy={"a": {0: 58.0, 1: 60.0, 2: 62.0}, "b": {0: 61.0, 1: 58.5, 2: 60.0}}, margin=1.0)
    assert cheapest_answer(cheapest(apart, {"a": 4.0, "b": 5.0}, "latency")) == (
        "By latency: no cheapest variant can be named yet: none is shown to be at most 1 point below every other "
        "variant."
    )


def test_good_enough_without_a_known_cost_is_not_called_not_good_enough() -> None:
    assert cheapest_answer(cheapest(FOUR, {"low": 4.0}, "latency")) == (
        "By latency: no cheapest variant can be named yet: of those shown to be at most 1 point below every other "
        "variant, the latency is not known or doubtful: `high`, `alike`."
    )


def test_where_every_latency_is_doubtful_the_answer_says_so_in_a_line() -> None:
    """Nothing of latency is said where none was measured."""
    loaded = cost("tsn", warnings=["load: other processes used 1.9 of 2 cores meanwhile"])
    record = dataclasses.replace(small_study(), margin=1.0)
    doubtful = dataclasses.replace(record, costs={"tsn": loaded, "ks3": loaded})
    by_macs, by_latency = map(cheapest_answer, summarize(doubtful).cheapest)
    assert by_macs.startswith("By MACs: ")
    assert by_latency == (
        "By latency: no cheapest variant can be named yet: every latency that was measured is doubtful (see Cost)."
    )
    counted = {name: cost(name, latency_ms=[]) for name in record.variants}
    assert [one.by for one in summarize(dataclasses.replace(record, costs=counted)).cheapest] == ["MACs"]


def test_with_too_few_seeds_no_cheapest_is_named_in_plain_words() -> None:
    few = Scores(accuracy={"low": jitter(50, 0, 2), "high": jitter(60, 1, 2)}, margin=1.0)
    words = cheapest_answer(cheapest(few, {"low": 1e9, "high": 2e9}, "MACs"))
    assert words == "By MACs: no cheapest variant can be named yet: too few seeds."
