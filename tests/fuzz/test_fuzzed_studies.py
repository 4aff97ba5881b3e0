"""Studies that make little sense are refused in words, or are studies."""

from __future__ import annotations

from pathlib import Path

from builders.fuzzed import SMALL, SPECIAL, STUDIES, refused_or_read, study_texts, text
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.study.load import load_studies, load_study
from harness.study.reading import read_yaml

FILE = "fuzzed.yaml"
OF = tuple(STUDIES) if settings.get_current_profile_name() == "long" else SMALL


@given(written=study_texts(OF))
def test_a_changed_study_is_refused_in_words_or_has_trials(written: str, folder: Path) -> None:
    file = folder / FILE
    file.write_text(written, encoding="utf-8", errors="surrogatepass")
    for study in refused_or_read(lambda: load_studies(file), FILE) or ():
        assert study.name
        assert set(study.differs()) == set(study.variants)
        trials = study.trials(dict.fromkeys(study.variants, "f"))
        assert len(trials) == len(study.variants) * len(study.seeds)


@given(written=st.binary(max_size=200) | st.text().map(lambda found: found.encode(errors="surrogatepass")))
def test_any_bytes_are_refused_in_words_or_are_a_mapping(written: bytes, folder: Path) -> None:
    file = folder / FILE
    file.write_bytes(written)
    assert isinstance(refused_or_read(lambda: read_yaml(file), FILE) or {}, dict)


@given(
    key=st.sampled_from(["train.epochs", "model.operator", "data.dataset", "cost", "seeds", "sweep", "tune"])
    | text(),
    value=st.sampled_from(SPECIAL) | text(),
)
def test_any_override_is_refused_in_words_or_taken(key: str, value: str, folder: Path) -> None:
    override = f"{key}={value}"
    study = refused_or_read(
        lambda: load_study(folder / "smoke.yaml", overrides=[override]), "--set", "smoke.yaml"
    )
    assert study is None or study.trials(dict.fromkeys(study.variants, "f"))
