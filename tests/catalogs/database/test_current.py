"""Whoever holds the catalog, and whatever is wrong with its file: the answer is what run.json lists."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import duckdb
import pytest

from fairshards.catalogs.database import current
from fairshards.catalogs.database.catalog import CATALOG, Catalog, dump
from fairshards.catalogs.database.current import ensure_current, open_current
from fairshards.catalogs.errors import CatalogBusy, CatalogError, CatalogMissing
from fairshards.catalogs.manifests.manifest import ManifestError
from fairshards.catalogs.questions.explain import life_story
from fairshards.catalogs.questions.query import run_query
from tests.catalogs.holding import held
from tests.catalogs.small_run import CURATION, Run, ident

DECIDED = "SELECT count(*) FROM decisions"


def behind(run: Run) -> Run:
    """Make run.json go on while the catalog doesn't: one manifest less."""
    run.names.remove(f"curated/{CURATION}/decisions.parquet")
    run.publish()
    return run


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_held_catalog_that_is_behind_is_answered_from_a_snapshot(run: Run, mode: str) -> None:
    said: list[str] = []
    with held(run.path / CATALOG, mode) as child:
        before = (run.path / CATALOG).read_bytes()
        begin = time.monotonic()
        assert run_query(behind(run).path, DECIDED, say=said.append)[1] == [(0,)]
        assert time.monotonic() - begin < 20
        assert f"held by process {child.pid};" in said[0] and "from the run's manifests" in said[0] and len(said) == 1
        assert life_story(run.path, ident("sample", 0, 0, 1, 0), wait=0).kind == "text-to-image"
        assert (run.path / CATALOG).read_bytes() == before
        with pytest.raises(CatalogBusy, match=str(child.pid)):
            ensure_current(run.path, wait=0)
    assert run_query(run.path, DECIDED, say=said.append)[1] == [(0,)] and len(said) == 1
    with Catalog.open(run.path) as catalog:  # the next one to ask has brought the file itself up to date
        assert catalog.is_current(run.names)


def test_a_catalog_that_is_read_and_current_is_read_too(run: Run) -> None:
    said: list[str] = []
    with held(run.path / CATALOG, "read"), open_current(run.path, 0, say=said.append) as catalog:
        assert catalog.own is None and not said


def test_a_snapshot_is_the_whole_catalog_and_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    behind(run)
    with held(run.path / CATALOG, "read"), open_current(run.path, 0) as catalog:
        copied = dump(catalog.con)
        assert os.listdir(tmp_path / "tmp") == []
        with pytest.raises(duckdb.Error, match="read-only"):
            catalog.con.execute("DELETE FROM plan")
    with held(run.path / CATALOG, "write"), open_current(run.path, 0) as catalog:
        assert dump(catalog.con) == copied
    (run.path / CATALOG).unlink()
    with open_current(run.path) as catalog:
        assert catalog.own is None and dump(catalog.con) == copied


def test_another_connection_of_this_process_is_no_obstacle(run: Run) -> None:
    with duckdb.connect(str(run.path / CATALOG)):
        assert run_query(behind(run).path, DECIDED, wait=0)[1] == [(0,)]


def test_a_damaged_catalog_and_a_folder_that_cant_be_written_are_told_and_passed_by(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    (run.path / CATALOG).write_bytes(b"no database at all")
    assert run_query(run.path, DECIDED, say=said.append)[1] == [(42,)]
    assert "it is no DuckDB file. Delete it" in said[0] and "from the run's manifests" in said[0]
    (run.path / CATALOG).unlink()
    create = current.connection.create

    def elsewhere_only(path: Path) -> None:
        if path.parent == run.path:
            raise CatalogError(f"can't make the catalog {path}: Permission denied")
        create(path)

    monkeypatch.setattr(current.connection, "create", elsewhere_only)
    assert run_query(run.path, DECIDED, say=said.append)[1] == [(42,)]
    assert "Permission denied; this answer" in said[1]


def test_what_no_snapshot_can_mend_is_raised(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(run.path / CATALOG, "write"):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
        with pytest.raises(CatalogError, match="set TMPDIR"):
            open_current(run.path, 0)
        monkeypatch.undo()
        run.names.append("plan/gone.parquet")
        run.publish()
        with pytest.raises(ManifestError, match="gone"):
            open_current(run.path, 0)
        (run.path / "run.json").unlink()
        with pytest.raises(CatalogBusy):  # nothing says what the answer should be made from
            open_current(run.path, 0)
    (run.path / CATALOG).unlink()
    with pytest.raises(CatalogMissing):
        open_current(run.path, 0)


def test_a_read_only_file_system_without_a_catalog_is_passed_by(bare: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def refuses(path: Path, missing_ok: bool = False) -> None:
        if path.parent == bare.path:  # deleting fails there, even of what isn't there
            raise OSError(30, "Read-only file system", str(path))
        unlink(path, missing_ok)

    def fails(path: Path, *given: object) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refuses)
    monkeypatch.setattr(
        "fairshards.catalogs.database.connection._publish",
        lambda temporary, path: fails(path) if path.parent == bare.path else os.replace(temporary, path),
    )
    said: list[str] = []
    assert run_query(bare.path, "SELECT count(*) FROM plan", say=said.append)[1] == [(16,)]
    assert "Read-only file system" in said[0] and "comes from the run's manifests" in said[0]
