"""A catalog that somebody holds neither ends a run nor holds it up; who asks later finds it brought up to date."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from fairshards.catalogs.database.catalog import CATALOG, Catalog, current_manifests
from fairshards.catalogs.errors import CatalogUnreadable
from fairshards.catalogs.questions.query import run_query
from fairshards.pipeline.driver import run
from fairshards.pipeline.report.reader import open_reader
from fairshards.pipeline.run.catalog_sync import CatalogSync, listed_before
from fairshards.pipeline.run.folder import RunFolder, RunFolderError
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from tests.catalogs.holding import held
from tests.pipeline.small import Small, small_recipe

STRICTER = "filters.variance.max=100000000.0"


def reporter() -> tuple[Reporter, io.StringIO]:
    stream = io.StringIO()
    return Reporter(Console(file=stream, width=1000)), stream


def test_a_run_goes_on_while_somebody_reads_the_catalog(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    report, said = reporter()
    before = (root / CATALOG).read_bytes()
    with held(root / CATALOG, "read") as child:
        result = run(small_recipe(small.folder, STRICTER), Launcher(), report, "curate", root)
        assert result.curated is not None
        lines = [line for line in said.getvalue().splitlines() if CATALOG in line]
        assert len(lines) == 2 and all(f"held by process {child.pid}." in line for line in lines)
        assert "The run goes on" in lines[0] and "stays behind" in lines[1]
        assert (root / CATALOG).read_bytes() == before
        with open_reader(root) as reader:  # what the report and the card read isn't behind
            assert reader.curation == result.curated.curation_id
            assert reader.rows("settings")
        assert len(run_query(root, "FROM curations", wait=0)[1]) == 2
    assert len(run_query(root, "FROM curations")[1]) == 2
    with Catalog.open(root) as catalog:
        assert catalog.is_current(current_manifests(root))


def test_a_catalog_that_was_let_go_is_brought_up_to_date_at_the_end(copy: Callable[[], Path]) -> None:
    folder = RunFolder(copy())
    report, said = reporter()
    catalog, names = CatalogSync(folder, report), folder.current()
    current = {name: "" for name in names[:-1]}
    with held(folder.root / CATALOG, "write"):
        catalog.sync(current)
        assert catalog.behind
        begin = time.monotonic()
        for _ in range(5):
            catalog.sync(current)  # a line once, and no more waiting
        assert time.monotonic() - begin < 2
    catalog.finish(current)
    assert not catalog.behind and folder.finished() and folder.current() == names[:-1]
    with Catalog.open(folder.root) as found:
        assert found.is_current(names[:-1])
    assert len([line for line in said.getvalue().splitlines() if CATALOG in line]) == 1


def test_a_damaged_catalog_is_told_and_ends_nothing(copy: Callable[[], Path]) -> None:
    folder = RunFolder(copy())
    report, said = reporter()
    (folder.root / CATALOG).write_bytes(b"something of somebody else")
    catalog = CatalogSync(folder, report)
    catalog.sync(dict.fromkeys(folder.current(), ""))
    assert catalog.behind and "it is no DuckDB file. Delete it" in said.getvalue()


@pytest.mark.parametrize("text", ["", '{"manifests": ["source/a', "[]", "{}", '{"manifests": null}'])
def test_a_damaged_run_json_is_named_and_written_anew(small: Small, copy: Callable[[], Path], text: str) -> None:
    folder = RunFolder(copy())
    (folder.root / "run.json").write_text(text)
    message = rf"run\.json is damaged.*fairshards run {folder.root}/recipe\.yaml -o"
    for ask in (folder.current, folder.finished, folder.go_home):
        with pytest.raises(RunFolderError, match=message):
            ask()
    report, said = reporter()
    assert listed_before(folder, report) == []
    assert "run.json is damaged" in said.getvalue() and "writes it anew" in said.getvalue()
    if text == "":
        small.run(folder.root)
        assert folder.finished() and folder.current() == RunFolder(small.root).current()


def test_a_catalog_that_is_damaged_where_only_the_report_reads_says_what_to_do(copy: Callable[[], Path]) -> None:
    import duckdb

    message = "can't be used as a catalog.*Delete it"
    with pytest.raises(CatalogUnreadable, match=message), open_reader(copy()):
        raise duckdb.Error("Corrupt database file: computed checksum 1 does not match stored checksum 2 in block 3")
