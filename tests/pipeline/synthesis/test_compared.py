"""Near-duplicates in a run: scored from stored embeddings, decided like any filter, kept with their curations."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.questions.query import run_query
from fairshards.filters.scorers.clip_model import ClipModel
from fairshards.filters.scorers.clip_scorer import ClipScorer
from fairshards.generators.images import decode_image
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.run.context import Anew
from fairshards.pipeline.run.folder import open_run
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.verify import check_shards, find_orphans
from fairshards.transforms.shards import embeddings
from tests.pipeline.small import small_recipe

FILTER = "filters={near_duplicates: {max: 1.0}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("duplicates")
    made(where, where / "run", FILTER)
    return where


def made(folder: Path, root: Path, *overrides: str, generate: bool = True) -> RunResult:
    """Run the small recipe up to its curation."""
    recipe = small_recipe(folder, *overrides)
    return run(recipe, Launcher(), Reporter(quiet=True), "curate", root, anew=Anew(generate))


def asked(root: Path, sql: str) -> list[Any]:
    """Return the rows of a query."""
    return [tuple(row) for row in run_query(root, sql)[1]]


def test_embeddings_lie_beside_the_scores(folder: Path) -> None:
    root = folder / "run"
    found: dict[str, Any] = {}
    for name in root.glob("scores/*.parquet"):
        found |= embeddings.of_manifest(name, manifest.read_head(name).settings)
    rows = asked(root, 'SELECT sample_id, shard, "offset", size FROM samples')
    assert set(found) == {row[0] for row in rows} and len(found) == 16
    sample, shard, offset, size = rows[0]
    clip = ClipModel.load(folder / "models" / "clip", device="cpu", batch_size=4)
    again = clip.embed_images([decode_image((root / shard).read_bytes()[offset : offset + size])])[0]
    np.testing.assert_allclose(found[sample], again, atol=2e-3)  # float16


def test_every_sample_knows_its_nearest(folder: Path) -> None:
    root = folder / "run"
    real = asked(
        root,
        "SELECT count(*), count(DISTINCT s.sample_id), bool_and(p.y = o.y), bool_and(o.split = 'train') "
        "FROM scores s JOIN plan p USING (sample_id) JOIN sources o ON o.source_id = s.label "
        "WHERE score = 'duplicate_of_real'",
    )
    assert real == [(16, 16, True, True)]
    inside = asked(
        root,
        "SELECT count(*), bool_and(p.group_name = q.group_name), bool_and(q.replicate < p.replicate) "
        "FROM scores s JOIN plan p USING (sample_id) JOIN plan q ON q.sample_id = s.label "
        "WHERE score = 'duplicate_in_group'",
    )
    assert inside == [(12, True, True)]  # four groups of four; the first of each has none before it
    assert asked(root, "SELECT count(*) FROM real_scores WHERE score = 'clip_alignment'") == [(12,)]


def test_a_stricter_limit_makes_a_curation_beside_it_and_loads_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(folder / "run", tmp_path / "copy"))
    monkeypatch.setattr(ClipScorer, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    ((highest,),) = asked(root, "SELECT median(value) FROM scores WHERE score = 'duplicate_in_group'")
    strict = made(folder, root, f"filters={{near_duplicates: {{max: {highest:.4f}}}}}", generate=False)
    assert strict.curated
    reasons = dict(
        asked(
            root,
            "SELECT reason, count(*) FROM decisions WHERE filter = 'near_duplicates' AND NOT keep "
            f"AND curation_id = '{strict.curated.curation_id}' GROUP BY 1",
        )
    )
    assert set(reasons) <= {"duplicate", "memorised"} and sum(reasons.values()) >= 4
    made(folder, root, "filters={variance: {max: 1.0e+9}}", generate=False)
    assert asked(root, "SELECT count(DISTINCT curation_id) FROM curations") == [(3,)]
    assert not list(check_shards(open_run(str(root))))
    assert not [path for path in find_orphans(open_run(str(root))) if "scores" in path.parts]


def test_lost_embeddings_are_made_again(folder: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(folder / "run", tmp_path / "copy"))
    lost = sorted(root.glob("scores/*.safetensors"))[0]
    lost.unlink()
    assert any("is missing" in problem for problem in check_shards(open_run(str(root))))
    made(folder, root, FILTER, generate=False)
    assert lost.exists()


def test_a_group_in_which_all_are_rejected_ends_with_a_message(folder: Path, tmp_path: Path) -> None:
    result = made(folder, tmp_path / "none", "filters={near_duplicates: {max: -1.0}, variance: {retain: 0.9}}")
    assert result.curated and result.curated.selection.balanced == 0
    assert sum(result.curated.selection.shortfall.values()) == 16
    notes = asked(tmp_path / "none", "SELECT group_name, n, note FROM calibrations")
    assert notes and all(n >= 0 for _, n, _ in notes)


def test_limits_of_another_run_may_stand_beside_near_duplicates(folder: Path, tmp_path: Path) -> None:
    """Samples are compared with this run's own real pictures, whose limits come from elsewhere."""
    calibrated, both = "filters={near_duplicates: {retain: 0.9}, variance: {retain: 0.9}}", tmp_path / "other"
    made(folder, tmp_path / "first", calibrated)
    made(folder, both, calibrated, f"calibration.run={tmp_path / 'first'}")
    limits = [
        asked(root, "SELECT filter, score, group_name, threshold FROM calibrations ORDER BY ALL")
        for root in (tmp_path / "first", both)
    ]
    assert limits[0] == limits[1] and {row[0] for row in limits[1]} == {"near_duplicates", "variance"}
    compared = asked(both, "SELECT count(*) FROM scores WHERE score = 'duplicate_of_real'")
    assert compared == asked(both, "SELECT count(*) FROM samples") != [(0,)]
