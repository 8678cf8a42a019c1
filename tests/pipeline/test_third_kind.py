"""A kind that nobody of ours knows runs through driver, verify, plan, report and card, with no change in them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.questions.query import run_query
from fairshards.filters.registry import ROW_FILTERS
from fairshards.pipeline.cli.pages import print_plan, print_summary
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import kind_of, load_recipe, registry
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.recipe.base import RecipeBase, RecipeError
from fairshards.pipeline.run.context import Anew
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.verify import find_orphans, verify
from fairshards.plugins import path_of
from tests.pipeline.third_kind import LongEnough, Sentences

LINES = "a cat sleeps\na dog barks\nthe dog runs\nnothing here\n"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecipeBase]:
    folder = tmp_path_factory.mktemp("sentences")
    (folder / "lines.txt").write_text(LINES)
    filters = "filters: {long_enough: {min: 5}}"
    said = f"kind: sentences\nname: told\npath: {folder}/lines.txt\noutput: {folder}/runs\n{filters}\n"
    (folder / "told.yaml").write_text(said)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ROW_FILTERS.built_in, LongEnough.name, path_of(LongEnough))
        patch.setitem(registry._registered, Sentences.name, Sentences())
        yield load_recipe(str(folder / "told.yaml"))


@pytest.fixture(scope="module")
def told(recipe: RecipeBase) -> RunResult:
    return run(recipe, Launcher(), Reporter(quiet=True))


def test_every_class_gets_its_sentences_and_the_short_ones_are_left_out(told: RunResult) -> None:
    assert told.judged == {0: 6, 1: 6} and told.curated
    rows = manifest.read_rows(told.folder.root / told.curated.index)[1]
    texts = {name: (told.folder.root / f"curated/{told.curated.curation_id}" / name).read_text() for name in
             {row["shard"] for row in rows}}  # fmt: skip
    lines = [line for text in texts.values() for line in text.splitlines()]
    assert len(lines) == 12 and all(len(line.split()) >= 5 for line in lines)
    assert [line.split()[-1] for line in lines].count("cat") == 6
    assert run_query(told.folder.root, "SELECT count(*) FROM decisions WHERE reason = 'too_short'")[1][0][0] > 0


def test_the_same_command_makes_nothing_and_another_limit_decides_anew(recipe: RecipeBase, told: RunResult) -> None:
    listed = told.folder.current()
    again = run(recipe, Launcher(), Reporter(quiet=True))
    assert again.generated == 0 and again.folder.current() == listed
    looser = recipe.model_copy(update={"filters": {"long_enough": {"min": 4}}})
    decided = run(looser, Launcher(), Reporter(quiet=True), "curate", anew=Anew(generate=False, read=False))
    assert decided.generated == 0 and decided.curated and told.curated
    assert decided.curated.curation_id != told.curated.curation_id
    assert run(recipe, Launcher(), Reporter(quiet=True)).curated == again.curated


def test_verify_tells_sentences_again_and_finds_a_damaged_shard(recipe: RecipeBase, told: RunResult) -> None:
    said = io.StringIO()
    assert verify(told.folder, recipe, 5, False, Console(file=said, width=200)) == 0
    assert "5 sentences told again" in said.getvalue() and not list(find_orphans(told.folder))
    shard = next((told.folder.root / "raw").glob("*.txt"))
    before = shard.read_bytes()
    shard.write_bytes(b"b" + before[1:])
    assert verify(told.folder, recipe, 0, False, Console(file=said, width=200)) == 1
    assert "has checksum" in said.getvalue()
    shard.write_bytes(before)


def test_plan_summary_report_and_card_are_the_kinds(recipe: RecipeBase, told: RunResult, tmp_path: Path) -> None:
    said, pages = io.StringIO(), kind_of(recipe).pages
    assert print_plan(recipe, tmp_path, pages, Console(file=said))
    print_summary(recipe, told, pages, Console(file=said))
    assert "12 sentences" in said.getvalue() and "kept {0: 6, 1: 6}" in said.getvalue()
    assert told.report and "Sentences about cat and dog." in told.report.read_text()
    card = (told.folder.root / "README.md").read_text()
    assert "Sentences about cat and dog." in card and "text-generation" in card


def test_a_source_that_is_not_there_is_said_before_anything_is_written(recipe: RecipeBase, tmp_path: Path) -> None:
    gone = recipe.model_copy(update={"path": str(tmp_path / "nothing.txt")})
    with pytest.raises(RecipeError, match=r"path: .*nothing\.txt"):
        run(gone, Launcher(), Reporter(quiet=True), root=tmp_path / "run")
    assert not (tmp_path / "run").exists()
