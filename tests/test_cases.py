"""Inputs that failed, from public bug reports: which test runs each kind, or why none does."""

from __future__ import annotations

import re

import pytest
from builders.place import ROOT

REPORTED = ROOT.parent / "shared" / "cases" / "README.md"

CASES: dict[str, list[str] | str] = {
    "01": ["run/test_verified.py: test_weights_that_are_no_numbers_fail_the_trial_as_diverged"],
    "02": [
        "data/test_orientation.py: test_a_video_is_upright_whoever_decodes_it",
        "data/test_orientation.py: test_a_matroska_file_is_turned_too",
        "data/test_orientation.py: test_the_reported_phone_videos_agree",
        "data/test_orientation.py: test_a_picture_is_shown_as_its_exif_orientation_says",
    ],
    "03": [
        "data/test_picture_files.py: test_sixteen_bit_grey_is_scaled_and_keeps_its_levels",
        "data/test_pixels.py: test_a_ramp_of_64_levels_keeps_them_at_any_depth",
        "data/test_pixels.py: test_ten_bits_are_the_same_colours_in_every_container",
    ],
    "04": [
        "data/test_picture_files.py: test_a_damaged_jpeg_is_unreadable",
        "data/test_picture_files.py: test_the_reported_jpeg_is_unreadable",
    ],
    "05": "names a working directory, which no data set sees: the tracking store's, in tests/tracking",
    "06": [
        "run/test_verified.py: test_a_changed_helper_of_an_own_operator_is_named_and_its_trials_are_run_again"
    ],
    "07": "is an experiment of another program, which no data set sees: the tracking store's, in tests/tracking",
    "08": "is what MLflow takes for a name, which no data set sees: the tracking store's, in tests/tracking",
    "10": ["data/test_copies.py: test_folders_whose_validation_is_a_copy_of_training_are_named_pair_by_pair"],
    "12": [
        "data/test_layout.py: test_folders_read_every_ending_that_a_list_reads",
        "data/test_layout.py: test_the_reported_videos_are_clips_of_folders",
    ],
    "13": [
        "data/test_layout.py: test_other_names_of_pictures_are_said_once_with_the_settings_that_read_them"
    ],
    "14": [
        "data/test_layout.py: test_one_class_is_refused",
        "report/test_tables.py: test_table_of_a_small_study_equals_one_computed_by_hand",
    ],
    "15": [
        "data/test_layout.py: test_one_label_far_beyond_the_others_is_a_problem_of_its_line",
        "data/test_layout.py: test_the_reported_list_is_a_problem",
    ],
}
"""By the number of the report."""


@pytest.mark.parametrize("case", CASES)
def test_a_reported_case_is_run_by_tests_that_are_there(case: str) -> None:
    named = CASES[case]
    for place in named if isinstance(named, list) else ():
        file, test = place.split(": ")
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), place


@pytest.mark.skipif(not REPORTED.exists(), reason="the reported files are not here")
def test_no_reported_case_is_forgotten() -> None:
    assert set(re.findall(r"^\| (\d+) ", REPORTED.read_text(), re.MULTILINE)) == CASES.keys()
