"""One process runs a trial at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import StudyError
from harness.study.study import Trial

try:
    import fcntl
except ImportError:  # Windows: nobody watches for a second process
    fcntl = None  # type: ignore[assignment]


@contextmanager
def claimed(trials: Iterable[Trial], data_dir: Path) -> Iterator[None]:
    """Meanwhile no other process that uses this data folder runs one of these trials, for whatever study or store.

    Raises:
        StudyError: another one does.
    """
    with (data_dir / "trials.lock").open("w") as file:
        for trial in trials if fcntl else ():
            try:  # one file for all trials: a byte's place is its trial's id
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(trial.trial_id[:15], 16))
            except (BlockingIOError, PermissionError):
                raise StudyError(
                    f"{trial.variant} seed={trial.seed} is being run by another process; "
                    "wait for it, or choose others with --variants or --seeds"
                ) from None
        yield
