"""Costs in words: the same numbers on a terminal and on a page."""

from __future__ import annotations

import dataclasses

import pytest
from builders.studies import cost

from harness.units import geometry, geometry_of_macs, geometry_on_page, giga, macs


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (179_830_784, "+0.18 G"),
        (0, "+0"),
        (1_234_567, "+1.23 M"),
        (4_096, "< 0.01 M"),
        (None, "not stated"),
        (74_300_000_000, "+74.30 G"),
    ],
)
def test_macs_are_printed_in_giga_or_mega(value: int | None, text: str) -> None:
    assert macs(value, sign="+") == text


def test_a_column_of_giga_macs_has_bare_numbers() -> None:
    assert giga(32_699_940_864) == "32.70"
    assert giga(134_873_088, "+.5f") == "+0.13487"
    assert giga(None) == "not stated"


def test_a_geometry_reads_as_its_place_needs_it() -> None:
    one = cost("tsn")
    assert geometry([one]) == "at resnet50, 8 frames of 224x224, 174 classes"
    assert geometry_of_macs([one]) == "at resnet50, 224x224, 8 frames"
    assert geometry_on_page([one, one]) == "ResNet-50, 8 frames, 224x224 pixels"


def test_what_differs_between_variants_is_named() -> None:
    one = cost("tsn")
    longer = dataclasses.replace(one, geometry=one.geometry | {"num_frames": 16, "backbone": "resnet18"})
    assert geometry_on_page([one, longer]) == (
        "each variant's own backbone, each variant's own number of frames, 224x224 pixels"
    )
    placed = dataclasses.replace(one, geometry=one.geometry | {"stages": [2, 3]})
    assert geometry_on_page([placed]) == "ResNet-50, 8 frames, 224x224 pixels, operators in stages 2, 3"
    frames = dataclasses.replace(one, geometry=one.geometry | {"num_frames": 16})
    assert geometry_of_macs([one, frames]) == "at resnet50, 224x224, each row's own frames"
    assert geometry([one, frames]) == "at resnet50, each row's own frames of 224x224, 174 classes"
