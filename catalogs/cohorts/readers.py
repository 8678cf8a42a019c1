"""The cohorts' readers: each turns the path of a folder or a file into a cohort."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fairshards.catalogs.cohorts.cohort import Cohort, read_cohort
from fairshards.catalogs.cohorts.schema import CohortError


class CohortReader(ABC):
    """Reads one kind of cohort. A frozen dataclass, whose fields are the recipe's ``cohort.options``.

    Attributes:
        version: Bumped when the same files would give another cohort.
    """

    version: ClassVar[str] = "1"

    @abstractmethod
    def read(self, path: Path | None) -> Cohort:
        """Return the cohort that lies at the recipe's ``cohort.path``; None where the recipe names none.

        Raises:
            CohortError: there is none, or it isn't what the reader reads; the message holds no value of a person.
        """


@dataclass(frozen=True)
class Support2(CohortReader):
    """SUPPORT2, which ships with fairshards."""

    def read(self, path: Path | None) -> Cohort:
        """Return the study's patients; of a copy elsewhere where ``path`` names one."""
        from fairshards.catalogs.cohorts.studies.support2 import read_support2, support2

        return read_support2(path) if path else support2()


@dataclass(frozen=True)
class Mimic3(CohortReader):
    """MIMIC-III."""

    def read(self, path: Path | None) -> Cohort:
        """Return the cohort of a folder of the study's CSV files."""
        from fairshards.catalogs.cohorts.studies.mimic3 import read_mimic3

        if path is None:
            raise CohortError("mimic3 needs the folder of its CSV files")
        return read_mimic3(path)


@dataclass(frozen=True)
class Adult(CohortReader):
    """Adult."""

    def read(self, path: Path | None) -> Cohort:
        """Return the people of the census's files."""
        from fairshards.catalogs.cohorts.studies.adult import read_adult

        return read_adult(path or Path())


@dataclass(frozen=True)
class Compas(CohortReader):
    """COMPAS."""

    def read(self, path: Path | None) -> Cohort:
        """Return the people of ProPublica's file."""
        from fairshards.catalogs.cohorts.studies.compas import read_compas

        return read_compas(path or Path())


@dataclass(frozen=True)
class CohortFile(CohortReader):
    """A Parquet file that ``Cohort.write`` wrote."""

    def read(self, path: Path | None) -> Cohort:
        """Return the file's cohort."""
        return read_cohort(path or Path())
