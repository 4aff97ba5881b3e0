"""What one call of `harness.run` asks for, checked before anything is written."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import torch

from harness.data import missing_data
from harness.errors import DataError, StudyError, nearest
from harness.model import weights
from harness.outside import import_from
from harness.run import schedule
from harness.study.load import load_studies
from harness.study.study import Study
from operators import stencil


def check_request(args: argparse.Namespace) -> list[Study]:
    """Read the study, or each of its parts, and check whatever can be checked before anything is written.

    Raises:
        UserError: the study, the choice of variants, the resources or the data folder cannot be used.
    """
    args.data_dir = args.data_dir.expanduser().absolute()
    import_from(Path.cwd())
    studies = load_studies(args.study, preset=args.preset, overrides=args.set, parts=args.parts or ())
    for study in studies:
        for name in args.variants or []:
            if name not in study.variants:
                raise StudyError(f"--variants: no variant {name!r}{nearest(name, study.variants)}")
        if not args.dry_run:
            _check_possible(study, args)
    if not args.dry_run:
        _check_writable(args.data_dir)
    return studies


def _check_possible(study: Study, args: argparse.Namespace) -> None:
    if args.address:
        schedule.check_address(args.address)
    else:
        study.resources.resolved().check({"cpus": os.cpu_count() or 1, "gpus": torch.cuda.device_count()})
    check_recipes(study, elsewhere=bool(args.address))
    for settings in study.variants.values():
        if settings.model.weights:
            weights.find(settings.model.weights, settings.model.backbone)
        if gone := missing_data(settings.data):
            raise DataError(gone)


def check_recipes(study: Study, elsewhere: bool = False) -> None:
    """Refuse what the device that a study asks for cannot train.

    Args:
        elsewhere: on another machine, of which nothing is known.

    Raises:
        StudyError: names the variant and the setting.
    """
    resources = study.resources.resolved()
    for name, settings in study.variants.items():
        try:
            settings.train.check(on_gpu=bool(resources.gpus), ranks=resources.ranks)
        except ValueError as error:
            raise StudyError(f"variants.{name}: train.{error}") from None
        if elsewhere or settings.model.stencil == stencil.AUTO:
            continue
        try:
            stencil.choose(settings.model.stencil, torch.device("cuda" if resources.gpus else "cpu"))
        except ValueError as error:
            raise StudyError(f"variants.{name}: model.stencil: {error}") from None


def _check_writable(folder: Path) -> None:
    """Without leaving anything: a later check may refuse the request. Only trying tells, for root above all."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise DataError(f"--data-dir {folder}: cannot be written: {there}: {error.strerror}") from None
