"""The page of a study whose clips have levels: table, horizons, and what the answer says of them."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
from builders.ladders import ladder
from builders.studies import row_of, table_of, text_of

from harness.analysis.summary import summarize
from harness.records import StudyRecord
from harness.report.sections.answer import answer
from harness.report.sections.ladder import ceiling, levels_in_words
from harness.report.terminal import final_table
from harness.report.write import read_record, write_study

LAGS = (1, 2, 3)
STAIRS = {
    "tsn": [[0, 0, 0]] * 3,
    "ks3": [[20, 17, 0], [20, 18, 0], [20, 19, 0]],
    "ks5": [[20, 20, 20]] * 3,
    "ks7": [[20, 20, 20]] * 3,
}
HORIZONS = {"tsn": 0, "ks3": 2, "ks5": 4, "ks7": 6}


def stairs(**changes: object) -> StudyRecord:
    return ladder(STAIRS, LAGS, **{"horizons": HORIZONS, "margin": 15.0, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report, with its figures. Not to be written to."""
    hypotheses = ["ks5 > ks3 at lag 3", "ks5 < ks3 at lag 3", "ks7 ~ ks5 within 15"]
    return write_study(stairs(hypotheses=hypotheses), tmp_path_factory.mktemp("ladder"))


@pytest.fixture
def page(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_table_has_horizons_and_every_level(page: str) -> None:
    """ks3 at lag 2 by hand: 92.5, 95 and 97.5, so 95.0 ± 4.3027 x 2.5 / sqrt 3. No spread elsewhere: no interval."""
    assert table_of(page, "### Accuracy by lag") == [
        ["variant", "seeds", "predicted horizon", "measured", "lag 1 [%]", "lag 2 [%]", "lag 3 [%]"],
        [":--", *["--:"] * 6],
        ["`tsn`", "3 of 3", "0", "0 [0, 0]", "50.0", "50.0", "50.0"],
        ["`ks3`", "3 of 3", "2", "2 [2, 2]", "**100.0**", "**95.0 [88.8, 100.0]**", "50.0"],
        ["`ks5`", "3 of 3", "4", "≥ 3 [3, 3]", "**100.0**", "**100.0**", "**100.0**"],
        ["`ks7`", "3 of 3", "6", "≥ 3 [3, 3]", "**100.0**", "**100.0**", "**100.0**"],
    ]


def test_the_first_figure_is_the_ladder_and_stands_before_every_table(page: str, folder: Path) -> None:
    first = next(line for line in page.splitlines() if line.startswith("!["))
    assert first == "![Accuracy by lag](figures/accuracy_levels.png)"
    assert page.index(first) < page.index("### Accuracy by lag") < page.index("### Accuracy\n")
    assert (folder / "figures" / "accuracy_levels.svg").exists()
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert html.index("<svg") < html.index("<table")


def test_pair_accuracy_stands_beside_top_1(page: str) -> None:
    """ks3: 37, 38 and 39 of 60 pairs: 61.7, 63.3, 65.0; sd 1.667, so ± 4.14. Half of the clips of the others right."""
    header, _, tsn, ks3, *_ = table_of(page, "### Accuracy")
    assert header[:4] == ["variant", "seeds", "top-1 [%]", "both twins [%]"]
    assert tsn[2:4] == ["50.0", "0.0"]
    assert ks3[2:4] == ["81.7 ± 2.1", "63.3 ± 4.1"]
    assert "a network that cannot order frames is right about one of the two, and near 0 here" in page


def test_hypotheses_open_the_answer_in_words_each_with_its_verdict(page: str) -> None:
    count, stated = page.split("**\n\n")[1].split("\n\n")[:2]
    assert count == "Of 3 hypotheses that the study stated beforehand: 2 supported, 1 not supported."
    lines = stated.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["- Supported", "`ks5` is better than `ks3` at lag 3"],
        ["- Not supported", "`ks5` is worse than `ks3` at lag 3"],
        ["- Supported", "`ks7` and `ks5` are no more than 15 points apart"],
    ]
    assert lines[0].startswith("- Supported: `ks5` is better than `ks3` at lag 3: +50.0 points [")
    assert lines[0].endswith("] (n=3).")


