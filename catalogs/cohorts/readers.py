"""The cohorts' readers by name: a path (of a folder or a file) to a cohort."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fairshards.catalogs.cohorts.cohort import Cohort, read_cohort
from fairshards.catalogs.cohorts.schema import CohortError


def _support2(path: Path | None) -> Cohort:
    from fairshards.catalogs.cohorts.studies.support2 import read_support2, support2

    return read_support2(path) if path else support2()


def _mimic3(path: Path | None) -> Cohort:
    from fairshards.catalogs.cohorts.studies.mimic3 import read_mimic3

    if path is None:
        raise CohortError("mimic3 needs the folder of its CSV files")
    return read_mimic3(path)


def _adult(path: Path | None) -> Cohort:
    from fairshards.catalogs.cohorts.studies.adult import read_adult

    return read_adult(path or Path())


def _compas(path: Path | None) -> Cohort:
    from fairshards.catalogs.cohorts.studies.compas import read_compas

    return read_compas(path or Path())


def _parquet(path: Path | None) -> Cohort:
    return read_cohort(path or Path())


READERS: dict[str, Callable[[Path | None], Cohort]] = {
    "support2": _support2,
    "mimic3": _mimic3,
    "adult": _adult,
    "compas": _compas,
    "parquet": _parquet,
}
