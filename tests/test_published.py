"""The published numbers: every row against the paper's own lines, and what reports may say of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from builders.place import ROOT
from builders.studies import ADDED, TAP

from harness.cost.config import CostConfig
from harness.cost.counting import count
from harness.errors import StudyError
from harness.model.config import ModelConfig
from harness.published import added_gmacs, is_reproduced, load_reference, others, published_row, same_geometry

# Lines as the paper prints them. A row's numbers stand in this order; "-" is a number that the paper does not give.
TABLE1 = {
    "something_v1": {"tsn": "TSN[3] 8 20.5 47.5", "mstnet": "Ours 3 48.1 77.3"},
    "something_v2": {"tsn": "TSN[3] 8 30.4 61.0", "mstnet": "Ours 3 61.8 87.8"},
    "jester": {"tsn": "TSN[3] 8 83.9 99.6", "mstnet": "Ours 3 96.9 99.9"},
}
TABLE2 = {
    "tsn": "TSN(baseline)[3] - - 8 19.7 33G",
    "ordinary": "TSN+Ordinary 1D 3 1 3 41.0 43G",
    "tsm": "TSM*[12] 3* 1 8 45.6 33G",
    "ks3": "TSN+ks3 3 1 3 45.9 33.13G",
    "ks5": "TSN+ks5 5 1 3 46.3 33.23G",
    "ks7": "TSN+ks7 7 1 3 45.8 33.32G",
    "ks13": "TSN+ks13 1,3 1 3 45.8 33.09G",
    "ks135": "TSN+ks135 1,3,5 1 3 46.4 33.13G",
    "ks1357": "TSN+ks1357 1,3,5,7 1 3 46.7 33.18G",
    "ks357": "TSN+ks357 3 1,2,3 3 46.4 33.13G",
}
TABLE3 = {
    "inner": "MST Block inner after 1x1 45.8 74.4 33.05G",
    "head": "MST Block head before 1x1 46.7 75.6 33.18G",
}
TABLE4 = {
    "tsn_bninception": "BNIception RGB 8 10.7M 16G 19.5 - - -",
    "tsn": "ResNet-50 RGB 8 24.3M 33G 19.7 46.6 27.8 57.6",
    "trn_multiscale": "BNInception RGB 8 18.3M 16G 34.4 - 44.8 77.6",
    "trn_two_stream": "BNInception RGB+Flow 8+8 36.6M - 42.0 - 55.5 83.1",
    "i3d": "3D ResNet-50 RGB 32×2clips 28.0M 153G×2 41.6 72.2 - -",
    "nl_i3d": "3D ResNet-50 RGB 32×2clips 35.3M 168G×2 44.4 76.0 - -",
    "nl_i3d_gcn": "3D ResNet-50+GCN RGB 32×2clips 62.2M 303G×2 46.1 76.8 - -",
    "eco_8f": "BNInc∗+Res3D18∗ RGB 8 47.5M 32G 39.6 - - -",
    "eco_16f": "BNInc∗+Res3D18∗ RGB 16 47.5M 64G 41.4 - - -",
    "eco_en_lite": "BNInc∗+Res3D18∗ RGB 92 150M 267G 46.4 - - -",
    "tsm_8f": "ResNet-50 RGB 8 24.3M 33G 45.6 74.2 58.7* 85.4",
    "tsm_16f": "ResNet-50 RGB 16 24.3M 65G 47.2 77.1 61.0* 86.8",
    "mstnet_8f": "MSTNet ResNet-50 RGB 8 24.3M 33.2G 46.7 75.4 59.5 86.0",
    "mstnet_16f": "MSTNet ResNet-50 RGB 16 24.3M 65.3G 48.4 78.8 61.8 87.3",
}
TABLE5 = {
    "tsn_8f": "TSN[3] RGB 8 33G 81.0 99.0",
    "tsn_16f": "TSN[3] RGB 16 65G 82.3 99.2",
    "trn_multiscale": "TRN-MS*[4] RGB 8 16G 93.7 -",
    "tsm_8f": "TSM*[12] RGB 8 33G 94.5* 99.7",
    "tsm_16f": "TSM*[12] RGB 16 65G 95.3* 99.8",
    "mstnet_8f": "MSTNet RGB 8 33.2G 96.0 99.8",
    "mstnet_16f": "MSTNet RGB 16 65.3G 96.8 99.8",
}

WHERE: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {  # table -> its lines, what their last words are
    **{f"table1.{key}": (rows, ("top1", "top5")) for key, rows in TABLE1.items()},
    "table2": (TABLE2, ("top1", "gmacs")),
    "table3": (TABLE3, ("top1", "top5", "gmacs")),
    "table4.something_v1": (TABLE4, ("frames", "params_m", "gmacs", "top1", "top5", "", "")),
    "table4.something_v2": (TABLE4, ("frames", "params_m", "gmacs", "", "", "top1", "top5")),
    "table5": (TABLE5, ("frames", "gmacs", "top1", "top5")),
}


def printed(line: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The numbers at the end of a line; `clips` from "32x2clips"."""
    numbers: dict[str, Any] = {}
    for name, word in zip(names, line.split()[-len(names) :], strict=True):
        if not name or word == "-":
            continue
        word, _, clips = word.partition("×")
        if name == "frames":
            numbers["frames"] = word
            if clips:
                numbers["clips"] = int(clips.removesuffix("clips"))
        else:
            numbers[name] = float(word.rstrip("MG*"))
    return numbers


