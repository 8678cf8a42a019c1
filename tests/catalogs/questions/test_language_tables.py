"""Captions and phrases in the catalog: rows, rejects with the raw answer, unique ids, a source image's story."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from fairshards.catalogs.database.catalog import Catalog, dump, rebuild
from fairshards.catalogs.manifests.manifest import ManifestError, to_table
from fairshards.catalogs.questions.explain import life_story, render
from tests.catalogs.small_run import Run, ident

SOURCE, OTHER = ident("source", "shared"), ident("source", "u0-1")


def caption_row(source_id: str, **changes: Any) -> dict[str, Any]:
    row = {"source_id": source_id, "captioner": "git", "caption": "a bird on a lake", "status": "ok"}
    return {**row, **changes}


def phrase_row(kind: str | None, phrase: str | None, source_id: str = SOURCE, **changes: Any) -> dict[str, Any]:
    return {"source_id": source_id, "extractor": "t5", "kind": kind, "phrase": phrase, "status": "ok", **changes}


def reject(reason: str, detail: str, **changes: Any) -> dict[str, Any]:
    return {"status": "reject", "reason": reason, "detail": detail, **changes}


@pytest.fixture
def told(run: Run) -> Run:
    """The small run with captions and phrases of two source images."""
    run.write(
        "captions/a.parquet",
        "caption",
        [
            caption_row(SOURCE, detail="cut from 2000 characters to at most 1000"),
            caption_row(OTHER, caption=None, **reject("empty_caption", "the model said ''")),
        ],
    )
    run.write(
        "phrases/a.parquet",
        "extract",
        [
            phrase_row("background", "lake"),
            phrase_row("foreground", "reed"),
            phrase_row("alternative", "desert"),
            phrase_row("foreground", "unicorn", **reject("not_in_caption", "no unicorn", raw='{"foreground": []}')),
            phrase_row(None, None, OTHER, **reject("no_description", "describes nothing")),
        ],
    )
    with Catalog.open(run.path, "write") as catalog:
        catalog.sync(run.names)
    return run


def rows(run: Run, sql: str) -> list[tuple[Any, ...]]:
    with Catalog.open(run.path) as catalog:
        return catalog.con.execute(sql).fetchall()


def test_good_rows_are_in_their_tables(told: Run) -> None:
    assert rows(told, "SELECT source_id, captioner, caption, left(detail, 8) FROM captions") == [
        (SOURCE, "git", "a bird on a lake", "cut from")
    ]
    assert rows(told, "SELECT source_id, extractor, kind, phrase FROM phrases ORDER BY kind") == [
        (SOURCE, "t5", "alternative", "desert"),
        (SOURCE, "t5", "background", "lake"),
        (SOURCE, "t5", "foreground", "reed"),
    ]


def test_rejects_carry_the_reason_and_the_raw_answer(told: Run) -> None:
    sql = "SELECT stage, id, key, reason, detail FROM rejects WHERE stage IN ('caption', 'extract')"
    assert set(rows(told, sql)) == {
        ("caption", OTHER, "git", "empty_caption", "the model said ''"),
        ("extract", SOURCE, "foreground", "not_in_caption", 'no unicorn | answer: {"foreground": []}'),
        ("extract", OTHER, None, "no_description", "describes nothing"),
    }
    sql = "SELECT rejected_by, reason, n FROM reject_reasons WHERE rejected_by = 'extract' ORDER BY reason"
    assert rows(told, sql) == [("extract", "no_description", 1), ("extract", "not_in_caption", 1)]


def test_a_rebuild_gives_the_same_rows(told: Run) -> None:
    with Catalog.open(told.path) as catalog:
        before = dump(catalog.con)
    rebuild(told.path)
    with Catalog.open(told.path) as catalog:
        assert dump(catalog.con) == before
    assert len(before["captions"]) == 1 and len(before["phrases"]) == 3


def test_the_story_of_a_source_image(told: Run) -> None:
    story = life_story(told.path, SOURCE)
    (captioned,) = story.of("captioned")
    assert (captioned["captioner"], captioned["caption"]) == ("git", "a bird on a lake")
    assert [(facts["kind"], facts["phrase"]) for facts in story.of("phrase")] == [
        ("background", "lake"),
        ("foreground", "reed"),
        ("alternative", "desert"),
    ]
    console = Console(file=io.StringIO(), width=200)
    render(story, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    wanted = ("'a bird on a lake' by git", "background 'lake'", "alternative 'desert'", "by stage extract: not_in_")
    for part in wanted:
        assert part in text


@pytest.mark.parametrize(
    ("name", "stage", "again"),
    [
        ("captions/b.parquet", "caption", caption_row(SOURCE, caption="other")),
        ("phrases/b.parquet", "extract", phrase_row("foreground", "reed")),
    ],
)
def test_a_caption_or_phrase_that_is_there_twice_names_both_manifests(
    told: Run, name: str, stage: str, again: dict[str, Any]
) -> None:
    told.write(name, stage, [again])
    with Catalog.open(told.path, "write") as catalog, pytest.raises(ManifestError, match=rf"a\.parquet and {name}"):
        catalog.sync(told.names)


def test_two_captioners_stand_side_by_side(told: Run) -> None:
    told.write("captions/b.parquet", "caption", [caption_row(SOURCE, captioner="blip")])
    with Catalog.open(told.path, "write") as catalog:
        catalog.sync(told.names)
    assert rows(told, "SELECT captioner FROM captions ORDER BY 1") == [("blip",), ("git",)]


def test_a_column_that_the_stage_lacks_is_told() -> None:
    with pytest.raises(ManifestError, match=r"stage 'extract' has no column \['alternative'\]"):
        to_table("extract", [phrase_row("background", "lake", alternative="desert")])
