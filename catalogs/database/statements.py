"""The catalog's SQL: files under ``catalogs/sql``, whose first line is the question each one answers."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fairshards.catalogs.manifests.identity import digest

_SQL = files("fairshards.catalogs").joinpath("sql")


@cache
def read(name: str) -> str:
    """Return the text of ``catalogs/sql/<name>.sql``, e.g. "schema" or "queries/balance"."""
    return _SQL.joinpath(*f"{name}.sql".split("/")).read_text(encoding="utf-8")


@cache
def names(folder: str) -> tuple[str, ...]:
    """Return the names of the files of "ingest", "views" or "queries", sorted."""
    found = _SQL.joinpath(folder).iterdir()
    return tuple(sorted(file.name.removesuffix(".sql") for file in found if file.name.endswith(".sql")))


def question(name: str) -> str:
    """Return the question that a file answers: its first line."""
    return read(name).split("\n", 1)[0].removeprefix("-- ")


def defaults(name: str) -> dict[str, str]:
    """Return a query's parameters with their defaults, from its lines "-- default: name = value"."""
    lines = [line.partition(":")[2] for line in read(name).splitlines() if line.startswith("-- default:")]
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


@cache
def schema_statements() -> tuple[str, ...]:
    """Return what makes an empty catalog: tables first, then views in the order of their numbers."""
    return read("schema"), *(read(f"views/{name}") for name in names("views"))


@cache
def schema_version() -> str:
    """Return 12 hex digits over all the SQL that decides a catalog's content; they change when it does."""
    return digest([*schema_statements(), *(read(f"ingest/{name}") for name in names("ingest"))])[:12]
