"""The catalog follows run.json: sync, replacement, duplicates, rebuild, and files that are no catalog."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from fairshards.catalogs.database import connection, statements
from fairshards.catalogs.database.catalog import CATALOG, Catalog, SyncReport, current_manifests, dump, rebuild
from fairshards.catalogs.database.current import ensure_current
from fairshards.catalogs.errors import CatalogBusy, CatalogError, CatalogMissing, CatalogOutdated, CatalogUnreadable
from fairshards.catalogs.manifests.manifest import ManifestError
from fairshards.catalogs.manifests.schemas import SCHEMAS
from tests.catalogs.holding import held
from tests.catalogs.small_run import (
    CURATION,
    Run,
    curate,
    edit_score,
    ident,
    plan_rows,
    raw_rows,
    score_rows,
    source_rows,
)

TABLES = {
    "ignored",
    "cohort_groups",
    "row_models",
    "row_model_log",
    "evaluations",
    "runs",
    "sources",
    "captions",
    "phrases",
    "edit_plan",
    "edits",
    "edit_scores",
    "spurious_features",
    "discovered_groups",
    "phrase_bits",
    "calibrations",
    "calibration_curves",
    "calibration_set",
    "real_scores",
    "g_detector",
    "previews",
    "plan",
    "generated",
    "scores",
    "decisions",
    "curations",
    "shard_index",
    "shards",
    "rejects",
    "training_runs",
    "training_shards",
    "group_metrics",
    "personalisations",
    "personal_pictures",
    "ingested",
    "task_attempts",
}
Dump = dict[str, list[tuple[Any, ...]]]


def sync(run: Run, names: list[str] | None = None) -> tuple[SyncReport, Dump]:
    """Sync the run's catalog with ``names`` (all that are listed) and return the report and the dump."""
    with Catalog.open(run.path, "write") as catalog:
        return catalog.sync(run.names if names is None else names), dump(catalog.con)


def rows(run: Run, sql: str) -> list[tuple[Any, ...]]:
    with Catalog.open(run.path) as catalog:
        return catalog.con.execute(sql).fetchall()


# ---- tables and sync ---------------------------------------------------------------------------------