def test_what_is_stated_of_several_levels_alike_is_one_sentence() -> None:
    """Only where all have the same verdict; ks5 is 50 points above ks3 at lag 3, and level with it before."""
    alike = [f"ks5 >= ks3 at lag {lag} within 15" for lag in (1, 2, 3)]
    summary = summarize(stairs(hypotheses=alike))
    gaps = [one.difference for one in summary.hypotheses]
    lowest, highest = min(gap.low or 0.0 for gap in gaps), max(gap.high or 0.0 for gap in gaps)
    assert answer(summary).startswith(
        "All hypotheses that the study stated beforehand are supported. "
        "Supported: `ks5` is at most 15 points below `ks3` at lag 1 to 3: "
        f"+0.0 to +50.0 points, intervals within [{lowest:.1f}, {highest:.1f}] (n=3)."
    )


def test_a_row_that_is_supported_and_open_in_the_table_is_explained(tmp_path: Path, no_figures: None) -> None:
    """Ahead by 10, 20 and 35 points: over seeds t is 2.98, so p is 0.097 to both sides and 0.048 to one."""
    rows = {"tsn": [[0, 0, 0]] * 3, "ks3": [[4, 4, 4], [8, 8, 8], [14, 14, 14]]}
    words = "Of `ks3` the table of all rows still says that seeds are too few: it corrects for more rows"
    text = text_of(ladder(rows, LAGS, hypotheses=["ks3 > tsn"]), tmp_path / "open")
    assert "supported (1)" in text
    assert words in text
    sure = text_of(stairs(hypotheses=["ks5 > tsn"]), tmp_path / "sure")
    assert "the table of all rows still says" not in sure


def test_that_nothing_stated_is_supported_is_said_so() -> None:
    text = answer(summarize(stairs(hypotheses=["ks3 > ks5", "ks3 > ks7"])))
    assert text.startswith("None of the 2 hypotheses that the study stated beforehand is supported. Not supp")


def test_the_answer_says_which_horizons_are_the_predicted_ones() -> None:
    text = answer(summarize(stairs()))
    assert text.startswith(
        "Every measured horizon is the predicted one (0: `tsn`; 2: `ks3`; ≥ 3: `ks5`, `ks7`). "
        "Of those that reach lag 3, `ks5` adds the fewest multiply-adds, 0.22 G, and `ks7` the most, 0.31 G."
    )
    wrong = answer(summarize(stairs(horizons={**HORIZONS, "ks3": 1})))
    assert wrong.startswith(
        "Of 4 rows, the measured horizon of 3 is the predicted one; of 1 it is larger (`ks3`)."
    )
    farther = answer(summarize(stairs(horizons={**HORIZONS, "ks3": 7})))
    assert "is the predicted one; of 1 it is smaller (`ks3`)." in farther


def test_the_answer_says_which_horizons_luck_may_have_decided() -> None:
    """ks7 by hand: 100, 100 and 60 % are 86.7 on average, but 73.3 with the bad seed twice, one draw in four."""
    fallen = {**STAIRS, "ks7": [[20, 20, 20], [20, 20, 20], [4, 4, 4]]}
    text = answer(summarize(ladder(fallen, LAGS, horizons=HORIZONS)))
    assert text.startswith(
        "Every measured horizon is the predicted one (0: `tsn`; 2: `ks3`; ≥ 3: `ks5`, `ks7`). "
        "Resamples of seeds and clips leave that open for `ks7` [0, 3]. "
        "Of those that reach lag 3, `ks5` adds the fewest multiply-adds, 0.22 G, and `ks7` [0, 3] the most, 0.31 G."
    )
    assert "leave that open" not in answer(summarize(stairs(horizons={**HORIZONS, "ks3": 1})))


def test_the_answer_says_that_costs_are_of_other_networks_than_were_trained() -> None:
    """Costs of builders are of ResNet-50 at 224x224."""
    record = stairs()
    small = {name: one | {"data": {"crop": 16}} for name, one in record.settings.items()}
    words = "0.31 G (counted in the networks under Cost, not in those trained)."
    assert words in answer(summarize(dataclasses.replace(record, settings=small)))
    same = {name: one | {"data": {"crop": 224}} for name, one in record.settings.items()}
    assert "the most, 0.31 G." in answer(summarize(dataclasses.replace(record, settings=same)))


def test_what_adds_nothing_adds_the_fewest() -> None:
    rows = {"tsn": [[0, 0]] * 3, "tsm": [[20, 20]] * 3, "ks3": [[20, 20]] * 3}
    text = answer(summarize(ladder(rows, (1, 2), horizons={"tsn": 0, "tsm": 2, "ks3": 2})))
    assert (
        "Of those that reach lag 2, `tsm` adds the fewest multiply-adds, 0, and `ks3` the most, 0.13 G."
        in text
    )


