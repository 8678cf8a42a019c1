"""Questions to a run's catalog: SQL, or a query by name; read-only, on a catalog made current first.

Read-only is meant: a query is one SELECT, on a connection that sees no files, no network and no variables of this
process, and whose settings are locked (``connection.READ_CONFIG``, ``close_off``). Answers are written by
``catalogs/questions/formats.py``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from fairshards.catalogs.database import connection, statements
from fairshards.catalogs.database.current import WAIT, Say, open_current
from fairshards.catalogs.errors import QueryError
from fairshards.catalogs.questions.formats import FORMATS, write_result

Answer = tuple[list[str], list[tuple[Any, ...]]]

# PIVOT is of the kind MULTI: DuckDB lists the new columns first. DESCRIBE, SUMMARIZE and SHOW are of the kind SELECT.
_KINDS = ("SELECT", "EXPLAIN", "MULTI")
_ONLY_READS = (
    "`fairshards query` only reads: give one SELECT, FROM, WITH, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN. "
    "For files there is --format csv, json or parquet with --to FILE"
)


def named_queries() -> dict[str, str]:
    """Return the named queries, each with the question that it answers."""
    return {name: statements.question(f"queries/{name}") for name in statements.names("queries")}


def run_query(
    run_dir: str | Path,
    sql_or_name: str,
    params: Mapping[str, Any] | None = None,
    wait: float = WAIT,
    say: Say | None = None,
) -> Answer:
    """Return the columns' names, each once, and the rows that answer a named query or SQL.

    ``params`` are the query's ``$name`` parameters. A catalog that is missing or behind run.json is made current
    first. Where another process holds it for more than ``wait`` seconds, the answer comes from the manifests, and
    ``say`` is told.

    Raises:
        QueryError: no such named query, wrong SQL or parameters, or a query that would write.
        CatalogError, ManifestError: the catalog can neither be opened nor made from the manifests.
    """
    sql, values = _resolve(sql_or_name.strip(), dict(params or {}))
    with open_current(run_dir, wait, say=say) as catalog, connection.explained(catalog.path):
        return answer(catalog.con, sql, values)


def answer(con: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, Any] | None = None) -> Answer:
    """Return the columns and rows of ``sql``, one statement that reads, on an open connection.

    Raises:
        QueryError: the SQL is wrong, or does anything but read the catalog.
    """
    try:
        _require_select(con, sql)
        result = con.execute(sql, dict(params) if params else None)
        if result.description is None:
            return [], []
        return _distinct([column[0] for column in result.description]), result.fetchall()
    except duckdb.Error as error:
        if connection.damaged(error):
            raise
        raise _explain(error) from error


def _require_select(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    try:
        kinds = [statement.type.name for statement in con.extract_statements(sql)]
    except ValueError as error:  # a kind of statement that DuckDB knows and its Python package doesn't
        raise QueryError(f"this statement isn't known ({error}). {_ONLY_READS}") from error
    if not kinds:
        raise QueryError(f"the query is empty. {_ONLY_READS}")
    if len(kinds) > 1:
        raise QueryError(f"these are {len(kinds)} statements ({', '.join(kinds)}). {_ONLY_READS}")
    if kinds[0] not in _KINDS:
        raise QueryError(f"this is a {kinds[0]} statement. {_ONLY_READS}")


def _resolve(text: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the SQL of a named query with its defaults filled in, or ``text`` itself where it is SQL."""
    if not text:
        raise QueryError(f"the query is empty; give SQL, or one of: {', '.join(named_queries())}")
    if not re.fullmatch(r"[\w-]+", text):
        return text, params
    if text not in named_queries():
        raise _unknown(text)
    defaults = statements.defaults(f"queries/{text}")
    unknown = sorted(set(params) - set(defaults))
    if unknown:
        known = ", ".join(f"{name} (default {value})" for name, value in defaults.items()) or "none"
        raise QueryError(f"query {text!r} has no parameter {', '.join(unknown)}; it has: {known}")
    return statements.read(f"queries/{text}"), {**defaults, **params}


def _unknown(name: str) -> QueryError:
    known = list(named_queries())
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return QueryError(f'no query is named {name!r}{hint} Known: {", ".join(known)}. For a table write "FROM {name}"')


def _explain(error: duckdb.Error) -> QueryError:
    text = str(error)
    first = text.split("\n", 1)[0]
    if "read-only" in text:
        return QueryError(f"this query would write ({first}). {_ONLY_READS}")
    if isinstance(error, duckdb.PermissionException):
        return QueryError(f"this query reads more than the catalog ({first}). {_ONLY_READS}")
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError(f"this query needs more memory than there is ({first}); ask for fewer rows, or for sums")
    return QueryError(f"the query failed: {text}")


def _distinct(names: list[str]) -> list[str]:
    """Return the names with a number after those that are there already: a, a_2."""
    taken: list[str] = []
    for name in names:
        number, fresh = 1, name
        while fresh in taken:
            number += 1
            fresh = f"{name}_{number}"
        taken.append(fresh)
    return taken


__all__ = ["FORMATS", "Answer", "answer", "named_queries", "run_query", "write_result"]