@pytest.mark.parametrize("name", WHERE)
def test_every_number_of_every_table_is_the_papers(name: str) -> None:
    lines, names = WHERE[name]
    keys = ("frames", "clips", "params_m", "gmacs", "top1", "top5")
    rows = load_reference(f"mixtconv.{name}")["rows"]
    ours = {row: {key: numbers[key] for key in keys if key in numbers} for row, numbers in rows.items()}
    expected = {row: printed(line, names) for row, line in lines.items()}
    assert ours == {row: numbers for row, numbers in expected.items() if "top1" in numbers}


PAPER = ROOT.parent / "shared" / "paper" / "mixtconv.txt"


@pytest.mark.skipif(not PAPER.exists(), reason="the paper's text is not here")
def test_these_lines_are_the_papers() -> None:
    text = PAPER.read_text()
    # Table 1 prints its "v1" and "v2" between the rows, and a row's gain right behind the one below it.
    text = re.sub(r"\+(27\.6|31\.4|13\.0)", "\n", text)
    for rows in (*TABLE1.values(), TABLE2, TABLE3, TABLE4, TABLE5):
        for line in rows.values():
            assert line in text, line


def test_rows_with_8_and_16_frames_are_compared_at_their_own_frames() -> None:
    table = load_reference("mixtconv.table4.something_v1")
    clip = {"backbone": "resnet50", "placement": "head", "size": 224, "num_classes": 174}
    assert same_geometry(table, clip | {"num_frames": 8}, "mstnet_8f")
    assert not same_geometry(table, clip | {"num_frames": 8}, "mstnet_16f")
    assert same_geometry(table, clip | {"num_frames": 16}, "mstnet_16f")
    assert added_gmacs(table, "mstnet_16f") == pytest.approx((0.3, 0.1))
    assert is_reproduced(
        table, "mstnet_16f", 359_661_568
    )  # 2 x 44,957,696 taps on each quarter x (1+3+5+7)/4
    assert not is_reproduced(table, "mstnet_16f", 100_000_000)
    assert added_gmacs(table, "eco_8f") is None


def test_a_row_is_of_the_placement_that_the_paper_has() -> None:
    """The paper puts its operators before a block's first convolution (Sec. 3.3), but for one row of Table 3."""
    clip = {"backbone": "resnet50", "num_frames": 8, "size": 224, "num_classes": 174}
    for name in ("table2", "table4.something_v1", "table5"):
        table = load_reference(f"mixtconv.{name}")
        rows = {row for row in table["rows"] if not row.startswith("tsn")}
        assert not [row for row in rows if same_geometry(table, clip | {"placement": "inner"}, row)]
        assert not [row for row in rows if published_row(table, row, "inner")]
        assert all(published_row(table, row, "head") for row in rows)
    table2, table3 = load_reference("mixtconv.table2"), load_reference("mixtconv.table3")
    for placement in ("head", "inner"):  # a network without an operator has none that could stand elsewhere
        assert same_geometry(table2, clip | {"placement": placement}, "tsn")
        assert published_row(table2, "tsn", placement)["top1"] == 19.7
        assert same_geometry(table3, clip | {"placement": placement}, placement)
    assert not same_geometry(table3, clip | {"placement": "head"}, "inner")
    assert published_row(table2, "ks3", None) == published_row(table2, "ks3", "head") != {}


