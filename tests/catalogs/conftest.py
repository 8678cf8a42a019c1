"""Fixtures: a small run folder of real manifests (``small_run``) with its catalog, and an empty catalog."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fairshards.catalogs.database import statements
from fairshards.catalogs.database.catalog import Catalog, dump
from tests.catalogs.small_run import Run, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole small run with its catalog, made once; only read it."""
    run = build(tmp_path_factory.mktemp("built") / "tiny")
    with Catalog.open(run.path, "write") as catalog:
        catalog.sync(run.names)
    return run


@pytest.fixture(scope="session")
def expected(built: Run) -> dict[str, list[tuple[Any, ...]]]:
    """What a catalog of the small run holds."""
    with Catalog.open(built.path) as catalog:
        return dump(catalog.con)


@pytest.fixture
def run(built: Run, tmp_path: Path) -> Run:
    """A copy of the small run with its catalog, the test's own."""
    shutil.copytree(built.path, tmp_path / "tiny")
    return Run(tmp_path / "tiny", list(built.names))


@pytest.fixture
def bare(run: Run) -> Run:
    """A copy of the small run without a catalog, the test's own."""
    (run.path / "catalog.duckdb").unlink()
    return run


@pytest.fixture
def con(built: Run) -> Iterator[duckdb.DuckDBPyConnection]:
    """The small run's catalog, read-only."""
    with Catalog.open(built.path) as catalog:
        yield catalog.con


@pytest.fixture
def empty() -> Iterator[duckdb.DuckDBPyConnection]:
    """All tables and views and no rows, in memory and writable."""
    with duckdb.connect() as con:
        for statement in statements.schema_statements():
            con.execute(statement)
        yield con
