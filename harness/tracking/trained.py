"""Trained networks, by the names that people have for them: a run, a model, a folder, a study's variant."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

import yaml

from harness.errors import TrackingError, UserError, first_line, in_a_line, nearest
from harness.outside import blamed
from harness.study import untrusted
from harness.tracking.connection import KIND, Connection
from harness.tracking.network import SETTINGS, TrainedNetwork

NAMES = (
    "a run's id, a model's address (models:/m-...), STUDY/VARIANT, STUDY/VARIANT/SEED, or a model's folder"
)
"""What names a trained network."""


def load_trained(name: str, uri: str = "") -> TrainedNetwork:
    """A trained network, from the store or from a folder that MLflow wrote.

    Args:
        name: one of NAMES.
        uri: of the tracking store; the usual one without it. A folder needs none.

    Raises:
        TrackingError: there is no such network, it was not kept, is damaged, or its operator is not to be had.
    """
    if Path(name).is_dir():
        return _read(Path(name), name)
    connection = Connection.open(uri)
    with connection.named_errors(), tempfile.TemporaryDirectory() as scratch:
        return _fetch(connection, name, Path(scratch))


def _fetch(connection: Connection, name: str, scratch: Path) -> TrainedNetwork:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client = connection.client
    if name.startswith("models:/"):
        model = client.get_logged_model(name.removeprefix("models:/").strip("/"))
    else:
        run = _run_of(connection, name) if "/" in name else client.get_run(name)
        if not (kept := _kept(run)):
            raise TrackingError(
                f"{name}: its network was not kept; run its trial again with --force --networks all"
            )
        model = client.get_logged_model(kept[0].model_id)
    repository = get_artifact_repository(model.artifact_location, tracking_uri=connection.uri)
    folder = Path(repository.download_artifacts("", dst_path=str(scratch)))
    settings: dict[str, Any] | None = None
    if model.source_run_id and "settings" not in (folder / "data" / SETTINGS).read_text(encoding="utf-8"):
        # Written by an earlier version, which kept them with the run alone.
        file = client.download_artifacts(model.source_run_id, "settings.yaml", str(scratch))
        settings = untrusted.parse(Path(file).read_text(encoding="utf-8"))
    return _read(folder, name, settings)


def _run_of(connection: Connection, name: str) -> Any:
    """The finished run of `STUDY/VARIANT/SEED`; without a seed, of the first one whose network was kept."""
    study, variant, *rest = name.split("/")
    experiment_id = connection.summary(study).info.experiment_id
    query = f"tags.`{KIND}` = 'trial' and attributes.status = 'FINISHED'"
    runs = connection.runs(experiment_id, query)
    variants = {run.data.tags["variant"] for run in runs}
    if variant not in variants:
        raise TrackingError(f"{name}: no finished trial of {variant!r}{nearest(variant, variants)}")
    mine = {run.data.tags["seed"]: run for run in runs if run.data.tags["variant"] == variant}
    if rest and rest[0] not in mine:
        raise TrackingError(f"{name}: no finished trial of seed {rest[0]}; known: {', '.join(sorted(mine))}")
    if rest:
        return mine[rest[0]]
    seeds = sorted(mine, key=int)
    return next((mine[seed] for seed in seeds if _kept(mine[seed])), mine[seeds[0]])


def _kept(run: Any) -> list[Any]:
    """The networks that were kept of a run: one or none."""
    return list(run.outputs.model_outputs) if run.outputs else []


def _read(folder: Path, name: str, settings: dict[str, Any] | None = None) -> TrainedNetwork:
    if not (folder / "data" / SETTINGS).is_file():
        raise TrackingError(f"{name}: is no trained network of this project (it has no data/{SETTINGS})")
    try:
        return TrainedNetwork(folder / "data", settings)
    except (OSError, KeyError, TypeError, yaml.YAMLError, EOFError) as error:
        raise TrackingError(f"{name}: cannot be read ({in_a_line(error)}); is it damaged?") from None
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise TrackingError(
            f"{name}: its weights do not fit its settings ({in_a_line(error)}); was its operator changed since?"
        ) from None
    except (ValueError, UserError) as error:  # in words of ours: no such operator, or not with these settings
        raise TrackingError(f"{name}: its operator: {first_line(error)}") from None
    except Exception as error:  # whatever a user's own operator does when it is imported or made
        raise TrackingError(f"{name}: its operator: {blamed(error)}") from None
