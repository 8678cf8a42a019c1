"""Discovery and spurious-free pictures on a small pocket world with the real pocket checkpoints, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from catalogs.catalog import Catalog
from catalogs.explain import life_story
from catalogs.story import lines
from pipeline.driver import RunResult, run
from pipeline.jobs import Launcher
from pipeline.progress import Reporter
from pipeline.recipe import RecipeError, load_recipe
from pipeline.verify import verify

SMALL = (
    "source.n_train=160", "source.val_min_group=6", "source.test_per_group=10", "discovery.edits_per_phrase=6",
    "discovery.ranking.min_count=5", "discovery.max_phrases=2", "discovery.editor.steps=5",
    "discovery.editor.task_size=8", "discovery.editor.batch_size=8", "discovery.task_size=64",
    "spurious_free.per_class=4", "spurious_free.personalise.steps=4", "spurious_free.personalise.batch_size=2",
    "generator.steps=5", "generator.batch_size=8", "generator.window=3", "quota.shard_size=8", "quota.max_rounds=3",
    "filters={spurious_absence: {max: 0.99}}", "training.settings={main: {epochs: 6}}",
    "training.by_method={}",
)  # fmt: skip


def go(root: Path, *overrides: str, until: str = "report", generate: bool = True) -> RunResult:
    recipe = load_recipe("pocket-aspire", [*SMALL, *overrides])
    return run(recipe, Launcher(torch_threads=2), Reporter(quiet=True), until, root, generate)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return go(tmp_path_factory.mktemp("aspire") / "run")


def test_the_backgrounds_are_found_and_no_bias_label_was_read(made: RunResult) -> None:
    assert made.discovered is not None
    reported = {(phrase.y, phrase.phrase) for phrase in made.discovered.spurious}
    assert reported == {(0, "land"), (1, "water")}
    with Catalog.open(made.folder.root) as catalog:
        settings = catalog.con.execute(
            "SELECT selection FROM (SELECT json_extract_string(settings, '$.selection') AS selection "
            "FROM ingested WHERE stage = 'train')"
        ).fetchall()
    assert any("worst-class" in str(said) for (said,) in settings)


def test_every_stage_is_in_the_catalog(made: RunResult) -> None:
    with Catalog.open(made.folder.root) as catalog:
        count = {
            table: catalog.con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
            for table in ("captions", "phrases", "edit_plan", "edit_scores", "spurious_features", "discovered_groups",
                          "personalisations", "personal_pictures", "training_runs")
        }  # fmt: skip
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
            "SELECT class_name, b, group_name, count(*) FROM shard_index WHERE g = 1 GROUP BY ALL ORDER BY 1"
        ).fetchall()
        plans = catalog.con.execute("SELECT DISTINCT class_name, prompt, negatives, spurious FROM plan").fetchall()
    assert rows == [("landbird", -1, "landbird|unknown", 4), ("waterbird", -1, "waterbird|unknown", 4)]
    said = {name: (prompt, json.loads(away), json.loads(free)) for name, prompt, away, free in plans}
    assert said["waterbird"] == (
        "a photo of a <waterbird-0>", [["a photo of a <waterbird-0> on water", -0.4]], ["water"]
    )


def test_the_same_command_again_does_nothing_and_finds_the_same(made: RunResult) -> None:
    again = go(made.folder.root)
    assert again.generated == 0 and not any(training.trained for training in again.trainings)
    assert again.discovered is not None and made.discovered is not None
    assert again.discovered.ranked == made.discovered.ranked
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
    for part in ("Perp-Neg: away from 'a photo of a <waterbird-0> on water'", "free of: 'water'", "taught",
                 "source", "aspire-erm"):  # fmt: skip
        assert part in told, (part, told)


def test_the_report_shows_the_ranked_phrases_with_edits(made: RunResult) -> None:
    assert made.report is not None
    page = made.report.read_text()
    assert "What the classifier leans on" in page and "before: water becomes land" in page
    assert "ASPIRE+ERM" in page


def test_discovery_alone_stops_before_anything_is_generated(made: RunResult, tmp_path: Path) -> None:
    import shutil

    root = Path(shutil.copytree(made.folder.root, tmp_path / "run"))
    found = go(root, until="discover")
    assert found.discovered is not None and found.report is not None and found.curated is None
    assert "What the classifier leans on" in found.report.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("training.methods=[ffr]",), r"ffr.*\(class, bias\) group"),
        (("discovery=null",), "spurious_free needs to know what is spurious"),
        (("spurious_free=null",), "add spurious_free"),
        (("discovery.splits=[train]",), r"set discovery.splits: \[train, val\]"),
        (("discovery.segmenter=null",), "name a segmenter"),
        (("spurious_free.personalise.stps=4",), "personalise has"),
        (("spurious_free.personalise.method=dreambooth-lora",), "a pipeline takes one LoRA"),
        (("discovery.captioner={}",), "name a model or an endpoint"),
        (("discovery.captionr=1",), "unknown key"),
    ],
)
def test_sections_that_do_not_go_together_are_refused(change: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("pocket-aspire", change)
