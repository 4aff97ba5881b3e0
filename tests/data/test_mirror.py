"""What becomes of a class in a mirror."""

import json

import pytest
from builders.place import ROOT

from harness.data.mirror import mirrored_classes, mirrored_text, swapped_pairs

REAL = ROOT.parent / "shared" / "data" / "annotations"

# The classes of the real lists that hold "left", "right" or a word with one of them inside, with their places:
# Something-Something in sorted order (v1 and v2 have the same 174 classes there), v1 and Jester in the file's order.
# Source: the publishers' files.
SOMETHING_SORTED = {
    86: "Pulling something from left to right",
    87: "Pulling something from right to left",
    93: "Pushing something from left to right",
    94: "Pushing something from right to left",
    166: "Turning the camera left while filming something",
    167: "Turning the camera right while filming something",
    50: "Plugging something into something but pulling it right out as you remove your hand",
    21: "Laying something on the table on its side, not upright",
    100: "Pushing something so that it slightly moves",
}
SOMETHING_V1_FILE = {2: SOMETHING_SORTED[166], 4: SOMETHING_SORTED[167]}
SOMETHING_V1_FILE |= {30: SOMETHING_SORTED[93], 41: SOMETHING_SORTED[94]}
SOMETHING_V1_FILE |= {52: SOMETHING_SORTED[87], 66: SOMETHING_SORTED[86], 104: SOMETHING_SORTED[50]}
JESTER_FILE = [
    *("Swiping Left", "Swiping Right", "Swiping Down", "Swiping Up", "Pushing Hand Away", "Pulling Hand In"),
    *("Sliding Two Fingers Left", "Sliding Two Fingers Right", "Sliding Two Fingers Down"),
    *("Sliding Two Fingers Up", "Pushing Two Fingers Away", "Pulling Two Fingers In", "Rolling Hand Forward"),
    *("Rolling Hand Backward", "Turning Hand Clockwise", "Turning Hand Counterclockwise"),
    *("Zooming In With Full Hand", "Zooming Out With Full Hand", "Zooming In With Two Fingers"),
    *(
        "Zooming Out With Two Fingers",
        "Thumb Up",
        "Thumb Down",
        "Shaking Hand",
        "Stop Sign",
        "Drumming Fingers",
    ),
    *("No gesture", "Doing other things"),
]


def with_others(named: dict[int, str], count: int = 174) -> list[str]:
    """The named classes at their places among others that name no direction."""
    return [named.get(place, f"Doing thing number {place}") for place in range(count)]


def test_the_swapped_classes_are_those_of_the_public_data_sets() -> None:
    assert swapped_pairs(with_others(SOMETHING_SORTED)) == [(86, 87), (93, 94), (166, 167)]
    assert swapped_pairs(with_others(SOMETHING_V1_FILE)) == [(2, 4), (30, 41), (52, 66)]
    assert swapped_pairs(JESTER_FILE) == [(0, 1), (6, 7), (14, 15)]


@pytest.mark.skipif(not REAL.is_dir(), reason="the publishers' own files are not here")
def test_the_swapped_classes_of_the_publishers_own_files() -> None:
    def lines(name: str) -> list[str]:
        return (REAL / name).read_text().split("\n")[:-1]

    v1, jester = lines("something-something-v1-labels.csv"), lines("jester-v1-labels.csv")
    v2 = list(json.loads((REAL / "something-something-v2-labels.json").read_text()))
    assert (len(v1), len(v2), jester) == (174, 174, JESTER_FILE)
    assert swapped_pairs(v1) == [(2, 4), (30, 41), (52, 66)]
    assert swapped_pairs(sorted(v1)) == swapped_pairs(sorted(v2)) == [(86, 87), (93, 94), (166, 167)]
    for named, classes in ((SOMETHING_SORTED, sorted(v1)), (SOMETHING_V1_FILE, v1)):
        for place, label in named.items():
            assert classes[place] == label


def test_a_label_whose_mirrored_text_is_no_class_keeps_its_class() -> None:
    classes = with_others(SOMETHING_SORTED)
    assert mirrored_classes(classes)[50] == 50
    assert mirrored_classes(["Turning left", "Going on"]) == [0, 1]


def test_every_class_is_itself_again_when_mirrored_twice() -> None:
    for classes in (JESTER_FILE, with_others(SOMETHING_SORTED), ["to left", "TO LEFT", "to right"]):
        there = mirrored_classes(classes)
        assert [there[place] for place in there] == list(range(len(classes)))


@pytest.mark.parametrize(
    ("label", "mirrored"),
    [
        ("Pulling something from left to right", "pulling something from right to left"),
        ("Turning Hand Clockwise", "turning hand counterclockwise"),
        ("turn anti-clockwise", "turn clockwise"),
        ("turn counter clockwise", "turn clockwise"),
        ("slide_left", "slide_right"),
        ("upright, bright, leftover", "upright, bright, leftover"),
    ],
)
def test_directions_are_words_and_not_parts_of_words(label: str, mirrored: str) -> None:
    assert mirrored_text(label) == mirrored


def test_the_generated_classes_have_their_mirror_twins() -> None:
    from harness.data.generated.scenes import CLASSES

    names = [kind.name for kind in CLASSES]
    pairs = [{names[a], names[b]} for a, b in swapped_pairs(names)]
    assert pairs == [
        {"slide_left", "slide_right"},
        {"rotate_clockwise", "rotate_counterclockwise"},
        {"step_left", "step_right"},
    ]