def test_an_answer_names_few_rows_and_counts_many() -> None:
    """Seven rows that see nothing where lag 2 was predicted; whoever reads the answer first wants the number."""
    blind = {f"v{i}": [[0, 0]] * 3 for i in range(7)}
    horizons = {"tsn": 0} | dict.fromkeys(blind, 2)
    record = ladder({"tsn": [[0, 0]] * 3} | blind, (1, 2), horizons=horizons)
    assert "one; of 7 it is smaller (named below their table)." in answer(summarize(record))
    six = dataclasses.replace(record, horizons=horizons | {"v6": 0})
    assert "of 6 it is smaller (`v0`, `v1`, `v2`, `v3`, `v4`, `v5`)." in answer(summarize(six))


def test_a_mismatch_is_marked_in_the_table_and_warned_of(tmp_path: Path, no_figures: None) -> None:
    text = text_of(stairs(horizons={**HORIZONS, "ks3": 1, "ks5": None}), tmp_path)
    assert "| 1 | 2 [2, 2] ≠ |" in row_of(text, "ks3", "### Accuracy by lag")
    assert "| not stated | ≥ 3 [3, 3] |" in row_of(text, "ks5", "### Accuracy by lag")
    assert "**Not as predicted: `ks3` measured 2 [2, 2], predicted 1.**" in text
    assert "a fault of the operator, of its stated reach, or of the task" in text


def test_nothing_is_warned_of_where_all_is_as_predicted(page: str) -> None:
    assert "Not as predicted" not in page


def test_what_is_left_between_those_that_solve_a_level_is_said_only_where_it_is_shown(page: str) -> None:
    rows = {row[0]: row for row in table_of(page, "### Rows that solve a lag")[2:]}
    assert rows["1"][1] == "`ks3`, `ks5`, `ks7`"
    assert rows["3"][1] == "`ks5`, `ks7`"
    words = {lag: row[4] for lag, row in rows.items()}
    assert words == dict.fromkeys("123", "no difference larger than 15 points")
    (said,) = [line for line in page.splitlines() if line.startswith("Every measured horizon")]
    assert "At lag 1 to 3, the rows that solve it are shown to be no more than 15 points apart." in said
    assert said.count("that is not shown") == 0
    # 5 points below at lag 2 with a spread of 2.5: a margin of 6 is too tight there, and 20 pairs are few elsewhere
    tight = answer(summarize(stairs(margin=6.0)))
    assert "At no lag is it shown that the rows that solve it are no more than 6 points apart." in tight


def test_a_row_far_below_chance_is_named_for_what_it_does(tmp_path: Path, no_figures: None) -> None:
    """At lag 2 right about 10, 20 and 15 % of the clips, 15 ± 12.4: nobody guesses as badly."""
    record = stairs()
    wrong = {seed: {"lag/1": 40.0 - seed, "lag/2": low} for seed, low in enumerate((10.0, 20.0, 15.0))}
    trials = [
        dataclasses.replace(one, last=one.last | wrong[one.seed]) if one.variant == "ks3" else one
        for one in record.trials
    ]
    text = text_of(dataclasses.replace(record, trials=trials), tmp_path)
    assert "Far below chance: `ks3` at lag 2 (15.0 ± 12.4 %). Such a row does tell these clips apart" in text
    assert "Far below chance" not in text_of(record, tmp_path / "plain")


def test_without_a_margin_nothing_is_said_of_what_is_left(tmp_path: Path, no_figures: None) -> None:
    text = text_of(stairs(margin=0.0), tmp_path)
    assert "### Rows that solve" not in text
    assert "that solve it" not in text.split("## Results")[0]


def test_levels_that_are_no_distances_say_what_is_solved(tmp_path: Path) -> None:
    record = ladder({"tsn": [[0, 0]] * 3, "ks3": [[20, 0]] * 3}, (15, 50), level_name="contrast")
    trials = [
        dataclasses.replace(
            one, last={name.replace("lag", "contrast"): value for name, value in one.last.items()}
        )
        for one in record.trials
    ]
    text = text_of(dataclasses.replace(record, trials=trials), tmp_path)
    rows = table_of(text, "### Accuracy by contrast")
    assert rows[0] == ["variant", "seeds", "solved", "contrast 15 [%]", "contrast 50 [%]"]
    assert [row[2] for row in rows[2:]] == ["none", "15"]
    assert "`ks3` has the highest mean top-1" in text  # nothing predicted: the answer is that of any study


