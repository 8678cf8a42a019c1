"""The main job on tiny real checkpoints: what it writes, what it does again, and what it never reuses."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import webdataset as wds

from fairshards.catalogs.database.catalog import Catalog, dump, rebuild
from fairshards.catalogs.manifests import manifest
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.plan_table import real_counts
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.run.context import Anew
from fairshards.pipeline.run.folder import RunFolder, RunFolderError
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.verify import check_shards, find_orphans
from tests.pipeline.small import Small, digests, small_recipe, write_source


def test_curated_shards_are_balanced_and_read_by_webdataset(small: Small) -> None:
    tars = sorted(str(path) for path in small.root.glob("curated/*/balanced-*.tar"))
    samples = list(wds.WebDataset(tars, shardshuffle=False))
    groups = Counter(json.loads(sample["json"])["group_name"] for sample in samples)
    assert groups == dict.fromkeys(("landbird|land", "landbird|water", "waterbird|land", "waterbird|water"), 4)
    for sample in samples:
        facts = json.loads(sample["json"])
        assert facts["g"] == 1 and int(sample["cls"]) == facts["y"] and sample["png"].startswith(b"\x89PNG")
        assert (
            sample["txt"].decode() == facts["prompt"] == f"a photo of a {facts['class_name']} on {facts['bias_name']}"
        )


def test_the_index_points_at_the_pictures(small: Small) -> None:
    head, rows = manifest.read_rows(next(small.root.glob("curated/*/index.parquet")))
    assert len(rows) == 16 and {row["split"] for row in rows} == {"balanced"}
    for row in rows:
        tar = (small.root / "curated" / row["curation_id"] / row["shard"]).read_bytes()
        assert tar[row["offset"] : row["offset"] + row["size"]].startswith(b"\x89PNG")
    assert sum(shard["samples"] for shard in head.settings["shards"]) == 16


def test_the_catalog_knows_every_sample_and_can_be_rebuilt(copy: Callable[[], Path]) -> None:
    root = copy()
    with Catalog.open(root) as catalog:
        before = dump(catalog.con)
        assert catalog.con.execute("SELECT count(*) FROM samples").fetchone() == (16,)
    assert len(before["sources"]) == 28 and len(before["scores"]) >= 48
    (root / "catalog.duckdb").unlink()
    rebuild(root)
    with Catalog.open(root) as catalog:
        assert dump(catalog.con) == before


def test_a_second_run_generates_nothing_and_changes_nothing(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    before = digests(root, "**/*.tar") | digests(root, "**/*.parquet")
    assert small.run(root).generated == 0
    assert digests(root, "**/*.tar") | digests(root, "**/*.parquet") == before


def test_a_changed_filter_makes_a_new_curation_beside_the_old_one(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    result = small.run(root, "filters={variance: {retain: 0.99}}", "quota.per_group=3")
    assert result.generated == 0
    with Catalog.open(root) as catalog:
        kept = dict(
            catalog.con.execute(
                "SELECT curation_id, count(*) FROM decisions WHERE filter = 'quota' AND keep GROUP BY 1"
            ).fetchall()
        )
    assert kept == {small.result.curated.curation_id: 16, result.curated.curation_id: 12}


def test_curate_with_a_stricter_filter_makes_nothing_and_reports_what_is_short(
    small: Small, copy: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    root = copy()
    monkeypatch.setattr("fairshards.generators.diffusion.text_to_image.TextToImage.load", load)
    monkeypatch.setattr("fairshards.filters.scorers.clip_scorer.ClipScorer.load", load)
    before = digests(root, "**/*.tar")
    recipe = small_recipe(small.folder, "filters={variance: {retain: 0.5}}")
    result = run(recipe, Launcher(), Reporter(quiet=True), "curate", root, anew=Anew(False))
    assert result.generated == 0 and sum(result.curated.selection.shortfall.values()) >= 4
    assert before.items() <= digests(root, "**/*.tar").items()
    with Catalog.open(root) as catalog:
        assert catalog.con.execute("SELECT count(*) FROM curations").fetchone() == (2,)
    same = run(small_recipe(small.folder), Launcher(), Reporter(quiet=True), "curate", root, anew=Anew(False))
    assert same.curated.curation_id == small.result.curated.curation_id  # as `run` names it


@pytest.mark.parametrize(
    "change",
    [
        "prompts.templates=['a drawing of a {class}, {bias}']",
        "bias.values=[{name: land}, {name: water, words: [a lake]}]",
        "classes=[{name: waterbird}, {name: landbird}]",
    ],
)
def test_curate_refuses_samples_of_another_prompt_or_group_and_keeps_the_recipe(
    small: Small, copy: Callable[[], Path], change: str
) -> None:
    root = copy()
    before = digests(root, "*.*")
    with pytest.raises(RecipeError, match="another seed, prompt, generator or group"):
        run(small_recipe(small.folder, change), Launcher(), Reporter(quiet=True), "curate", root, anew=Anew(False))
    assert digests(root, "*.*") == before


def test_a_balanced_dataset_needs_no_samples(small: Small, tmp_path: Path) -> None:
    changes = (f"source.path={write_source(tmp_path / 'equal', (2, 2, 2, 2))}", "quota.per_group=null")
    assert small.run(tmp_path / "run", *changes).generated == 0
    recipe = small_recipe(small.folder, *changes)
    result = run(recipe, Launcher(), Reporter(quiet=True), "curate", tmp_path / "run", anew=Anew(False))
    assert result.curated.selection.chosen == [] and not result.curated.selection.shortfall


def test_curate_on_an_empty_folder_says_what_to_run(small: Small, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no generated samples"):
        recipe = small_recipe(small.folder)
        run(recipe, Launcher(), Reporter(quiet=True), "curate", tmp_path / "run", anew=Anew(False))


def test_plan_leaves_a_finished_run_as_it_is(copy: Callable[[], Path]) -> None:
    root = copy()
    before = digests(root, "**/*")
    recipe = load_recipe(str(root / "recipe.yaml"), ["source.bias_ratio=0.85", "source.val_min_group=1"])
    counts, _, _ = real_counts(recipe, root)
    assert counts == {(0, 0): 4, (0, 1): 1, (1, 0): 1, (1, 1): 4}
    after = digests(root, "**/*")
    assert before.items() <= after.items()
    assert [name for name in after if name not in before and "source/index-" not in name] == []


def test_a_larger_quota_makes_only_what_is_new(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    before = digests(root, "raw/*.tar")
    result = small.run(root, "quota.per_group=6")
    assert result.generated == 8
    assert before.items() <= digests(root, "raw/*.tar").items()
    assert result.curated.selection.balanced == 6


def test_a_changed_prompt_reuses_nothing_stale(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    result = small.run(root, "prompts.templates=['a picture of a {class}, {bias}']")
    assert result.generated == 16
    with Catalog.open(root) as catalog:
        prompts = [row[0] for row in catalog.con.execute("SELECT DISTINCT prompt FROM plan").fetchall()]
        curations = catalog.con.execute("SELECT count(*) FROM curations").fetchone()
    assert all(prompt.startswith("a picture of") for prompt in prompts) and len(prompts) == 4
    assert curations == (1,)  # the earlier curation rested on samples that are no longer current
    assert sum(1 for path in find_orphans(RunFolder(root)) if path.suffix == ".tar" and path.parent.name == "raw") == 8


def test_a_changed_scorer_scores_again_and_generates_nothing(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    before = digests(root, "raw/*.parquet")
    result = small.run(root, "scorer.class_prompts=['a drawing of a {class}']")
    assert result.generated == 0 and digests(root, "raw/*.parquet") == before
    assert len(list((root / "scores").glob("*.parquet"))) == 16


def test_groups_that_cannot_be_filled_are_reported_and_the_rest_stays_equal(small: Small, tmp_path: Path) -> None:
    result = small.run(tmp_path / "run", "filters={clip_alignment: {min: 1.0}}", "quota.per_group=1")
    assert result.curated.selection.shortfall == dict.fromkeys([(0, 0), (0, 1), (1, 0), (1, 1)], 1)
    assert result.curated.selection.balanced == 0
    _, rows = manifest.read_rows(next((tmp_path / "run").glob("curated/*/index.parquet")))
    assert rows == []
    assert len(list((tmp_path / "run/plan").glob("*.parquet"))) == 2  # both rounds were tried


def test_verify_finds_a_damaged_shard_and_a_missing_one(copy: Callable[[], Path]) -> None:
    root = copy()
    assert list(check_shards(RunFolder(root))) == []
    damaged, missing = sorted(root.glob("raw/*.tar"))[:2]
    data = bytearray(damaged.read_bytes())
    data[600] ^= 1
    damaged.write_bytes(data)
    missing.unlink()
    problems = list(check_shards(RunFolder(root)))
    assert len(problems) == 2 and "checksum" in problems[0] and "missing" in problems[1]


def test_a_missing_raw_shard_is_made_again(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    before = digests(root, "raw/*.tar")
    sorted(root.glob("raw/*.tar"))[0].unlink()
    assert small.run(root).generated == 2
    assert digests(root, "raw/*.tar") == before


def test_a_second_driver_is_refused_with_the_first_ones_pid(copy: Callable[[], Path]) -> None:
    import os

    folder = RunFolder(copy())
    with folder.writing(), pytest.raises(RunFolderError, match=f"process {os.getpid()}"), folder.writing():
        pass


def test_without_bias_labels_there_is_nothing_to_balance(tmp_path: Path) -> None:
    blind = load_recipe("pocket-aspire", ["bias=null", "spurious_free=null", "training.methods=[erm]"])
    with pytest.raises(RecipeError, match="no groups to balance: add spurious_free"):
        run(blind, Launcher(), Reporter(quiet=True), root=tmp_path / "run")


def test_raw_shards_hold_what_the_plan_says(small: Small) -> None:
    for path in small.root.glob("raw/*.tar"):
        with tarfile.open(path) as tar:
            names = tar.getnames()
        assert len(names) == 8 and {name.rpartition(".")[2] for name in names} == {"cls", "json", "png", "txt"}


def test_another_size_of_curated_shards_is_another_curation(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    result = small.run(root, "quota.curated_shard_size=6")
    small.run(root)
    for curated, shards in ((small.result.curated, 1), (result.curated, 3)):
        head, rows = manifest.read_rows(root / curated.index)
        tars = sorted((root / curated.index).parent.glob("balanced-*.tar"))
        assert [tar.name for tar in tars] == [shard["name"] for shard in head.settings["shards"]]
        samples = wds.WebDataset([str(tar) for tar in tars], shardshuffle=False)
        assert [sample["__key__"] for sample in samples] == [row["sample_id"] for row in rows]
        assert len(tars) == shards and len(rows) == 16
    assert list(check_shards(RunFolder(root))) == []


def test_curated_shards_say_what_their_index_says_after_classes_were_reordered(
    small: Small, copy: Callable[[], Path]
) -> None:
    """The raw shards are the same and keep the class numbers of the run that made them."""
    root, classes = copy(), ["waterbird", "landbird"]
    result = small.run(root, f"classes=[{{name: {classes[0]}}}, {{name: {classes[1]}}}]")
    assert result.generated == 0
    rows = {row["sample_id"]: row for row in manifest.read_rows(root / result.curated.index)[1]}
    tar = next((root / result.curated.index).parent.glob("balanced-*.tar"))
    for sample in wds.WebDataset(str(tar), shardshuffle=False):
        facts, row = json.loads(sample["json"]), rows.pop(sample["__key__"])
        names = ("y", "class_name", "b", "bias_name", "group_name")
        assert [facts[name] for name in names] == [row[name] for name in names]
        assert int(sample["cls"]) == facts["y"] == classes.index(facts["class_name"])
    assert rows == {}
    with Catalog.open(root) as catalog:
        planned = catalog.con.execute("SELECT DISTINCT y, class_name FROM plan ORDER BY y").fetchall()
    assert planned == list(enumerate(classes))


def test_a_smaller_quota_keeps_the_earlier_curation_and_its_trainings(small: Small, copy: Callable[[], Path]) -> None:
    root, first = copy(), small.result.curated
    folder, training = RunFolder(root), "training/t1/metrics.parquet"
    folder.commit(training, "train", "t1", [], task_hash="0" * 64, inputs=[first.manifests[first.index]])
    folder.set_current([*folder.current(), training], finished=True)
    result = small.run(root, "quota.per_group=2")
    assert result.generated == 0 and training in folder.current()
    with Catalog.open(root) as catalog:
        query = "SELECT curation_id, count(*) FROM decisions WHERE filter = 'quota' AND keep GROUP BY 1"
        kept = dict(catalog.con.execute(query).fetchall())
        counts = [catalog.con.execute(f"SELECT count(*) FROM {name}").fetchone() for name in ("plan", "samples")]
    assert kept == {first.curation_id: 16, result.curated.curation_id: 8} and counts == [(16,), (16,)]
    recipe = small_recipe(small.folder, "quota.per_group=2")
    again = run(recipe, Launcher(), Reporter(quiet=True), "curate", root, anew=Anew(False))
    assert again.curated.curation_id == result.curated.curation_id  # over the rounds of the last run
    small.run(root)
    assert training in folder.current()
    assert sorted(folder.current()) == sorted([*RunFolder(small.root).current(), *result.curated.manifests, training])


def test_a_run_that_stops_at_the_source_forgets_nothing(small: Small, copy: Callable[[], Path]) -> None:
    folder = RunFolder(copy())
    before = set(folder.current())
    small.run(folder.root, until="source")
    assert set(folder.current()) == before


def test_another_filter_on_grey_pictures_scores_nothing_again(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    before = digests(root, "scores/*.parquet")
    result = small.run(root, "filters.grey_scale={min: 0}")
    assert digests(root, "scores/*.parquet") == before
    assert result.curated.selection.balanced == 4


def test_a_filter_whose_score_no_picture_has_is_refused_after_the_first_round(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairshards.generators.diffusion.trajectory.predicted_x0", lambda *_: None)
    folder = RunFolder(tmp_path / "run")
    why = "which none of 8 pictures has: DDIMScheduler doesn't tell its predicted x0"
    with pytest.raises(RecipeError, match=rf"filters.variance needs the score trajectory_variance, {why}"):
        small.run(folder.root, "quota.per_group=2")
    assert len(list(folder.root.glob("plan/*.parquet"))) == 1
    assert not folder.finished()
    with Catalog.open(folder.root) as catalog:  # a round is listed as soon as it is done
        assert catalog.con.execute("SELECT count(*) FROM samples").fetchone() == (8,)
    assert small.run(folder.root, "quota.per_group=2", "filters={}").generated == 0
    assert folder.finished()


@pytest.mark.parametrize("root", [Path("gs://bucket/run"), None])
def test_an_object_store_is_refused_as_the_run_folder(
    small: Small, root: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = small_recipe(small.folder, "output=gs://bucket")
    with pytest.raises(RunFolderError, match=r"can't be gs:.*local file system"):
        run(recipe, Launcher(), Reporter(quiet=True), "curate", root)
    assert not list(tmp_path.iterdir())
