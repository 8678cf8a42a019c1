"""A package outside the product, installed as pip would leave it: modules, and a dist-info with entry points."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairshards import families
from fairshards.filters.registry import PICTURE_FILTERS, ROW_FILTERS
from fairshards.plugins import Family

OUTSIDE = Path(__file__).parent / "outside"
ENTRY_POINTS = """
[fairshards.picture_filters]
blue = outside.filters:Blue
[fairshards.row_filters]
young = outside.filters:Young
[fairshards.source_readers]
arrays = outside.readers:ArrayReader
[fairshards.cohort_readers]
first_patients = outside.readers:FirstPatients
"""
ALL = [PICTURE_FILTERS, ROW_FILTERS, *(each for each in vars(families).values() if isinstance(each, Family))]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with ours in it."""
    place = tmp_path_factory.mktemp("site")
    shutil.copytree(OUTSIDE, place / "outside", ignore=shutil.ignore_patterns("__pycache__"))
    known = place / "outside-1.0.dist-info"
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (known / "entry_points.txt").write_text(ENTRY_POINTS)
    return place


@pytest.fixture(scope="session")
def command(site: Path) -> Command:
    """Runs ``fairshards`` with the package on PYTHONPATH."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        where = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        line = [sys.executable, "-m", "fairshards", *words]
        return subprocess.run(line, env=where, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def importable(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets this process import the package."""
    monkeypatch.syspath_prepend(str(site))
    yield
    for family in ALL:
        vars(family).pop("installed", None)  # what was looked up while the package was there
    for name in [name for name in sys.modules if name.split(".")[0] == "outside"]:
        del sys.modules[name]
