"""Where MLflow looks for the loader of networks that earlier versions saved: their models name this module."""

from harness.tracking.network import _load_pyfunc

__all__ = ["_load_pyfunc"]
