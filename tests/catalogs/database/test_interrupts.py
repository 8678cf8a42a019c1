"""A writer that is killed (SIGKILL) at any moment leaves a catalog that the next sync completes."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest

from fairshards.catalogs.database.catalog import CATALOG, Catalog, dump
from fairshards.catalogs.database.current import ensure_current
from tests.catalogs.small_run import Run, plan_rows

# Each arranges, in the child, that it kills itself at one point of a sync.
POINTS = {
    "the new file is filled but not yet named": "connection._publish = lambda *_: die()",
    "between two manifests": "progress = lambda done, total: done == 5 and die()",
    "in a transaction": "statements.read = lambda name: name == 'ingest/score' and die() or read(name)",
    "all is ingested, nothing checked": "uniqueness.check_unique = lambda con: die()",
}
CHILD = """
import os, signal, sys
sys.path[:0] = sys.argv[3:]
from fairshards.catalogs.database import connection, ingest, statements, uniqueness
from fairshards.catalogs.database.catalog import Catalog, current_manifests

def die(): os.kill(os.getpid(), signal.SIGKILL)
progress, read = None, statements.read
exec(sys.argv[2])
with Catalog.open(sys.argv[1], "write") as catalog:
    catalog.sync(current_manifests(sys.argv[1]), progress)
"""


def kill(run: Run, point: str) -> None:
    """Sync in another process, which dies at ``point``."""
    child = subprocess.run([sys.executable, "-c", CHILD, str(run.path), point, *sys.path], capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_first_sync_is_completed(bare: Run, expected: dict[str, list[Any]], point: str) -> None:
    kill(bare, POINTS[point])
    ensure_current(bare.path)
    with Catalog.open(bare.path) as catalog:
        assert dump(catalog.con) == expected
        assert catalog.is_current(bare.names)


def test_killed_while_superseded_rows_are_removed(run: Run) -> None:
    run.write("plan/round-0.parquet", "plan", plan_rows(0, 0, 6))
    kill(
        run,
        "tables = ingest.manifest_tables\n"
        "ingest.manifest_tables = lambda con: (name if name < 'plan' else die() for name in tables(con))",
    )
    with Catalog.open(run.path) as catalog:  # the removal is whole or not at all
        assert catalog.con.execute("SELECT count(*) FROM plan").fetchone() == (16,)
    ensure_current(run.path)
    with Catalog.open(run.path) as catalog:
        repaired = dump(catalog.con)
    (run.path / CATALOG).unlink()
    ensure_current(run.path)
    with Catalog.open(run.path) as catalog:
        assert dump(catalog.con) == repaired


def test_killed_again_and_again_it_still_ends(bare: Run, expected: dict[str, list[Any]]) -> None:
    for done in (1, 2):
        kill(bare, f"progress = lambda done, total: done == {done} and die()")
    ensure_current(bare.path)
    with Catalog.open(bare.path) as catalog:
        assert dump(catalog.con) == expected


def test_duplicates_that_a_killed_sync_left_unchecked_are_still_found(run: Run) -> None:
    run.write("plan/again.parquet", "plan", plan_rows(0, 0, 1))
    kill(run, "uniqueness.check_unique = lambda con: die()")
    with pytest.raises(ValueError, match="twice in plan"):
        ensure_current(run.path)
