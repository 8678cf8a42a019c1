"""Queries by name and in SQL, read-only, in four formats."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import pty
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from fairshards.catalogs.database.catalog import CATALOG, Catalog
from fairshards.catalogs.database.connection import READ_CONFIG
from fairshards.catalogs.errors import CatalogMissing, QueryError
from fairshards.catalogs.questions.query import FORMATS, answer, named_queries, run_query, write_result
from tests.catalogs.small_run import CURATION, Run

NAMES = [
    "accept-rate",
    "balance",
    "bias-bits",
    "calibrations",
    "cost",
    "curations",
    "evaluation",
    "g-detector",
    "phrase-bits",
    "rejects",
    "samples",
    "shards",
    "shortfall",
    "spurious",
    "worst-group",
]


def test_the_named_queries() -> None:
    assert list(named_queries()) == NAMES
    assert named_queries()["cost"] == "How many seconds of work did one kept sample cost?"


@pytest.mark.parametrize("name", NAMES)
def test_every_named_query_answers(built: Run, name: str) -> None:
    columns, rows = run_query(built.path, name)
    assert rows
    assert len(set(columns)) == len(columns) == len(rows[0])


def test_every_named_query_answers_on_an_empty_run(tmp_path: Path) -> None:
    Run(tmp_path / "new", []).publish()
    for name in NAMES:
        run_query(tmp_path / "new", name)


def test_parameters_have_defaults_and_are_checked(built: Run) -> None:
    assert len(run_query(built.path, "samples")[1]) == 15
    assert len(run_query(built.path, "samples", {"limit": "3"})[1]) == 3
    assert len(run_query(built.path, "samples", {"group": "waterbird|%"})[1]) == 7
    assert run_query(built.path, "worst-group", {"split": "val"})[1] == []
    assert run_query(built.path, "SELECT $a + 1 AS n", {"a": 2}) == (["n"], [(3,)])
    with pytest.raises(QueryError, match=r"no parameter colour; it has: group \(default %\), limit"):
        run_query(built.path, "samples", {"colour": "red"})
    with pytest.raises(QueryError, match="it has: none"):
        run_query(built.path, "balance", {"limit": 1})
    with pytest.raises(QueryError, match="many"):
        run_query(built.path, "samples", {"limit": "many"})


def test_sql(built: Run) -> None:
    columns, rows = run_query(built.path, "SELECT y, y, count(*) AS n FROM plan GROUP BY y ORDER BY y")
    assert (columns, rows) == (["y", "y_2", "n"], [(0, 0, 8), (1, 1, 8)])


def test_a_mistyped_name_gets_the_nearest(built: Run) -> None:
    with pytest.raises(QueryError, match="did you mean 'worst-group'"):
        run_query(built.path, "worst-goup")
    with pytest.raises(QueryError, match="FROM plan"):
        run_query(built.path, "plan")
    with pytest.raises(QueryError, match="empty"):
        run_query(built.path, "  ")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM plan",
        "DROP TABLE plan",
        "CREATE TABLE mine AS SELECT 1 AS a",
        "INSERT INTO catalog_info VALUES ('x')",
        "UPDATE plan SET y = 1",
    ],
)
def test_a_query_that_writes_is_refused(run: Run, sql: str) -> None:
    with pytest.raises(QueryError, match="only reads"):
        run_query(run.path, sql)
    assert run_query(run.path, "SELECT count(*) FROM plan")[1] == [(16,)]


WAYS_ROUND = {
    "other statements": [
        "COPY plan TO '{out}'",
        "COPY (SELECT 1) TO '{out}' (FORMAT parquet)",
        "COPY plan FROM '/etc/passwd'",
        "EXPORT DATABASE '{out}'",
        "IMPORT DATABASE '{out}'",
        "ATTACH '{out}' AS other",
        "ATTACH ':memory:' AS other",
        "DETACH tiny",
        "USE memory",
        "SET threads = 1",
        "SET VARIABLE head = 1",
        "RESET threads",
        "PRAGMA threads = 1",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "CALL enable_logging()",
        "INSTALL httpfs",
        "LOAD httpfs",
        "UPDATE EXTENSIONS",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "BEGIN",
        "CHECKPOINT",
        "VACUUM",
        "CREATE TEMP TABLE mine AS SELECT 1 AS a",
        "CREATE SECRET (TYPE s3)",
        "COMMENT ON TABLE plan IS 'x'",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY plan TO '{out}'",
        "/* a */ COPY plan TO '{out}' -- b",
        "-- nothing",
        ";",
        "WITH gone AS (DELETE FROM plan RETURNING y) FROM gone",
        "EXPLAIN ANALYZE DELETE FROM plan",
    ],
    "files": [
        "FROM '{file}'",
        "FROM '{file}.csv'",
        "FROM read_csv('{file}', header = false)",
        "FROM read_text('{file}')",
        "FROM read_blob('{file}')",
        "FROM glob('{folder}/*')",
        "FROM sniff_csv('{file}')",
        "FROM read_json('{file}')",
        "FROM read_parquet('{folder}/plan/round-0.parquet')",
        "FROM parquet_schema('{folder}/plan/round-0.parquet')",
        "FROM '{folder}/plan/round-0.parquet'",
        "FROM read_duckdb('{folder}/other.duckdb')",
        "FROM read_csv('/dev/stdin')",
        "FROM read_csv('https://localhost:1/a.csv')",
        "WITH f AS MATERIALIZED (FROM read_text('{file}')) FROM f",
        "FROM query('FROM read_text(''{file}'')')",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
        "SELECT (SELECT content FROM read_text('{file}'))",
    ],
    "the catalog's own file": [
        "EXPLAIN ANALYZE COPY plan TO '{folder}/catalog.duckdb' (USE_TMP_FILE false)",
        "EXPLAIN ANALYZE COPY plan TO '{folder}/catalog.duckdb.wal'",
        "COPY (PIVOT plan ON y USING count(*)) TO '{folder}/catalog.duckdb' (USE_TMP_FILE false)",
        "COPY (PIVOT plan ON y USING count(*)) TO '{folder}/catalog.duckdb.wal'",
        "FROM read_blob('{folder}/catalog.duckdb')",
        "FROM read_duckdb('{folder}/catalog.duckdb', table_name = 'plan')",
        "FROM glob('{folder}/catalog.duckdb')",
    ],
    "this process": ["FROM secret", "FROM frame", "SELECT getenv('HOME')", "SELECT * FROM secret JOIN plan ON true"],
    "settings from a SELECT": [
        "FROM enable_logging(storage = 'file', storage_config = {{'path': '{out}'}})",
        "FROM enable_profiling(save_location = '{out}')",
    ],
}


@pytest.mark.parametrize("sql", [sql for way in WAYS_ROUND.values() for sql in way])
def test_no_way_leads_round_reading_the_catalog_alone(run: Run, tmp_path: Path, sql: str) -> None:
    import pandas as pd

    secret = frame = pd.DataFrame({"word": ["planted"]})
    assert len(secret) == len(frame)
    (tmp_path / "planted.txt").write_text("planted")
    (tmp_path / "planted.txt.csv").write_text("word\nplanted\n")
    before = sorted(tmp_path.rglob("*")), (run.path / CATALOG).read_bytes()
    with pytest.raises(QueryError) as caught:
        run_query(run.path, sql.format(file=tmp_path / "planted.txt", folder=run.path, out=tmp_path / "out"))
    assert "planted\n" not in str(caught.value)
    assert (sorted(tmp_path.rglob("*")), (run.path / CATALOG).read_bytes()) == before


def test_two_who_ask_in_one_process_are_closed_off_both(built: Run) -> None:
    with Catalog.open(built.path) as first, Catalog.open(built.path) as second:
        for con in (first.con, second.con, first.con.cursor()):
            assert answer(con, "SELECT count(*) FROM plan")[1] == [(16,)]
            for sql in (f"FROM read_blob('{built.path}/{CATALOG}')", "FROM read_text('/etc/hostname')"):
                with pytest.raises(QueryError, match="more than the catalog"):
                    answer(con, sql)
            with pytest.raises(duckdb.Error, match="locked"):
                con.execute("SET disabled_filesystems = ''")


def test_what_only_reads_is_still_answered(built: Run) -> None:
    for sql in (
        "FROM plan",
        "TABLE plan",
        "VALUES (1)",
        "DESCRIBE plan",
        "SUMMARIZE plan",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE FROM plan",
        "PIVOT plan ON class_name USING count(*) GROUP BY y",
        "WITH a AS (FROM plan) PIVOT a ON y USING count(*); -- a remark",
        "FROM (PIVOT plan ON y) LIMIT 1",
        "WITH a AS (SELECT 1 AS n) FROM a",
        "SELECT 1; -- a remark",
        "FROM samples SEMI JOIN plan USING (sample_id)",
    ):
        assert run_query(built.path, sql)[1], sql


def test_a_refusal_says_what_to_do(built: Run) -> None:
    for sql, said in {
        "COPY plan TO 'a.csv'": r"this is a COPY statement\. .* --format csv, json or parquet with --to FILE",
        "SELECT 1; SELECT 2": r"these are 2 statements \(SELECT, SELECT\)",
        "FROM read_text('/etc/passwd')": r"reads more than the catalog .*disabled",
        "-- a remark": "the query is empty",
    }.items():
        with pytest.raises(QueryError, match=said):
            run_query(built.path, sql)


def test_a_catalog_whose_views_read_files_shows_none_of_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "planted.txt").write_text("planted")
    with duckdb.connect(str(run.path / CATALOG)) as con:  # somebody handed over a catalog of their making
        con.execute(f"CREATE VIEW innocent AS FROM read_text('{tmp_path}/planted.txt')")
    with pytest.raises(QueryError, match="more than the catalog"):
        run_query(run.path, "FROM innocent")


def test_a_query_beyond_memory_is_refused_and_spills_nothing(run: Run) -> None:
    sql = "SELECT count(*) FROM (SELECT DISTINCT a.range, md5(a.range::VARCHAR) FROM range(3000000) a)"
    little = {**READ_CONFIG, "memory_limit": "20MB"}
    with (
        duckdb.connect(str(run.path / CATALOG), read_only=True, config=little) as con,
        pytest.raises(QueryError, match="more memory than there is"),
    ):
        answer(con, sql)
    assert not list(run.path.glob("*.tmp"))


@pytest.mark.parametrize("value", ["' OR 1 = 1 --", "'; COPY plan TO 'x", "$limit", "%'"])
def test_parameters_are_values_and_never_sql(built: Run, value: str) -> None:
    assert run_query(built.path, "worst-group", {"split": value})[1] == []
    assert run_query(built.path, "SELECT $a AS a", {"a": value})[1] == [(value,)]


@pytest.mark.parametrize("sql", ["SELEKT 1 AS a", "SELECT nothing FROM plan", "FROM no_such_table"])
def test_wrong_sql_says_what_is_wrong(built: Run, sql: str) -> None:
    with pytest.raises(QueryError, match=r"the query failed: .*Error"):
        run_query(built.path, sql)


def test_a_missing_catalog_is_made_and_a_stale_one_is_synced(bare: Run) -> None:
    assert run_query(bare.path, "SELECT count(*) FROM decisions")[1] == [(42,)]
    bare.names.remove(f"curated/{CURATION}/decisions.parquet")
    bare.publish()
    assert run_query(bare.path, "SELECT count(*) FROM decisions")[1] == [(0,)]
    (bare.path / CATALOG).unlink()
    (bare.path / "run.json").unlink()
    with pytest.raises(CatalogMissing):
        run_query(bare.path, "balance")


def test_a_query_leaves_a_current_catalog_alone(built: Run) -> None:
    before = (built.path / CATALOG).read_bytes()
    run_query(built.path, "balance")
    assert (built.path / CATALOG).read_bytes() == before
    with Catalog.open(built.path):
        run_query(built.path, "balance")


# ---- formats -----------------------------------------------------------------------------------------

COLUMNS = ["name", "n", "share", "list", "when", "amount"]
ROWS: list[tuple[Any, ...]] = [
    ("a [bold]|b", 3, 0.123456, [1, 2], datetime.date(2024, 5, 1), Decimal("1.5")),
    ('ü, "q"', None, 1.0, None, None, None),
]


def _text(format: str) -> str:
    stream = io.StringIO()
    write_result(COLUMNS, ROWS, format, stream)
    return stream.getvalue()


def test_csv() -> None:
    rows = list(csv.reader(io.StringIO(_text("csv"))))
    assert rows == [
        COLUMNS,
        ["a [bold]|b", "3", "0.123456", "[1, 2]", "2024-05-01", "1.5"],
        ['ü, "q"', "", "1.0", "", "", ""],
    ]


def test_json() -> None:
    found = json.loads(_text("json"))
    assert found[0] == {
        "name": "a [bold]|b",
        "n": 3,
        "share": 0.123456,
        "list": [1, 2],
        "when": "2024-05-01",
        "amount": 1.5,
    }
    assert found[1]["n"] is None


def test_table_has_a_line_a_row_and_shows_brackets() -> None:
    lines = _text("table").splitlines()
    assert len(lines) == 3
    assert "a [bold]|b" in lines[1] and "0.1235" in lines[1]
    assert lines[2].split()[2] == "-"


def test_parquet() -> None:
    for stream in (io.BytesIO(), io.TextIOWrapper(io.BytesIO())):
        write_result(COLUMNS, ROWS, "parquet", stream)
        data = stream.getvalue() if isinstance(stream, io.BytesIO) else stream.buffer.getvalue()  # type: ignore[attr-defined]
        table = pq.read_table(io.BytesIO(data))
        assert table.column_names == COLUMNS
        assert table["n"].to_pylist() == [3, None]


def test_parquet_of_values_that_arrow_has_no_type_for(built: Run) -> None:
    sql = f"SELECT {10**30}::HUGEINT AS b, NULL AS n, [1] AS l FROM plan"
    columns, rows = run_query(built.path, sql)
    stream = io.BytesIO()
    write_result(columns, rows, "parquet", stream)
    table = pq.read_table(io.BytesIO(stream.getvalue()))
    assert table["b"].to_pylist() == [str(10**30)] * 16
    assert table["l"].to_pylist() == [[1]] * 16


def test_no_rows_in_every_format() -> None:
    for format in FORMATS:
        stream: Any = io.BytesIO() if format == "parquet" else io.StringIO()
        write_result(["a"], [], format, stream)
        assert stream.getvalue()


def test_an_unknown_format() -> None:
    with pytest.raises(QueryError, match="table, csv, json, parquet"):
        write_result(["a"], [(1,)], "xml", io.StringIO())


@pytest.fixture
def terminal() -> Any:
    """A text stream that is a terminal, and a function that reads what was written to it."""
    reader, writer = pty.openpty()
    stream = os.fdopen(writer, "w")

    def read() -> str:
        stream.close()
        chunks = []
        while True:
            try:
                chunks.append(os.read(reader, 4096))
            except OSError:
                break
        os.close(reader)
        return b"".join(chunks).decode()

    return stream, read


def test_a_wide_answer_on_a_terminal_becomes_records(terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "dumb")
    stream, read = terminal
    write_result([f"column_{n}" for n in range(8)], [tuple("x" * 10 for _ in range(8))], "table", stream)
    assert "row 1" in (text := read()) and text.count("x" * 10) == 8


def test_parquet_to_a_terminal_is_refused(terminal: Any) -> None:
    stream, _ = terminal
    with pytest.raises(QueryError, match="terminal"):
        write_result(["a"], [(1,)], "parquet", stream)
    stream.close()
