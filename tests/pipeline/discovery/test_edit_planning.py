"""Phrases of captions become groups, and groups an edit plan: which pictures, which phrase, what is asked."""

from __future__ import annotations

from typing import Any

import pytest

from fairshards.pipeline.discovery.edits import edit_rows
from fairshards.pipeline.discovery.phrases_found import Found, phrases_found
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.transforms.edits.specs import EditorSpec, EditSpec
from fairshards.transforms.pictures.specs import SegmenterSpec

Row = dict[str, Any]
SPEC = EditSpec(EditorSpec("inpaint", "there", "e" * 64), SegmenterSpec("there", "s" * 64), device="cpu")


def index(count: int = 8) -> list[Row]:
    return [
        {
            "sample_id": f"s{n}",
            "y": n % 2,
            "split": "train",
            "shard": "train-000000.tar",
            "offset": 512 * n,
            "size": 9,
            "image_sha256": f"{n:064x}",
        }
        for n in range(count)
    ]


def said(source: str, kind: str, phrase: str, status: str = "ok") -> Row:
    return {"source_id": source, "kind": kind, "phrase": phrase, "status": status}


def found(**changes: Any) -> Found:
    rows = index()
    captions = [{"source_id": row["sample_id"], "status": "ok"} for row in rows]
    captions[7]["status"] = "reject"
    phrases = [said(row["sample_id"], "background", "the lake" if row["y"] else "a forest") for row in rows]
    phrases += [said(row["sample_id"], "alternative", "a desert") for row in rows]
    phrases += [
        said("s1", "foreground", "two reeds"),
        said("s3", "foreground", "a reed"),
        said("s5", "foreground", "a crane", "reject"),
    ]
    right = {row["sample_id"]: row["sample_id"] != "s2" for row in rows}
    return phrases_found(rows, captions, changes.get("phrases", phrases), right)


def recipe(*overrides: str) -> Recipe:
    return load_recipe("pocket-aspire", ["discovery.ranking.min_count=1", *overrides])


def plan(what: Found, *overrides: str) -> list[Row]:
    chosen = recipe(*overrides)
    assert chosen.discovery is not None
    return edit_rows(chosen, chosen.discovery, what, index(), SPEC)


def test_images_keep_their_phrases_and_rejected_captions_and_phrases_are_left_out() -> None:
    images = {image.source_id: image for image in found().images}
    assert sorted(images) == [f"s{n}" for n in range(7)]
    assert images["s1"].groups == images["s3"].groups and len(images["s1"].groups) == 2
    assert images["s5"].groups == {"the lake"}
    assert (images["s1"].correct, images["s2"].correct) == (True, False)
    assert found().alternatives["s0"] == "a desert"


def test_an_edit_removes_an_object_or_replaces_a_background() -> None:
    rows = {(row["source_id"], row["kind"]): row for row in plan(found())}
    reed, lake = rows["s3", "foreground"], rows["s3", "background"]
    assert (reed["phrase"], reed["mask_phrase"], reed["replacement"]) == ("a reed", "a reed", None)
    assert reed["prompt"] == "a photo of a waterbird on the lake"
    assert (lake["mask_phrase"], lake["replacement"]) == ("a bird", "a desert")
    assert (reed["keep_phrases"], lake["keep_phrases"]) == ([], ["a reed"])
    assert lake["prompt"] == "a photo of a waterbird on a desert"
    assert (lake["source_shard"], lake["source_offset"]) == ("source/train-000000.tar", 512 * 3)
    assert rows["s1", "foreground"]["phrase_group"] == reed["phrase_group"]


def test_only_images_that_the_reference_gets_right_are_edited() -> None:
    assert {row["source_id"] for row in plan(found())} == {"s0", "s1", "s3", "s4", "s5", "s6"}


def test_a_background_that_would_be_replaced_by_itself_is_not_edited() -> None:
    phrases = [
        said("s0", "background", "a forest"),
        said("s0", "alternative", "the forests"),
        said("s4", "background", "a forest"),
    ]
    assert plan(found(phrases=phrases)) == []


def test_a_larger_number_of_edits_only_adds_some_and_rare_phrases_are_left_out() -> None:
    few = plan(found(), "discovery.edits_per_phrase=1")
    many = plan(found(), "discovery.edits_per_phrase=3")
    assert {row["edit_id"] for row in few} < {row["edit_id"] for row in many}
    assert len({(row["y"], row["phrase_group"]) for row in few}) == len(few)
    common = plan(found(), "discovery.ranking.min_count=3")
    assert {row["phrase"] for row in common} == {"a forest", "the lake"}


def test_ids_follow_what_decides_the_picture() -> None:
    base = [row["edit_id"] for row in plan(found())]
    assert base == [row["edit_id"] for row in plan(found())]
    for change in ("discovery.editor.steps=11", "seed=1", "discovery.editor.negative=blurry"):
        assert not {row["edit_id"] for row in plan(found(), change)} & set(base), change


def test_an_instruction_editor_is_told_what_to_do() -> None:
    rows = plan(found(), "discovery.editor.kind=instruct", "discovery.editor.batch_size=4")
    asked = {row["prompt"] for row in rows}
    assert "turn the background of the lake into a desert." in asked and "remove a reed." in asked


def test_rows_of_a_task_are_neighbours_and_tasks_have_at_most_their_size() -> None:
    tasks = [row["task"] for row in plan(found(), "discovery.editor.task_size=2")]
    assert tasks == sorted(tasks) and max(map(tasks.count, tasks)) == 2


@pytest.mark.parametrize("field", ["background_prompt", "foreground_prompt", "background_instruction"])
def test_a_prompt_with_an_unknown_field_is_refused(field: str) -> None:
    with pytest.raises(Exception, match="has a field 'place'; known are"):
        recipe(f"discovery.editor.{field}='a {{place}}'")
