"""Whatever can be checked of a request before anything is written."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from harness.data.dataset import data_folder, missing_data
from harness.errors import DataError, Problems, StudyError, nearest
from harness.machine import usable_cpus
from harness.model import weights
from harness.outside import import_from
from harness.run import nodes, schedule
from harness.run.contract import check_operators
from harness.run.request import Request
from harness.shipped import study_file
from harness.study import tuning
from harness.study.load import load_studies
from harness.study.study import Study
from harness.train import apart
from operators import stencil

_PATIENCE = 150  # seconds for a cluster to answer


def checked_studies(request: Request) -> list[Study]:
    """The study that is asked for, or each of its parts with a variant that is; of a dry run only what it says is
    checked, and that operators keep the contract.

    Raises:
        UserError: the study, the choice of variants, the resources or the data folder cannot be used.
    """
    import_from(Path.cwd())
    file = study_file(request.study)
    studies = load_studies(file, preset=request.preset, overrides=request.overrides, parts=request.parts)
    known = {name for study in studies for name in study.names}
    problems = Problems()
    for name in request.variants:
        with problems.collect():
            if name not in known:
                raise StudyError(f"--variants: no variant {name!r}{nearest(name, known)}")
    if any(study.tune for study in studies) and tuning.SEED in request.seeds:
        with problems.collect():
            raise StudyError(f"--seeds {tuning.SEED}: with that seed values are tried; use another")
    problems.raise_any()
    studies = [study for study in studies if not request.variants or study.rows(request.variants)]
    for study in () if request.dry_run else studies:
        with problems.collect():
            _check_possible(study, request.address)
    with problems.collect():
        if not request.dry_run:
            check_writable(request.data_dir, f"--data-dir {request.data_dir}")
    problems.raise_any()
    if not request.unchecked:
        check_operators(studies, request.variants, trains=not request.dry_run)
    if request.address and not request.dry_run:
        _check_nodes(studies, request)
    return studies


def _check_nodes(studies: Sequence[Study], request: Request) -> None:
    """Refuse a cluster whose nodes are not as this machine, as far as a result depends on it."""
    each = [study.resources.resolved() for study in studies]
    settings = [settings for study in studies for settings in study.variants.values()]
    paths = {weights.find(*named) for one in settings for named in one.model.starts().values()}
    paths |= {folder for one in settings if (folder := data_folder(one.data))}
    with nodes.needs(request.data_dir, sorted(paths)) as needs:
        try:
            lines = apart.answer(schedule.lacking, request.address, each, needs, seconds=_PATIENCE)
        except apart.NoAnswerError as error:
            lines = [f"its nodes cannot be asked what they have: {error}"]
    if lines:
        raise StudyError("\n".join(f"--address {request.address}: {line}" for line in lines))


def _check_possible(study: Study, address: str) -> None:
    problems = Problems()
    with problems.collect():
        if address:
            schedule.check_address(address)
        else:
            study.resources.resolved().check({"cpus": usable_cpus(), "gpus": torch.cuda.device_count()})
        check_recipes(study, elsewhere=bool(address))
    for settings in study.variants.values():
        with problems.collect():
            for named, network in settings.model.starts().values():
                weights.find(named, network)
        with problems.collect():
            if gone := missing_data(settings.data):
                raise DataError(gone)
    problems.raise_any()


def check_recipes(study: Study, elsewhere: bool = False) -> None:
    """Refuse what the device that a study asks for cannot train.

    Args:
        elsewhere: on another machine, of which nothing is known.

    Raises:
        StudyError: a line for each rule that is broken, with the first variant that breaks it and the setting.
    """
    resources, broken = study.resources.resolved(), dict[str, str]()
    for name, settings in study.variants.items():
        try:
            settings.train.check(on_gpu=bool(resources.gpus), ranks=resources.ranks)
        except ValueError as error:
            broken.setdefault(f"train.{error}", name)
        if elsewhere or settings.model.stencil == stencil.AUTO:
            continue
        try:
            stencil.choose(settings.model.stencil, torch.device("cuda" if resources.gpus else "cpu"))
        except ValueError as error:
            broken.setdefault(f"model.stencil: {error}", name)
    if broken:
        raise StudyError(*(f"variants.{name}: {rule}" for rule, name in broken.items()))


def check_writable(folder: Path, option: str) -> None:
    """Refuse a folder where nothing can be made. Leaves nothing: a later check may refuse the request. Only trying
    tells, for root above all.

    Args:
        option: that names it.
    """
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise DataError(f"{option}: cannot be written: {there}: {error.strerror}") from None
