"""Silhouettes in a run: made while scoring, compared with the class's real pictures, decided over like any score."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fairshards.filters.pictures.silhouette import nearest_silhouettes, silhouette
from fairshards.filters.scorers.clip_scorer import ClipScorer
from fairshards.generators.editing import segmentation
from fairshards.generators.editing.clipseg import ClipSeg
from fairshards.generators.images import decode_image
from fairshards.pipeline.cli.app import app
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.pictures.discovery_plan import downloads
from fairshards.pipeline.pictures.models import scorer_spec
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.run.context import Anew
from fairshards.pipeline.run.folder import open_run
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.verify import check_shards, find_orphans
from fairshards.transforms.shards import embeddings
from tests.pipeline.small import small_recipe
from tests.pipeline.synthesis.test_compared import asked
from tests.tiny_editors import write_tiny_clipseg

FILTER = "filters={silhouette: {max: 2.0}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("silhouettes")
    write_tiny_clipseg(where / "clipseg")
    made(where, where / "run", FILTER)
    return where


def segmenting(folder: Path) -> str:
    return f"scorer.segmenter={{model: {folder / 'clipseg'}, threshold: 0.5, object_words: [a bird]}}"


def made(folder: Path, root: Path, *overrides: str, generate: bool = True) -> RunResult:
    """Run the small recipe up to its curation."""
    recipe = small_recipe(folder, segmenting(folder), *overrides)
    return run(recipe, Launcher(), Reporter(quiet=True), "curate", root, anew=Anew(generate))


def test_every_sample_is_compared_with_the_real_pictures_of_its_class(folder: Path) -> None:
    root = folder / "run"
    rows = asked(
        root,
        "SELECT s.value, s.label, p.y, o.y, o.split FROM scores s JOIN plan p USING (sample_id) "
        "JOIN sources o ON o.source_id = s.label WHERE score = 'silhouette_distance'",
    )
    assert len(rows) == 16 and all(y == real and split == "train" for _, _, y, real, split in rows)
    found = embeddings.of_manifests(root.glob("scores/*.parquet"), embeddings.SILHOUETTES)
    assert len(found) == 16 and {one.shape for one in found.values()} == {(32, 32)}
    sample, shard, offset, size = asked(root, 'SELECT sample_id, shard, "offset", size FROM samples ORDER BY 1')[0]
    picture = np.array(decode_image((root / shard).read_bytes()[offset : offset + size]))
    segmenter = ClipSeg.load(folder / "clipseg", device="cpu", threshold=0.5)
    again = silhouette(next(segmenter.segment([picture], ["a bird"], 8)))
    np.testing.assert_allclose(found[sample], again, atol=1e-3)  # float16


def test_explain_names_the_nearest_real_picture(folder: Path) -> None:
    ((sample, label),) = asked(
        folder / "run", "SELECT sample_id, label FROM scores WHERE score = 'silhouette_distance' ORDER BY 1 LIMIT 1"
    )
    told = CliRunner().invoke(app, ["explain", str(folder / "run"), sample], env={"COLUMNS": "200"})
    assert told.exit_code == 0 and f"nearest to {label!r}" in told.output


def test_the_score_is_the_distance_to_the_label(folder: Path) -> None:
    root = folder / "run"
    real = embeddings.of_manifests(root.glob("calibration/real-*.parquet"), embeddings.SILHOUETTES)
    own = embeddings.of_manifests(root.glob("scores/*.parquet"), embeddings.SILHOUETTES)
    assert len(real) == 12
    for sample, value, label in asked(
        root, "SELECT sample_id, value, label FROM scores WHERE score = 'silhouette_distance'"
    ):
        ((distance, _),) = nearest_silhouettes(own[sample][None], real[label][None], [label])  # type: ignore[misc]
        assert value == pytest.approx(distance, abs=1e-4)


def test_curate_sets_a_limit_and_loads_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(shutil.copytree(folder / "run", tmp_path / "copy"))
    for kind in (ClipScorer, ClipSeg):
        monkeypatch.setattr(kind, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    monkeypatch.setattr(segmentation, "load_segmenter", lambda *_, **__: pytest.fail("a model was loaded"))
    strict = made(folder, root, "filters={silhouette: {retain: 0.5}}", generate=False)
    assert strict.curated
    limits = asked(
        root,
        f"SELECT calibrated_on, score, retain FROM calibrations WHERE curation_id = '{strict.curated.curation_id}'",
    )
    assert limits and set(limits) == {("samples", "silhouette_distance", 0.5)}
    reasons = asked(
        root,
        "SELECT count(*) FROM decisions WHERE filter = 'silhouette' AND reason = 'silhouette' "
        f"AND curation_id = '{strict.curated.curation_id}'",
    )
    values = asked(root, "SELECT count(DISTINCT round(value, 4)) FROM scores WHERE score = 'silhouette_distance'")
    assert reasons[0][0] > 0 or values[0][0] == 1
    both = made(folder, root, "filters={silhouette: {max: 2.0}, near_duplicates: {max: 1.0}}", generate=False)
    assert both.curated and not list(check_shards(open_run(str(root))))
    assert not [path for path in find_orphans(open_run(str(root))) if "scores" in path.parts]


def test_without_a_segmenter_the_filter_is_refused_and_nothing_else_changes(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"name what finds them, e\.g\. scorer\.segmenter"):
        small_recipe(folder, FILTER)
    plain, with_it = small_recipe(folder), small_recipe(folder, segmenting(folder))
    assert scorer_spec(plain).stage_fingerprint != scorer_spec(with_it).stage_fingerprint
    assert scorer_spec(with_it).objects == ("a bird", "a bird") and scorer_spec(plain).segmenter is None
    hub = small_recipe(folder, "scorer.segmenter={model: owner/dino, sam: owner/sam}")
    assert {"owner/dino", "owner/sam"} <= set(downloads(hub))
    named = small_recipe(folder, f"scorer.segmenter={{model: {folder / 'clipseg'}}}")
    assert scorer_spec(named).objects == ("a landbird", "a waterbird")


def test_limits_of_another_run_hold_for_the_same_segmenter_alone(folder: Path, tmp_path: Path) -> None:
    calibrated, borrowed = "filters={silhouette: {retain: 0.5}}", f"calibration.run={tmp_path / 'first'}"
    made(folder, tmp_path / "first", calibrated)
    made(folder, tmp_path / "same", calibrated, borrowed)
    sql = "SELECT group_name, threshold FROM calibrations ORDER BY ALL"
    assert asked(tmp_path / "first", sql) == asked(tmp_path / "same", sql)
    other = segmenting(folder).replace("0.5", "0.6")
    with pytest.raises(RecipeError, match=r"filters\.silhouette was calibrated with another generator .* or segmenter"):
        made(folder, tmp_path / "other", calibrated, borrowed, other)


def test_previews_are_judged_without_a_segmenter(folder: Path) -> None:
    from fairshards.pipeline.pictures.models import generator_spec

    def prune(*more: str) -> Any:
        return generator_spec(small_recipe(folder, "generator.prune={step: 1, min_class: 0.1}", *more)).prune

    assert prune(segmenting(folder)).said == prune().said
