"""The SQL files of the cohorts, one question each."""

from __future__ import annotations

import importlib.resources


def cohort_sql(name: str) -> str:
    """Return the statement of ``catalogs/sql/cohorts/<name>.sql``."""
    return (importlib.resources.files("fairshards.catalogs") / "sql" / "cohorts" / f"{name}.sql").read_text()
