"""What ends a run on a terminal: the table and the lines under it."""

from __future__ import annotations

import dataclasses
from typing import Any

from builders.studies import cost, failed, small_study, trial

from harness.report.terminal import final_table


def shown(record: Any) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The cells of each row by their titles, and the lines under the table."""
    table, lines = final_table(record)
    columns = {str(column.header): list(map(str, column.cells)) for column in table.columns}
    names = columns["variant"]
    return {
        name: {title: cells[at] for title, cells in columns.items()} for at, name in enumerate(names)
    }, lines


def test_a_doubtful_latency_is_marked_and_the_mark_is_explained() -> None:
    record = small_study()
    doubt = ["load: other processes used 1.9 of 2 cores meanwhile; stop them and measure again"]
    costs = {**record.costs, "ks3": dataclasses.replace(record.costs["ks3"], warnings=doubt)}
    rows, lines = shown(dataclasses.replace(record, costs=costs))
    assert (rows["tsn"]["latency [ms]"], rows["ks3"]["latency [ms]"]) == ("42", "42 ?")
    assert any(line.startswith("?: a doubtful latency") for line in lines)
    assert not any(line.startswith("?") for line in shown(record)[1])


def test_where_nothing_was_timed_there_is_no_column_of_latencies() -> None:
    costs = {name: cost(name, latency_ms=[], measured_on={}) for name in ("tsn", "ks3")}
    rows, _ = shown(dataclasses.replace(small_study(), costs=costs))
    assert list(rows["ks3"])[-1] == "MACs"
    costs["ks3"] = cost("ks3")
    rows, _ = shown(dataclasses.replace(small_study(), costs=costs))
    assert (rows["tsn"]["latency [ms]"], rows["ks3"]["latency [ms]"]) == ("not measured", "42")


def test_a_seed_that_failed_is_not_in_a_difference_and_is_said_with_its_reason() -> None:
    """tsn 20, 22, 24; ks3 70, -, 76 without its second seed: over the two that both have 50 and 52."""
    trials = [trial("tsn", seed, 20.0 + 2 * seed) for seed in (0, 1, 2)]
    trials += [trial("ks3", 0, 70.0), failed("ks3", 1), trial("ks3", 2, 76.0)]
    rows, lines = shown(dataclasses.replace(small_study(), trials=trials))
    assert rows["ks3"]["top1 [%]"] == "73.0 (n=2)"
    assert rows["ks3"]["vs tsn [points]"] == "+51.0 (n=2) too few seeds to tell"
    assert "failed   ks3 seed=1: out of memory at batch_size 64" in lines
