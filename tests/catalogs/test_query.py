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

import pyarrow.parquet as pq
import pytest

from catalogs.catalog import CATALOG, Catalog
from catalogs.errors import CatalogMissing, QueryError
from catalogs.query import FORMATS, named_queries, run_query, write_result
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
