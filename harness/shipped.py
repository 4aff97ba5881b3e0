"""Studies and published tables that come with the project; in a clone they lie in `studies/`, installed in here."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent

FOLDER = next((folder for folder in (_HERE / "studies", _HERE.parent / "studies") if folder.is_dir()), _HERE)
"""Where they lie."""

TABLES = "paper_tables.yaml"
"""The file of published numbers, which is no study."""


def studies() -> list[str]:
    """Names of all studies that come with the project, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path.name != TABLES)


def study_file(text: str) -> Path:
    """The file that a command line means: the one of that path, or else the shipped one of that name.

    `smoke`, `smoke.yaml` and `studies/smoke.yaml` all name the shipped study where no such file is there. What is
    neither is given back as it stands: who reads it says that it is missing.
    """
    path = Path(text)
    named = path.name.removesuffix(".yaml")
    alone = path.parent in (Path(), Path("studies"))
    return FOLDER / f"{named}.yaml" if not path.is_file() and alone and named in studies() else path


def taken(text: str, file: Path) -> str:
    """That a shipped study is taken, in words: a path was perhaps meant to be another file."""
    if Path(text).suffix:
        return f"no file {text} here; taking the one that comes with mixtbench: {file}"
    return f"{text} comes with mixtbench: {file}"
