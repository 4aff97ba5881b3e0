"""A study's results in Python: its table, its predictions, its trained networks.

from harness.results import load
load("kernel_sizes-reach").table()
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.summary import summarize
from harness.errors import StudyError, TrackingError
from harness.records import StudyRecord
from harness.report.export import variant_numbers
from harness.report.write import NUMBERS, read_record
from harness.tracking.store import Store

if TYPE_CHECKING:
    import pandas

    from harness.tracking.network import TrainedNetwork


def load(name: str, tracking_uri: str = "") -> Results:
    """A study of a tracking store, or of a report's folder, which needs no store.

    Args:
        name: a study in the store; or a report's folder, or its `results.json`.
        tracking_uri: of the store; the usual one without it.

    Raises:
        UserError: there is no such study, file or store, or it cannot be read.
    """
    return Results(find_record(name, tracking_uri), tracking_uri, stored=not Path(name).exists())


def find_record(name: str, tracking_uri: str = "") -> StudyRecord:
    """The record of `load`."""
    path = Path(name)
    if path.exists():
        return read_record(path / NUMBERS if path.is_dir() else path)
    if path.suffix or len(path.parts) > 1:
        raise StudyError(f"{name}: there is no such file or folder")
    return Store.open(tracking_uri).load_study(name)


class Results:
    """Make one with `load`.

    Attributes:
        record: all that was kept of the study.
    """

    def __init__(self, record: StudyRecord, tracking_uri: str, *, stored: bool) -> None:
        self.record = record
        self._uri, self._stored = tracking_uri, stored

    def table(self) -> pandas.DataFrame:
        """One row a variant, indexed by its name, with the columns of a report's `results.csv`: means, intervals,
        differences to the baseline, verdicts, costs. What is not known is missing (NaN)."""
        import pandas

        summary = summarize(self.record)
        return pandas.DataFrame([variant_numbers(summary, row) for row in summary.rows]).set_index("variant")

    def predictions(self) -> pandas.DataFrame:
        """One row a validation clip of every finished trial: `variant`, `seed`, `clip`, `cluster` (clips with the same
        one are not independent), `label` and `predicted` (names of classes), `right`, and `level` where clips have
        one. `harness.report --predictions` reads it back from a CSV."""
        import pandas

        names = dict(enumerate(self.record.classes))
        frames = []
        for trial in self.record.trials:
            if trial.status == "done" and trial.predictions:
                frame = pandas.DataFrame(trial.predictions)
                frame.insert(0, "variant", trial.variant)
                frame.insert(1, "seed", trial.seed)
                frame.insert(len(frame.columns), "right", frame["label"] == frame["predicted"])
                frames.append(frame.assign(**{key: frame[key].map(names) for key in ("label", "predicted")}))
        if not frames:
            raise StudyError(f"{self.record.name}: no finished trial kept its predictions")
        return pandas.concat(frames, ignore_index=True)

    def network(self, variant: str, seed: int | None = None) -> TrainedNetwork:
        """A trained network, on the CPU; without a seed, of the first one whose network was kept.

        Raises:
            TrackingError: there is none, it was not kept, or the study was read from a folder.
        """
        from harness.tracking.trained import load_trained

        if not self._stored:
            raise TrackingError(
                f"{self.record.name}: a report's folder holds no networks; load it from its store"
            )
        name = f"{self.record.name}/{variant}" + ("" if seed is None else f"/{seed}")
        return load_trained(name, self._uri)
