"""A sample's life story: found by prefix, complete, and printable."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from fairshards.catalogs.errors import SampleError
from fairshards.catalogs.questions.explain import life_story, render
from fairshards.catalogs.questions.story import extract_command, lines
from tests.catalogs.small_run import CURATION, Run, ident, place

KEPT, SURPLUS, BAD = (ident("sample", 0, 0, 1, 0), ident("sample", 0, 0, 3, 0), ident("sample", 1, 1, 3, 0))


def _printed(run: Run, sample: str) -> str:
    console = Console(file=io.StringIO(), width=200)
    render(life_story(run.path, sample), console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_kept_sample(built: Run) -> None:
    story = life_story(built.path, KEPT[:10])
    assert (story.sample_id, story.kind, story.group_name) == (KEPT, "text-to-image", "landbird|land")
    (plan,), (made,), (curated,) = story.of("planned"), story.of("generated"), story.of("indexed")
    assert (plan["prompt"], plan["noise_seed"], plan["generator_fingerprint"]) == ("a landbird on land", 1, "f" * 64)
    assert (made["shard"], made["offset"], made["trajectory_variance"]) == ("raw/00-0.tar", 2048, 0.02)
    assert {facts["score"]: facts["value"] for facts in story.of("scored")} == {
        "clip_alignment": pytest.approx(0.21),
        "group_judge": pytest.approx(0.21),
    }
    assert [(facts["filter"], facts["keep"]) for facts in story.of("decided")] == [
        ("generated", True),
        ("clip_alignment", True),
        ("quota", True),
    ]
    assert (curated["curation_id"], curated["shard"]) == (CURATION, f"curated/{CURATION}/balanced-000000.tar")
    (training,) = story.of("trained on")
    assert (training["method"], training["worst_group"], training["accuracy"]) == ("ffr", "waterbird|land", 0.7)


def test_what_is_printed_of_a_kept_sample(built: Run) -> None:
    text = _printed(built, KEPT)
    for part in (
        "a landbird on land",
        "noise seed 1",
        "raw/00-0.tar at byte 2048, 701 bytes",
        "trajectory variance 0.02",
        "judged 'landbird|land'",
        f"curation {CURATION}  kept",
        "used all of the 8 samples",
        "waterbird|land at 70.0% (50.0% to 90.0%, n = 10)",
    ):
        assert part in text


def test_why_a_sample_was_not_kept(built: Run) -> None:
    assert "not kept: quota rejects (surplus)" in _printed(built, SURPLUS)
    text = _printed(built, BAD)
    assert "by stage generate: nan_image. the model returned NaN" in text
    assert "not kept: generated rejects (nan_image)" in text


def test_a_source_image(built: Run) -> None:
    story = life_story(built.path, ident("source", "u0-1"))
    assert (story.kind, story.group_name) == ("source", "waterbird|water")
    (training,) = story.of("trained on")
    assert (training["training_id"], training["use"]) == ("aaaa00000001", "train")
    assert "key u0-1" in _printed(built, ident("source", "u0-1"))


def test_a_rejected_and_a_duplicate_source_image(built: Run) -> None:
    assert "by stage source: truncated" in _printed(built, ident("bad", 1))
    assert "duplicate_key" in _printed(built, ident("source", "shared"))


def test_an_ambiguous_prefix_shows_some_ids(built: Run) -> None:
    first = [ident("sample", y, b, n, 0)[0] for y in (0, 1) for b in (0, 1) for n in range(4)]
    twice = next(digit for digit in first if first.count(digit) > 1)
    with pytest.raises(SampleError, match=f"more than one id begins with '{twice}': {twice}.*more digits"):
        life_story(built.path, twice)


def test_an_unknown_id_gets_the_nearest(built: Run) -> None:
    wrong = KEPT[:9] + ("0" if KEPT[9] != "0" else "1")
    with pytest.raises(SampleError, match=KEPT):
        life_story(built.path, wrong)
    for nothing in ("", "  "):
        with pytest.raises(SampleError, match="fairshards query RUN samples"):
            life_story(built.path, nothing)


def test_a_run_without_samples(tmp_path: Path) -> None:
    Run(tmp_path / "new", []).publish()
    with pytest.raises(SampleError, match="no samples yet"):
        life_story(tmp_path / "new", "ab")


def test_the_command_takes_the_picture_out(run: Run, tmp_path: Path) -> None:
    at = place("00-0.tar", 1)
    picture = b"\x89PNG" + bytes(at["size"] - 4)
    (run.path / "raw" / "00-0.tar").write_bytes(bytes(at["offset"]) + picture + bytes(1000))
    story = life_story(run.path, KEPT)
    (made,) = story.of("generated")
    subprocess.run(extract_command(story, made), shell=True, check=True, cwd=tmp_path)
    assert (tmp_path / f"{KEPT}.png").read_bytes() == picture


def test_markup_in_a_prompt_is_printed_as_it_is(run: Run) -> None:
    from tests.catalogs.small_run import plan_rows

    row = dict(plan_rows(0, 1, 1, seed=9)[0], prompt="[red]a bird[/red]")
    run.write("plan/round-1.parquet", "plan", [row])
    assert "[red]a bird[/red]" in _printed(run, row["sample_id"])


def test_the_story_as_data(built: Run) -> None:
    data = life_story(built.path, KEPT).as_dict()
    assert data["events"][0]["event"] == "planned"
    assert all(isinstance(text, str) for pair in lines(life_story(built.path, KEPT)) for text in pair)


def test_an_edit_that_is_a_sample_is_told_from_its_source_image_on(run: Run) -> None:
    from fairshards.catalogs.manifests.identity import digest
    from fairshards.catalogs.manifests.manifest import Shard
    from tests.catalogs.small_run import plan_rows, raw_rows

    edit = ident("edit", 1)
    row = {
        **plan_rows(1, 1, 1)[0],
        "sample_id": edit,
        "kind": "edit",
        "task": "edits-0000",
        "b": -1,
        "bias_name": "unknown",
        "group_name": "waterbird|unknown",
    }
    run.write("plan/edits-0.parquet", "plan", [row])
    tar = Shard("../edits/edits-0000.tar", digest("edits"), 9000, 5)
    run.write("raw/edits-0000.parquet", "generate", raw_rows([row], tar.name), shard=tar)
    story = life_story(run.path, edit)
    assert (story.kind, story.group_name) == ("edit", "waterbird|unknown")
    text = _printed(run, edit)
    for part in (
        f"{ident('source', 'u0-1')}: birds, split train, key u0-1",
        "background 'the lake' became 'a desert', by inpaint: the prediction changed",
        "mask 40.0% of the picture, rho unknown",
        "edits/edits-0000.tar at byte 512",
    ):
        assert part in text, (part, text)
    assert f"it is sample {edit}" in _printed(run, ident("source", "u0-1"))


def test_a_sources_edits_are_printed(built: Run) -> None:
    text = _printed(built, ident("source", "u0-1"))
    assert "background 'the lake': the prediction changed, probability of its class 90.0% to 80.0%" in text
    assert "background 'a lake': no change, probability" in _printed(built, ident("source", "shared"))
