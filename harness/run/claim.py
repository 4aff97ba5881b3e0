"""One process runs a trial at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.errors import StudyError
from harness.study.study import Trial

try:
    import fcntl
except ImportError:  # Windows: nobody watches for a second process
    fcntl = None  # type: ignore[assignment]


@contextmanager
def claimed(trials: Iterable[Trial], locks: Sequence[Path]) -> Iterator[None]:
    """Meanwhile no other process that uses one of these files runs one of these trials.

    Args:
        locks: one for the data folder, whatever the study or store; and one for a store that is a file, whatever the
            data folder. Drivers that share a server find each other's trials there.

    Raises:
        StudyError: another one does.
    """
    trials = list(trials)
    with ExitStack() as stack:
        for lock in locks:
            file = stack.enter_context(lock.open("w"))
            for trial in trials if fcntl else ():
                try:  # one file for all trials: a byte's place is its trial's id
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(trial.trial_id[:15], 16))
                except (BlockingIOError, PermissionError):
                    raise StudyError(
                        f"{trial.variant} seed={trial.seed} is being run by another process; "
                        "wait for it, or choose others with --variants or --seeds"
                    ) from None
        yield
