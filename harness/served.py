"""The old address of `harness.tracking.served`: networks that earlier versions gave to MLflow name it."""

from harness.tracking.served import Served, _load_pyfunc

__all__ = ["Served", "_load_pyfunc"]
