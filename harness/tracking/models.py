"""Trained networks in the store, as models of MLflow's own: kept with their run, forgotten with it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.records import TrialRecord
from harness.tracking.descriptions import NOTE

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def keep(
    client: MlflowClient,
    experiment: str,
    run: str,
    record: TrialRecord,
    weights: Path,
    classes: list[str],
    settings: dict[str, Any],
) -> None:
    """Add a trial's network: on the run's page, and by its address in `mlflow.pyfunc.load_model`.

    Args:
        settings: the trial's, as nested dicts.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    from harness.tracking import network  # with torch

    forget(client, experiment, run)  # what a process left that was killed before it had closed the run
    model = client.create_logged_model(
        experiment,
        name=f"{record.variant}-s{record.seed}".replace(".", "_"),  # MLflow allows no dot
        source_run_id=run,
        model_type="MSTNet",
        params={"variant": record.variant, "seed": str(record.seed)},
    )
    note = network.card(f"models:/{model.model_id}", settings, classes)
    client.set_logged_model_tags(model.model_id, {NOTE: note})
    with tempfile.TemporaryDirectory() as scratch:
        network.save(Path(scratch) / "model", weights, settings, classes)
        client.log_model_artifacts(model.model_id, str(Path(scratch) / "model"))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run, [LoggedModelOutput(model.model_id, 0)])


def forget(client: MlflowClient, experiment: str, run: str) -> None:
    """Delete the networks of a run."""
    for model in client.search_logged_models([experiment], f"source_run_id = '{run}'"):
        client.delete_logged_model(model.model_id)
