"""The paper's studies: each dry run of `--preset paper` states the paper's protocol, costs and needs, without data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from builders.place import ROOT, Outcome, Workplace

from harness.published import load_reference
from harness.study.load import load_studies


@dataclass(frozen=True)
class Expected:
    """parts: data sets by part ("" where there are none). gmacs: total and added, of FACTS section 1."""

    parts: dict[str, str]
    trials: str
    test: str
    gmacs: dict[str, tuple[str, str]]
    frames: str = "8"


CENTRE = "center_1clip: 1 clip a video, short side 256, centre 224x224, 1 view"
FULL = "fullres_2clip: 2 clips a video, short side 256, left, centre and right 256x256, 6 views, "

STUDIES = {
    "table1_baseline": Expected(
        {"something_v1": "something_v1", "something_v2": "something_v2", "jester": "jester"},
        "2 variants x 3 seeds = 6 trials",
        FULL,
        {"tsn": ("32.70", "+0.00000"), "mstnet": ("32.88", "+0.17983")},
    ),
    "kernel_sizes": Expected(
        {"": "something_v1"},
        "10 variants x 3 seeds = 30 trials",
        CENTRE,
        {
            "tsn": ("32.70", "+0.00000"),
            "tsm": ("32.70", "+0.00000"),
            "ks3": ("32.83", "+0.13487"),
            "ks5": ("32.92", "+0.22479"),
            "ks7": ("33.01", "+0.31470"),
            "ks13": ("32.79", "+0.08992"),
            "ks135": ("32.83", "+0.13455"),
            "ks1357": ("32.88", "+0.17983"),
            "ks357": ("32.83", "+0.13487"),
        },
    ),
    "placement": Expected(
        {"": "something_v1"},
        "3 variants x 3 seeds = 9 trials",
        CENTRE,
        {"inner": ("32.76", "+0.06101"), "head": ("32.88", "+0.17983")},
    ),
    "state_of_the_art": Expected(
        {"something_v1": "something_v1", "something_v2": "something_v2"},
        "5 variants x 3 seeds = 15 trials",
        CENTRE,
        # 16 frames: twice 32,699,940,864 (with the classifier of 174), and 0.3597 G of taps
        {
            "tsn": ("32.70", "+0.00000"),
            "tsm_8f": ("32.70", "+0.00000"),
            "tsm_16f": ("65.40", "+0.00000"),
            "mstnet_8f": ("32.88", "+0.17983"),
            "mstnet_16f": ("65.76", "+0.35966"),
        },
        "8 or 16",
    ),
    "jester": Expected(
        {"": "jester"},
        "6 variants x 3 seeds = 18 trials",
        CENTRE,
        {
            "tsn_8f": ("32.70", "+0.00000"),
            "tsn_16f": ("65.40", "+0.00000"),
            "tsm_8f": ("32.70", "+0.00000"),
            "tsm_16f": ("65.40", "+0.00000"),
            "mstnet_8f": ("32.88", "+0.17983"),
            "mstnet_16f": ("65.75", "+0.35966"),
        },
        "8 or 16",
    ),
}

RECIPE = (
    "sgd with momentum 0.9, lr 0.01 (x0.1 at epochs 30, 40, 45), weight decay 0.0005, ",
    "resnet50, operators at ",
    "dropout 0.5, weights: imagenet, not on this machine",
    "short side 256, corner crops of 1, 0.875, 0.75, 0.66 times the short side, to 224x224\n",
    "no training clip is mirrored",
    "one from each of T equal segments: at random in training",
    "64 clips, shared out among 8 processes",
    " 50; results are those of the last one",
)


@pytest.fixture
def bare(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A machine with neither data nor weights."""
    for name in ("MIXTBENCH_DATASETS", "MIXTBENCH_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(place.folder / "no-such-folder"))
    return place


def dry_run(place: Workplace, name: str) -> Outcome:
    return place.run(ROOT / "studies" / f"{name}.yaml", "--preset", "paper", "--dry-run")


@pytest.mark.parametrize("name", STUDIES)
def test_a_dry_run_plans_a_table_of_the_paper_on_a_machine_that_has_nothing(
    name: str, bare: Workplace
) -> None:
    expected, outcome = STUDIES[name], dry_run(bare, name)
    assert outcome.code == 0, outcome.err
    plans = outcome.out.split("study    ")[1:]
    assert len(plans) == len(expected.parts)
    for (part, dataset), text in zip(expected.parts.items(), plans, strict=True):
        assert text.startswith(f"{name}-paper-{part}: " if part else f"{name}-paper: ")
        assert f"plan     {expected.trials}; 0 done before, " in text
        assert f"data     {dataset} (not on this machine)\n" in text
        lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
        assert ", with 3 seeds and 11,522 validation clips (assumed) at 80 % power" in text
        assert lines["frames"].split(maxsplit=1)[1].startswith(f"{expected.frames} a clip (T), ")
        assert expected.test in lines["test"]
        for words in RECIPE:
            assert words in text
        rows = {line.split()[0]: line.split()[-6:] for line in text.splitlines() if " +" in line}
        assert {row: (rows[row][3], rows[row][4]) for row in expected.gmacs} == expected.gmacs
        assert all(
            row[0] == "3" and int(row[5].replace(",", "")) > 5000 for row in rows.values()
        )  # seeds, MiB
        missing = [line for line in text.splitlines() if line.startswith("missing  ")]
        assert missing[0].startswith(f"missing  data: where is {dataset}? Set ")
        assert "no resnet50-0676ba61.pth or resnet50-11ad3fa6.pth in " in missing[1]
        assert [
            line for line in missing if "GPUs: resources.gpus: 8 asked for each trial, but there are " in line
        ]
        assert "dry run: nothing was trained, nothing was written" in text
    assert list(bare.folder.iterdir()) == []


def test_a_run_without_data_is_refused_in_one_line_and_writes_nothing(bare: Workplace) -> None:
    study = ROOT / "studies" / "placement.yaml"
    given = ["--set", "resources.gpus=0", "--set", "resources.cpus=1", "--set", "model.weights=''"]
    outcome = bare.run(study, "--preset", "paper", *given)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
    assert outcome.err.startswith("error: where is something_v1? Set ")
    assert list(bare.folder.iterdir()) == []


@pytest.mark.parametrize("name", STUDIES)
def test_every_row_that_shares_the_papers_name_is_quoted_under_the_studys_protocol(name: str) -> None:
    for study in load_studies(ROOT / "studies" / f"{name}.yaml", preset="paper"):
        table = load_reference(study.reference)
        assert set(study.variants) & set(table["rows"]) >= set(STUDIES[name].gmacs)
        for settings in study.variants.values():
            assert settings.data.dataset == table["dataset_key"]
        clips = settings.data.test.resolved().clips
        assert table["protocol"].startswith(f"{clips} clip") or f" {clips} clip" in table["protocol"]


def test_the_studies_name_no_place_of_this_or_any_machine() -> None:
    for path in Path(ROOT / "studies").glob("*.yaml"):
        assert "root:" not in path.read_text()