def test_rows_that_a_study_does_not_measure_are_quoted_by_their_names() -> None:
    table = load_reference("mixtconv.table4.something_v1")
    measured = ["tsn", "tsm_8f", "tsm_16f", "mstnet_8f", "mstnet_16f"]
    rest = others(table, measured)
    assert [*rest] == [name for name in TABLE4 if name not in measured]
    assert all(row["method"] for row in rest.values())


def test_what_the_paper_states_and_arithmetic_does_not_give_is_marked() -> None:
    claims = load_reference("mixtconv.table4.something_v2")["claims"]
    assert claims == [
        "Table 4: 24.3 M parameters of TSN, TSM and MSTNet on ResNet-50; not reproduced: computed 23.86 M (MSTNet "
        "23.92 M) with 174 classes, as both data sets have; 24.33 M would be 400 classes.",
        "Sec. 4.3: 0.005 % more computation than TSM; not reproduced: computed 0.55 % (0.1798 G on 32.70 G).",
    ]
    assert load_reference("mixtconv.table2")["claims"] == []
    mixtconv = ModelConfig(operator={"name": "mixtconv", "kernel_sizes": [1, 3, 5, 7]})
    tsn, mstnet = count(CostConfig(), ModelConfig(), 8), count(CostConfig(), mixtconv, 8)
    wide = count(CostConfig(num_classes=400), ModelConfig(), 8)
    assert [f"{r.params_total / 1e6:.2f}" for r in (tsn, mstnet, wide)] == ["23.86", "23.92", "24.33"]
    assert mstnet.macs_added is not None
    assert tsn.macs_total is not None
    assert f"{100 * mstnet.macs_added / tsn.macs_total:.2f} %" == "0.55 %"


def test_numbers_from_elsewhere_name_their_source_and_protocol() -> None:
    found = {
        name: load_reference(f"mixtconv.table1.{name}")["elsewhere"]
        for name in ("something_v1", "something_v2", "jester")
    }
    assert [one["top1"] for one in found["something_v1"]] == [47.2, 45.58, 47.10, 47.85]
    assert [one["top1"] for one in found["something_v2"]] == [61.2]
    assert [one["top1"] for one in found["jester"]] == [97.0]
    assert all(one["source"] and one["protocol"] for table in found.values() for one in table)
    assert load_reference("mixtconv.table5")["elsewhere"] == found["jester"]


def test_an_unknown_reference_offers_the_nearest() -> None:
    with pytest.raises(StudyError, match=r"no table 'mixtconv.tabel2' .*did you mean 'mixtconv.table2'"):
        load_reference("mixtconv.tabel2")


def test_only_ordinary_and_inner_are_not_reproduced() -> None:
    """FACTS section 1, exact added MACs; ordinary at its nearest candidate, `inner`."""
    table2, table3 = load_reference("mixtconv.table2"), load_reference("mixtconv.table3")
    computed = {**ADDED, "ordinary": 7_707_000_000}
    assert [v for v in TABLE2 if not is_reproduced(table2, v, computed[v])] == ["ordinary"]
    assert is_reproduced(table3, "head", 4 * TAP) is True
    assert is_reproduced(table3, "inner", 4 * 15_253_504) is False
    assert is_reproduced(table2, "ks3", None) is None
    assert is_reproduced(table2, "my_own", 5) is None


def test_the_unit_of_the_last_digit_is_the_printed_one() -> None:
    table = load_reference("mixtconv.table2")
    assert added_gmacs(table, "ordinary") == (10, 1.0)
    added, unit = added_gmacs(table, "ks5") or (0, 0)
    assert (round(added, 9), unit) == (0.23, 0.01)
