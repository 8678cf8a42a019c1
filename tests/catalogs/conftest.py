"""Fixtures: a small run folder of real manifests (``small_run``), and an empty catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from small_run import Run, build

from catalogs import statements


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole small run, made once; copy it before you change it."""
    return build(tmp_path_factory.mktemp("built") / "tiny").path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A whole small run of the test's own."""
    return build(tmp_path / "tiny")


@pytest.fixture
def empty() -> Iterator[duckdb.DuckDBPyConnection]:
    """A catalog with all tables and views and no rows, in memory."""
    with duckdb.connect() as con:
        for statement in statements.schema_statements():
            con.execute(statement)
        yield con