def test_every_row_of_every_table_names_its_manifest(empty: duckdb.DuckDBPyConnection) -> None:
    tables = {row[0] for row in empty.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    carrying = {
        row[0]
        for row in empty.execute(
            "SELECT table_name FROM duckdb_columns() WHERE column_name = 'manifest' AND NOT is_nullable"
        ).fetchall()
    }
    assert tables == TABLES | {"catalog_info"}
    assert carrying >= TABLES


def test_sync_ingests_every_manifest_once(bare: Run, expected: Dump) -> None:
    seen: list[tuple[int, int]] = []
    with Catalog.open(bare.path, "write") as catalog:
        first = catalog.sync(bare.names, progress=lambda done, total: seen.append((done, total)))
        again = catalog.sync(bare.names)
        assert dump(catalog.con) == expected
    assert (first.ingested, first.removed, first.unchanged) == (len(bare.names), 0, 0)
    assert again == SyncReport(0, 0, len(bare.names), 0)
    assert seen == [(done, len(bare.names)) for done in range(1, len(bare.names) + 1)]


def test_the_rows_are_the_manifests_rows(expected: Dump) -> None:
    sizes = {table: len(found) for table, found in expected.items()}
    assert sizes["plan"] == 16
    assert (sizes["generated"], sizes["scores"]) == (15, 30)
    assert sizes["sources"] == 9  # ten good rows, one of them a duplicate
    assert (sizes["decisions"], sizes["shard_index"]) == (42, 9 + 8)
    assert (sizes["training_runs"], sizes["group_metrics"], sizes["training_shards"]) == (2, 8, 2)


def test_the_order_of_the_list_and_absolute_paths_change_nothing(bare: Run, expected: Dump) -> None:
    names: list[str | Path] = [bare.path / name for name in reversed(bare.names)]
    with Catalog.open(bare.path, "write") as catalog:
        catalog.sync(names)
        assert dump(catalog.con) == expected


def test_one_manifest_at_a_time_ends_with_the_same_rows(bare: Run, expected: Dump) -> None:
    with Catalog.open(bare.path, "write") as catalog:
        for count in range(1, len(bare.names) + 1):
            catalog.sync(bare.names[-count:])
        assert dump(catalog.con) == expected


def test_delete_and_rebuild_gives_equal_rows(run: Run, expected: Dump) -> None:
    run.write("training/more/metrics.parquet", "train", [], task="more", settings={"method": "erm"})
    _, before = sync(run)
    assert before != expected
    rebuild(run.path)
    with Catalog.open(run.path) as catalog:
        assert dump(catalog.con) == before
    (run.path / CATALOG).unlink()
    assert sync(run)[1] == before


def test_a_folder_name_with_glob_characters_reads_no_other_folder(built: Run, tmp_path: Path) -> None:
    import shutil

    for name in ("run[1]", "run1"):
        shutil.copytree(built.path, tmp_path / name, ignore=shutil.ignore_patterns("catalog*"))
    other = Run(tmp_path / "run1", list(built.names))
    other.write("plan/round-0.parquet", "plan", plan_rows(0, 0, 2, seed=7))
    run = Run(tmp_path / "run[1]", list(built.names))
    assert len(sync(run)[1]["plan"]) == 16


# ---- replacement -------------------------------------------------------------------------------------


def test_a_superseded_manifest_takes_its_rows_along(run: Run) -> None:
    kept = [name for name in run.names if CURATION not in name and not name.startswith("training")]
    report, after = sync(run, kept)
    assert report.removed == len(run.names) - len(kept)
    assert after["decisions"] == after["curations"] == after["group_metrics"] == after["training_shards"] == []
    assert all(row[-2] != "index" for row in after["shards"])
    assert rows(run, "SELECT count(*) FROM task_attempts") == [(len(kept),)]


def test_scores_of_edits_from_before_rho_was_measured_are_taken_in(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    older = pa.schema([field for field in SCHEMAS["edit_score"] if field.name != "mask_attribution"])
    with monkeypatch.context() as then:
        then.setitem(SCHEMAS, "edit_score", older)
        run.write("edit_scores/older.parquet", "edit_score", [edit_score(ident("edit", 9), -0.2, hit=False)])
    sync(run)
    found = rows(
        run, f"SELECT probability_after, mask_attribution FROM edit_scores WHERE edit_id = '{ident('edit', 9)}'"
    )
    assert found == [(pytest.approx(0.7), None)]


def test_new_content_under_the_same_name_replaces_the_old(run: Run) -> None:
    more = [row for y in (0, 1) for b in (0, 1) for row in plan_rows(y, b, 5)]
    run.write("plan/round-0.parquet", "plan", more)
    report, after = sync(run)
    assert (report.ingested, report.removed) == (1, 1)
    assert len(after["plan"]) == 20
    assert after == _fresh(run)


def test_a_second_curation_stands_beside_the_first(run: Run) -> None:
    plan = [row for y in (0, 1) for b in (0, 1) for row in plan_rows(y, b, 4)]
    raw = [row for start in range(0, 16, 4) for row in raw_rows(plan[start : start + 4], "x.tar")]
    curate(run, plan, raw, quota=1, curation="c0ffee000002", threshold=2)
    sync(run)
    assert rows(run, "SELECT curation_id, sum(kept) FROM group_balance GROUP BY 1 ORDER BY 1") == [
        (CURATION, 8),
        ("c0ffee000002", 4),
    ]


# ---- ids and duplicates ------------------------------------------------------------------------------


def test_a_sample_id_in_two_manifests_names_both(run: Run, expected: Dump) -> None:
    again = raw_rows(plan_rows(0, 0, 1), "again.tar")
    run.write("raw/again.parquet", "generate", again)
    with pytest.raises(ManifestError, match=r"raw/00-0\.parquet and raw/again\.parquet") as caught:
        sync(run)
    assert again[0]["sample_id"] in str(caught.value)
    assert sync(run, run.names[:-1])[1] == expected  # the older one stayed, the newer one is gone


def test_a_sample_id_twice_in_one_manifest(run: Run) -> None:
    run.write("raw/twice.parquet", "generate", raw_rows(plan_rows(0, 0, 1, seed=5) * 2, "twice.tar"))
    with pytest.raises(ManifestError, match=r"twice in the one manifest"):
        sync(run)


@pytest.mark.parametrize("name", ["plan", "score", "decide", "index", "train"])
def test_each_stages_own_ids_are_unique(run: Run, name: str) -> None:
    plan = plan_rows(0, 0, 2)
    copies: dict[str, list[dict[str, Any]]] = {
        "plan": plan,
        "score": score_rows(raw_rows(plan, "x.tar")),
        "decide": [{"curation_id": CURATION, "sample_id": plan[0]["sample_id"], "filter": "quota", "keep": True}],
        "index": [{"curation_id": CURATION, "sample_id": ident("sample", 0, 0, 1, 0), "g": 1, "shard": "z.tar"}],
        "train": [{"training_id": "aaaa00000001", "stage": "final", "split": "test", "y": 0, "b": 0, "n": 1}],
    }
    run.write(f"other/{name}.parquet", name, copies[name], task="aaaa00000001")
    with pytest.raises(ManifestError, match=f"other/{name}"):
        sync(run)


def test_a_source_id_in_a_second_shard_is_a_reject(run: Run) -> None:
    duplicates = rows(run, "SELECT stage, id, key, detail FROM rejects WHERE reason = 'duplicate_key'")
    assert [row[:3] for row in duplicates] == [("source", ident("source", "shared"), "shared")]
    assert "source/source-00000.parquet" in duplicates[0][3]
    assert rows(run, "SELECT shard FROM sources WHERE key = 'shared'") == [("source/source-00000.tar",)]


def test_which_source_is_the_duplicate_doesnt_depend_on_the_order_of_ingest(run: Run) -> None:
    later = [name for name in run.names if name != "source/source-00000.parquet"]
    sync(run, later)
    assert rows(run, "SELECT shard FROM sources WHERE key = 'shared'") == [("source/source-00001.tar",)]
    _, after = sync(run)
    assert after == _fresh(run)
    _, without = sync(run, later)
    assert not [row for row in without["rejects"] if row[3] == "duplicate_key"]


def test_a_source_id_twice_in_one_shard_and_a_reject_of_the_same_id(run: Run) -> None:
    unit = source_rows(2)
    bad = {**unit[1], "status": "reject", "reason": "corrupt_image", "detail": "it was"}
    run.write("source/source-00002.parquet", "source", [bad, *unit, unit[2]])
    _, found = sync(run)
    keys = [(row[2], row[3]) for row in found["rejects"] if row[2] in ("u2-1", "u2-2", "shared")]
    assert sorted(keys) == [
        ("shared", "duplicate_key"),
        ("shared", "duplicate_key"),
        ("u2-1", "corrupt_image"),
        ("u2-2", "duplicate_key"),
    ]
    assert rows(run, "SELECT count(*) FROM sources WHERE key IN ('u2-1', 'u2-2')") == [(2,)]


# ---- bad manifests -----------------------------------------------------------------------------------


def _damage(path: Path, kind: str) -> None:
    data = path.read_bytes()
    if kind == "missing":
        path.unlink()
        return
    broken = {"truncated": data[: len(data) // 2], "empty": b"", "pages": data[:4] + bytes(196) + data[200:]}
    path.write_bytes(broken[kind])


@pytest.mark.parametrize("kind", ["truncated", "empty", "missing", "pages"])
def test_a_damaged_manifest_is_named_and_nothing_else_is_lost(run: Run, expected: Dump, kind: str) -> None:
    run.write("scores/bad.parquet", "score", score_rows(raw_rows(plan_rows(0, 0, 3, seed=9), "x.tar")))
    _damage(run.path / "scores" / "bad.parquet", kind)
    with pytest.raises(ManifestError, match=r"scores/bad\.parquet"):
        sync(run)
    assert sync(run, run.names[:-1])[1] == expected


def test_a_parquet_file_that_is_no_manifest(run: Run) -> None:
    duckdb.sql("SELECT 1 AS a").write_parquet(str(run.path / "raw" / "foreign.parquet"))
    with pytest.raises(ManifestError, match=r"foreign\.parquet is a Parquet file, but not"):
        sync(run, [*run.names, "raw/foreign.parquet"])


# ---- files that are no catalog -----------------------------------------------------------------------


def _foreign(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("hello" * 1000)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "sqlite":
        with sqlite3.connect(path) as con:
            con.execute("CREATE TABLE t (a)")
        con.close()
    else:
        with duckdb.connect(str(path)) as other:
            other.execute("CREATE TABLE mine AS SELECT range AS a FROM range(1000)")
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:20_000])


@pytest.mark.parametrize("kind", ["text", "empty", "sqlite", "duckdb", "truncated"])
@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_foreign_or_damaged_file_is_left_alone(bare: Run, kind: str, mode: Any) -> None:
    path = bare.path / CATALOG
    _foreign(path, kind)
    before = path.read_bytes()
    with pytest.raises(CatalogUnreadable, match=r"Delete it .* rebuilt"), Catalog.open(bare.path, mode):
        pass
    assert path.read_bytes() == before


def test_damage_that_shows_late_is_explained_and_rebuilt(run: Run, expected: Dump) -> None:
    path = run.path / CATALOG
    data = bytearray(path.read_bytes())
    data[4096 * 3 :] = bytes(len(data) - 4096 * 3)
    path.write_bytes(data)
    with pytest.raises(CatalogUnreadable), Catalog.open(run.path, "write") as catalog:
        catalog.sync(run.names)
    rebuild(run.path)
    with Catalog.open(run.path) as catalog:
        assert dump(catalog.con) == expected


def test_another_versions_catalog_is_made_again_by_a_writer(run: Run, expected: Dump) -> None:
    with duckdb.connect(str(run.path / CATALOG)) as con:
        con.execute("UPDATE catalog_info SET schema_version = 'older'")
    with pytest.raises(CatalogOutdated, match="older"), Catalog.open(run.path):
        pass
    assert sync(run)[1] == expected


def test_a_wal_left_by_a_deleted_catalog_does_no_harm(run: Run, expected: Dump) -> None:
    with Catalog.open(run.path, "write") as catalog:
        catalog.con.execute("INSERT INTO catalog_info VALUES ('stray')")
        wal = (run.path / f"{CATALOG}.wal").read_bytes()
    (run.path / CATALOG).unlink()
    (run.path / f"{CATALOG}.wal").write_bytes(wal)
    assert sync(run)[1] == expected
    assert rows(run, "SELECT * FROM catalog_info") == [(statements.schema_version(),)]


def test_a_full_disk_is_said_and_the_next_sync_goes_on(run: Run, expected: Dump) -> None:
    child = (
        "import resource, sys; sys.path[:0] = sys.argv[3:]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "from fairshards.catalogs.database.current import ensure_current\n"
        "try: ensure_current(sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    plan = [dict(row, prompt=row["sample_id"] * 40) for seed in range(1, 40) for row in plan_rows(0, 0, 30, seed)]
    run.write("plan/long.parquet", "plan", plan)
    done = subprocess.run(
        [sys.executable, "-c", child, str(run.path), "900000", *sys.path], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("CatalogError can't"), done.stdout + done.stderr
    assert "too large" in done.stdout
    assert not [file for file in run.path.iterdir() if file.name.startswith(".catalog")]
    _, after = sync(run)
    assert {**after, "plan": [], "ingested": []} == {**expected, "plan": [], "ingested": []}


# ---- readers, run.json -------------------------------------------------------------------------------


def test_reading_where_there_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogMissing), Catalog.open(tmp_path):
        pass
    with pytest.raises(CatalogMissing, match=r"run\.json"):
        ensure_current(tmp_path)


def test_run_json_that_cant_be_read(run: Run) -> None:
    for text in ("{", "[]", '{"manifest": []}', '{"manifests": 3}'):
        (run.path / "run.json").write_text(text)
        with pytest.raises(CatalogMissing, match="can't be read"):
            current_manifests(run.path)


def test_ensure_current_makes_and_then_only_reads(bare: Run, expected: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_current(bare.path)
    modes: list[bool] = []
    connect = connection.connect
    monkeypatch.setattr(
        connection, "connect", lambda path, read_only, wait=0: (modes.append(read_only), connect(path, read_only))[1]
    )
    ensure_current(bare.path)
    assert modes == [True]
    bare.names.pop()
    bare.publish()
    ensure_current(bare.path)
    assert len(rows(bare, "FROM training_runs")) == 1


def test_a_catalog_without_run_json_is_taken_as_it_is(run: Run) -> None:
    (run.path / "run.json").unlink()
    ensure_current(run.path)
    assert rows(run, "SELECT count(*) FROM plan") == [(16,)]


def test_a_reader_cant_write(run: Run) -> None:
    with Catalog.open(run.path) as catalog, pytest.raises(duckdb.Error, match="read-only"):
        catalog.con.execute("DELETE FROM plan")


# ---- other processes ---------------------------------------------------------------------------------


@pytest.fixture
def hold(run: Run) -> Any:
    """Start a process that holds the run's catalog in a mode until its stdin is closed."""
    with contextlib.ExitStack() as stack:
        yield lambda mode: stack.enter_context(held(run.path / CATALOG, mode))


def test_a_second_writer_and_a_reader_are_told_the_holders_pid(run: Run, hold: Any) -> None:
    child = hold("write")
    for mode in ("write", "read"):
        with (
            pytest.raises(CatalogBusy, match=rf"held by process {child.pid}\b") as caught,
            Catalog.open(run.path, mode),
        ):  # type: ignore[arg-type]
            pass
        assert caught.value.pid == child.pid
    with pytest.raises(CatalogBusy):
        rebuild(run.path)
    child.stdin.close()  # it lets go while the next one waits
    with Catalog.open(run.path, "write", wait=20):
        pass


def test_readers_share_the_file_and_keep_a_writer_out(run: Run, hold: Any) -> None:
    child = hold("read")
    assert rows(run, "SELECT count(*) FROM plan") == [(16,)]
    with pytest.raises(CatalogBusy, match=str(child.pid)), Catalog.open(run.path, "write"):
        pass


def test_both_modes_in_one_process(run: Run) -> None:
    with Catalog.open(run.path, "write"), pytest.raises(CatalogBusy, match="in this process"), Catalog.open(run.path):
        pass


def test_a_folder_that_cant_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((CatalogError, OSError)), Catalog.open(tmp_path / "file", "write"):
        pass


def _fresh(run: Run) -> Dump:
    (run.path / CATALOG).unlink()
    return sync(run)[1]
