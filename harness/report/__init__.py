"""The reports of studies. `read_record` and `write_study` are the way in from Python.

They are imported when they are asked for: `python -m harness.report --help` must answer at once.
"""

from typing import Any

__all__ = ["read_record", "write_study"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from harness.report import write

        return getattr(write, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