def test_numbers_of_levels_are_in_json_csv_and_latex(folder: Path) -> None:
    data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    horizon = data["ladder"]["curves"][1]["horizon"]
    assert horizon == {"predicted": 2, "expected": 2.0, "measured": 2.0, "low": 2.0, "high": 2.0}
    assert data["ladder"]["curves"][1]["by_seed"] == {"0": [100.0, 92.5, 50.0], "1": [100.0, 95.0, 50.0],
                                                      "2": [100.0, 97.5, 50.0]}  # fmt: skip
    assert data["record"]["horizons"] == HORIZONS
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert float(rows["ks3"]["lag/2_mean"]) == 95.0
    assert float(rows["ks3"]["pair_mean"]) == pytest.approx(100 * 38 / 60)
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        (trial,) = [row for row in csv.DictReader(file) if (row["variant"], row["seed"]) == ("ks3", "2")]
    assert float(trial["lag/2"]) == 97.5
    tables = (folder / "tables.tex").read_text(encoding="utf-8")
    assert r"\label{tab:kernel_sizes-levels}" in tables
    assert r"\textbf{95.0 [88.8, 100.0]}" in tables


def test_a_record_with_levels_comes_back_as_it_was(folder: Path) -> None:
    record = read_record(folder / "results.json")
    assert record.horizons == HORIZONS
    assert (record.level_name, record.chance) == ("lag", 50.0)
    assert record.trials[0].predictions["level"][:3] == [1, 1, 1]


def test_the_terminal_shows_levels_in_place_of_groups() -> None:
    table, lines = final_table(stairs())
    titles = [str(column.header) for column in table.columns]
    assert titles == ["variant", "top1 [%]", "lag 1", "2", "3", "vs tsn [points]", "MACs", "latency [ms]"]
    assert list(table.columns[3].cells) == ["50.0", "95.0", "100.0", "100.0"]
    assert not any("ceiling" in line for line in lines)


def test_a_task_that_is_too_easy_says_so() -> None:
    """Both always right; with the baseline below the others; and with one row that is neither."""
    easy = {"ks3": [[20, 20]] * 3, "ks5": [[20, 20]] * 3}
    record = ladder(easy, (1, 2), baseline="ks3")
    words = "is at the ceiling, 98 % or more at every lag: this task cannot tell"
    assert ceiling(summarize(record)) == f"Every row {words} them apart."
    assert f"Every row {words} them apart." in answer(summarize(record))
    assert f"Every row {words} them apart." in final_table(record)[1]
    low = {"tsn": [[0, 0]] * 3}
    assert ceiling(summarize(ladder(low | easy, (1, 2)))) == f"Every row but `tsn` {words} those apart."
    assert ceiling(summarize(ladder(easy | low, (1, 2), baseline="ks3"))) == ""
    assert ceiling(summarize(ladder(low | {"ks3": [[20, 20]] * 3}, (1, 2)))) == ""  # the two are apart


def test_levels_are_said_as_a_person_says_them() -> None:
    said = {
        "1 to 4": [1, 2, 3, 4],
        "1 and 2": [1, 2],
        "2": [2],
        "1 to 3 and 6": [1, 2, 3, 6],
        "1, 4 and 6": [1, 4, 6],
    }
    for words, levels in said.items():
        assert levels_in_words(levels, [1, 2, 3, 4, 5, 6]) == words


def test_operators_that_are_blind_to_order_are_named_where_they_stand(tmp_path: Path) -> None:
    record = stairs()
    settings = {name: {"model": {"operator": {"name": "shift"}}} for name in record.variants}
    settings["ks7"] = {"model": {"operator": {"name": "max_pool"}}}
    sentence = "Which way something moves, these cannot tell, however far they look: "
    page = (write_study(dataclasses.replace(record, settings=settings), tmp_path) / "README.md").read_text()
    assert f"{sentence}`ks7` (past and future alike)." in page
    assert sentence not in (write_study(record, tmp_path) / "README.md").read_text()


def test_rows_with_networks_of_their_own_are_compared_by_what_they_cost_in_all(tmp_path: Path) -> None:
    """ks7 in a network of 10 G and fewer parameters: its operator adds more than that of ks5, and it costs less."""
    record = stairs()
    small = dataclasses.replace(record.costs["ks7"], params_total=5_000_000, macs_total=10_000_000_000)
    record = dataclasses.replace(record, costs={**record.costs, "ks7": small})
    summary = summarize(record)
    text = answer(summary)
    assert "`ks7` takes the fewest multiply-adds, 10.00 G, and `ks5` the most, 32.92 G." in text
    page = text_of(record, tmp_path)
    assert "Top-1 accuracy against total MACs" in page
    assert "against added" not in page
    table, _ = final_table(record)
    cells = next(list(column.cells) for column in table.columns if column.header == "MACs")
    assert cells[-1] == "10.00 G"
