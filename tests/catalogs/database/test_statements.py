"""The SQL files: found, questions first, and one ingest for every stage of the contract."""

from __future__ import annotations

import pytest

from fairshards.catalogs.database import statements
from fairshards.catalogs.manifests.schemas import SCHEMAS

FILES = [
    "schema",
    *(f"{folder}/{name}" for folder in ("ingest", "views", "queries") for name in statements.names(folder)),
]


@pytest.mark.parametrize("name", FILES)
def test_the_first_line_is_the_question(name: str) -> None:
    assert statements.read(name).startswith("-- ")
    assert "?" in statements.question(name)


def test_every_stage_has_its_ingest() -> None:
    assert set(statements.names("ingest")) == {*SCHEMAS, "manifest", "shards"}


def test_a_view_is_named_as_its_file() -> None:
    for name in statements.names("views"):
        assert f"CREATE VIEW {name[3:]} AS" in statements.read(f"views/{name}")


def test_defaults_of_parameters() -> None:
    assert statements.defaults("queries/samples") == {"group": "%", "limit": "20"}
    assert statements.defaults("queries/balance") == {}


def test_the_schema_version_covers_the_ingest(monkeypatch: pytest.MonkeyPatch) -> None:
    before, read = statements.schema_version(), statements.read
    changed = {"ingest/plan": read("ingest/plan") + "-- another"}
    monkeypatch.setattr(statements, "read", lambda name: changed.get(name, read(name)))
    statements.schema_version.cache_clear()
    assert statements.schema_version() != before
    statements.schema_version.cache_clear()
