"""Discovery and spurious-free pictures on a small pocket world with the real pocket checkpoints, end to end."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from fairshards.catalogs.database.catalog import Catalog
from fairshards.catalogs.manifests.manifest import read_head
from fairshards.catalogs.questions.explain import life_story
from fairshards.catalogs.questions.story import lines
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.run.context import Anew
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.verify import verify
from tests.command_line import fairshards

SMALL = (
    "source.n_train=160",
    "source.val_min_group=6",
    "source.test_per_group=10",
    "discovery.edits_per_phrase=6",
    "discovery.ranking.min_count=5",
    "discovery.max_phrases=2",
    "discovery.editor.steps=5",
    "discovery.editor.task_size=8",
    "discovery.editor.batch_size=8",
    "discovery.task_size=64",
    "spurious_free.make=generate",
    "spurious_free.per_class=4",
    "spurious_free.personalise.steps=4",
    "spurious_free.personalise.batch_size=2",
    "generator.steps=5",
    "generator.batch_size=8",
    "generator.window=3",
    "quota.shard_size=8",
    "quota.max_rounds=3",
    "filters={spurious_absence: {max: 0.99}}",
    "training.settings={main: {epochs: 6}}",
    "training.by_method={aspire-erm: {selection: synthetic-validation}}",
    "quota.validation=2",
)


def go(root: Path, *overrides: str, until: str = "report", generate: bool = True) -> RunResult:
    recipe = load_recipe("pocket-aspire", [*SMALL, *overrides])
    return run(recipe, Launcher(torch_threads=2), Reporter(quiet=True), until, root, Anew(generate))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return go(tmp_path_factory.mktemp("aspire") / "run")


def test_the_backgrounds_are_found_and_no_bias_label_was_read(made: RunResult) -> None:
    assert made.prepared.discovered is not None
    reported = {(phrase.y, phrase.phrase) for phrase in made.prepared.discovered.spurious}
    assert reported == {(0, "land"), (1, "water")}
    with Catalog.open(made.folder.root) as catalog:
        settings = catalog.con.execute(
            "SELECT selection FROM (SELECT json_extract_string(settings, '$.selection') AS selection "
            "FROM ingested WHERE stage = 'train')"
        ).fetchall()
    rules = " ".join(str(said) for (said,) in settings)
    assert "worst-class" in rules and "on the generated balanced validation set" in rules


def test_every_stage_is_in_the_catalog(made: RunResult) -> None:
    with Catalog.open(made.folder.root) as catalog:
        count = {
            table: catalog.con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
            for table in (
                "captions",
                "phrases",
                "edit_plan",
                "edit_scores",
                "spurious_features",
                "discovered_groups",
                "personalisations",
                "personal_pictures",
                "training_runs",
            )
        }
        names = {name for (name,) in catalog.con.execute("SELECT name FROM training_runs").fetchall()}
        ranking = catalog.con.execute("SELECT examples FROM spurious_ranking WHERE spurious").fetchall()
    assert all(count.values()), count
    assert names == {"ERM", "ASPIRE+ERM", "ASPIRE+DFR"}
    assert all(len(examples) == 3 for (examples,) in ranking)


def test_only_training_images_are_edited_and_only_edits_teach(made: RunResult) -> None:
    with Catalog.open(made.folder.root) as catalog:
        ask = catalog.con.execute
        splits = ask("SELECT DISTINCT split FROM edit_plan JOIN sources USING (source_id)").fetchall()
        strangers = ask(
            "SELECT count(*) FROM personal_pictures WHERE sample_id NOT IN (SELECT edit_id FROM edit_scores WHERE hit)"
        ).fetchall()
    assert splits == [("train",)] and strangers == [(0,)]


def test_kept_pictures_are_balanced_over_classes_with_an_unknown_bias_value(made: RunResult) -> None:
    with Catalog.open(made.folder.root) as catalog:
        rows = catalog.con.execute(
            "SELECT class_name, b, group_name, split, count(*) FROM shard_index WHERE g = 1 GROUP BY ALL ORDER BY 1, 4"
        ).fetchall()
        plans = catalog.con.execute("SELECT DISTINCT class_name, prompt, negatives, spurious FROM plan").fetchall()
    assert rows == [
        (name, -1, f"{name}|unknown", split, count)
        for name in ("landbird", "waterbird")
        for split, count in (("balanced", 4), ("validation", 2))
    ]
    said = {name: (prompt, json.loads(away), json.loads(free)) for name, prompt, away, free in plans}
    assert said["waterbird"] == (
        "a photo of a <waterbird-0>",
        [["a photo of a <waterbird-0> on water", -0.4]],
        ["water"],
    )


def test_the_audit_tells_what_phrases_say_with_the_samples(made: RunResult) -> None:
    assert made.curated is not None
    with Catalog.open(made.folder.root) as catalog:
        rows = catalog.con.execute(
            'SELECT phrase, "real", synthetic, bits_before, bits_after FROM phrase_bits ORDER BY 1'
        ).fetchall()
        ranked = catalog.con.execute("SELECT DISTINCT phrase, bits FROM spurious_features ORDER BY 1").fetchall()
    assert [(phrase, before) for phrase, _, _, before, _ in rows] == ranked
    assert {real for _, real, *_ in rows} == {160} and {synthetic for _, _, synthetic, *_ in rows} == {8}
    assert {phrase for phrase, _, _, before, after in rows if before != after} >= {"land", "water"}
    assert "with the samples" in (made.folder.root / "report.html").read_text()


def test_the_same_command_again_does_nothing_and_finds_the_same(made: RunResult) -> None:
    again = go(made.folder.root)
    assert again.generated == 0 and not any(training.trained for training in again.judged)
    assert again.prepared.discovered is not None and made.prepared.discovered is not None
    assert again.prepared.discovered.ranked == made.prepared.discovered.ranked
    assert again.curated is not None and made.curated is not None
    assert again.curated.curation_id == made.curated.curation_id
    curated = go(made.folder.root, until="curate", generate=False)
    assert curated.curated is not None and curated.curated.curation_id == made.curated.curation_id
    recipe = load_recipe(str(made.folder.root / "recipe.yaml"))
    assert verify(made.folder, recipe, 2, False, Console(quiet=True)) == 0


def test_a_story_goes_from_the_prompt_to_the_edits_and_to_the_models(made: RunResult) -> None:
    with Catalog.open(made.folder.root) as catalog:
        (sample,) = catalog.con.execute(
            "SELECT min(sample_id) FROM shard_index WHERE g = 1 AND class_name = 'waterbird'"
        ).fetchall()[0]
    told = "\n".join(f"{label}: {text}" for label, text in lines(life_story(made.folder.root, sample)))
    for part in (
        "Perp-Neg: away from 'a photo of a <waterbird-0> on water'",
        "free of: 'water'",
        "taught",
        "source",
        "aspire-erm",
    ):
        assert part in told, (part, told)


def test_the_report_shows_the_ranked_phrases_with_edits(made: RunResult) -> None:
    assert made.report is not None
    page = made.report.read_text()
    assert "What the classifier leans on" in page and "before: water becomes land" in page
    assert "ASPIRE+ERM" in page and "a photo of a {class}; guidance perp-neg" in page
    assert "FFR stage 1" not in page


def test_discovery_alone_stops_before_anything_is_generated(made: RunResult, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made.folder.root, tmp_path / "run"))
    done = fairshards("discover", root / "recipe.yaml", "--output", root, "--quiet")
    assert done.exit_code == 0 and "curated" not in done.stdout, done.output
    assert re.search(r"waterbird +water", done.stdout) and f"fairshards query {root} spurious" in done.stdout
    assert "What the classifier leans on" in (root / "report.html").read_text()


# ---- edits as samples -----------------------------------------------------------------------------------

EDITS = (
    "spurious_free.per_class=8",
    "training.methods=[erm,aspire-erm]",
    "training.by_method={}",
    "quota.validation=0",
    "filters={spurious_absence: {max: 0.99}, edit_misplaced: {}, variance: {retain: 1.0}}",
)


@pytest.fixture(scope="module")
def mixed(made: RunResult, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    root = Path(shutil.copytree(made.folder.root, tmp_path_factory.mktemp("mixed") / "run"))
    return go(root, "spurious_free.make=both", *EDITS, until="train")


def test_edits_go_first_and_generated_pictures_fill_up(mixed: RunResult) -> None:
    with Catalog.open(mixed.folder.root) as catalog:
        ask = catalog.con.execute
        kept = ask(
            "SELECT class_name, kind, count(*), any_value(shard_index.b) FROM shard_index "
            "JOIN plan USING (sample_id, class_name) WHERE curation_id = $1 GROUP BY ALL ORDER BY 1, 2",
            [mixed.curated.curation_id],
        ).fetchall()
        edits = ask(
            "SELECT class_name, mask_attribution, keep, split, phrase_group FROM edit_scores "
            "JOIN edit_plan USING (edit_id) JOIN sources USING (source_id, class_name) "
            "JOIN decisions ON sample_id = edit_id "
            "WHERE curation_id = $1 AND filter = 'edit_misplaced'",
            [mixed.curated.curation_id],
        ).fetchall()
        twice = ask("SELECT path FROM shards GROUP BY path HAVING count(*) > 1").fetchall()
    counts = {(name, kind): count for name, kind, count, _ in kept}
    assert mixed.generated == 0 and not twice  # the generated ones were there, and edits are nobody's second shard
    for name, shown in (("landbird", "land"), ("waterbird", "water")):
        rho = {value: keep for said, value, keep, _, _ in edits if said == name}
        mean = sum(rho) / len(rho)
        assert rho and all(keep == (value > mean) for value, keep in rho.items())
        assert counts[name, "edit"] == sum(rho.values()) > 0
        assert counts[name, "edit"] + counts[name, "text-to-image"] == 8
        assert {(split, group) for said, _, _, split, group in edits if said == name} == {("train", shown)}
    assert {b for *_, b in kept} == {-1}


def test_an_edits_story_goes_from_its_source_image_to_the_models(mixed: RunResult) -> None:
    with Catalog.open(mixed.folder.root) as catalog:
        edit, source = catalog.con.execute(
            "SELECT edit_id, source_id FROM shard_index JOIN edit_plan ON edit_id = sample_id ORDER BY 1 LIMIT 1"
        ).fetchall()[0]
    told = "\n".join(f"{label}: {text}" for label, text in lines(life_story(mixed.folder.root, edit)))
    order = [
        told.index(part)
        for part in (
            f"source: {source}",
            "edited: background",
            "rho 0.",
            "generated: edits/",
            "scored: judge_class",
            "curated",
            "aspire-erm",
        )
    ]
    assert order == sorted(order), told
    of_source = "\n".join(text for _, text in lines(life_story(mixed.folder.root, source)))
    assert f"it is sample {edit}" in of_source


def test_edits_alone_are_taken_again_after_a_kill_and_nothing_is_generated(mixed: RunResult) -> None:
    root = mixed.folder.root
    before = {path: path.read_bytes() for path in root.glob("raw/edits-*.parquet")}
    heads = {path: read_head(path) for path in [*before, *root.glob("scores/edits-*.parquet")]}
    for path in heads:
        path.unlink()
    alone = go(root, "spurious_free.make=edit", *EDITS, until="curate", generate=False)
    assert before and {path: read_head(path) for path in heads} == heads
    assert alone.generated == 0 and alone.curated is not None and alone.curated.selection.balanced > 0
    assert {candidate.sample["kind"] for _, candidate in alone.curated.selection.chosen} == {"edit"}
    assert verify(alone.folder, load_recipe(str(root / "recipe.yaml")), 2, False, Console(quiet=True)) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("training.methods=[ffr]",), r"ffr.*\(class, bias\) group"),
        (("discovery=null",), "spurious_free needs to know what is spurious"),
        (("spurious_free=null",), "add spurious_free"),
        (("discovery.splits=[train]",), r"set discovery.splits: \[train, val\]"),
        (("discovery.segmenter=null",), "name a segmenter"),
        (("spurious_free.personalise.stps=4",), "personalise has"),
        (("spurious_free.make=paint",), "'generate', 'edit' or 'both'"),
        (("spurious_free.personalise.method=dreambooth-lora",), "a pipeline takes one LoRA"),
        (("discovery.captioner={}",), "name a model or an endpoint"),
        (("discovery.captionr=1",), "unknown key"),
    ],
)
def test_sections_that_do_not_go_together_are_refused(change: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("pocket-aspire", change)
