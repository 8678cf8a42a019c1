"""The main job on tiny real checkpoints: what it writes, what it does again, and what it never reuses."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import webdataset as wds

from catalogs import manifest
from catalogs.catalog import Catalog, dump, rebuild
from pipeline.runfolder import RunFolder, RunFolderError
from pipeline.verify import check_shards, find_orphans
from tests.pipeline.conftest import Small
from tests.pipeline.small import digests


def test_curated_shards_are_balanced_and_read_by_webdataset(small: Small) -> None:
    tars = sorted(str(path) for path in small.root.glob("curated/*/balanced-*.tar"))
    samples = list(wds.WebDataset(tars, shardshuffle=False))
    groups = Counter(json.loads(sample["json"])["group_name"] for sample in samples)
    assert groups == dict.fromkeys(
        ("landbird|land", "landbird|water", "waterbird|land", "waterbird|water"), 4
    )
    for sample in samples:
        facts = json.loads(sample["json"])
        assert facts["g"] == 1 and int(sample["cls"]) == facts["y"] and sample["png"].startswith(b"\x89PNG")
        assert (
            sample["txt"].decode()
            == facts["prompt"]
            == f"a photo of a {facts['class_name']} on {facts['bias_name']}"
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


def test_a_changed_filter_makes_a_new_curation_beside_the_old_one(
    small: Small, copy: Callable[[], Path]
) -> None:
    root = copy()
    result = small.run(root, "filters={trajectory_variance: {quantile: 0.99}}", "quota.per_group=3")
    assert result.generated == 0
    with Catalog.open(root) as catalog:
        kept = dict(
            catalog.con.execute(
                "SELECT curation_id, count(*) FROM decisions WHERE filter = 'quota' AND keep GROUP BY 1"
            ).fetchall()
        )
    assert kept == {small.result.curated.curation_id: 16, result.curated.curation_id: 12}


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
    assert (
        sum(
            1 for path in find_orphans(RunFolder(root)) if path.suffix == ".tar" and path.parent.name == "raw"
        )
        == 8
    )


def test_a_changed_scorer_scores_again_and_generates_nothing(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    before = digests(root, "raw/*.parquet")
    result = small.run(root, "scorer.class_prompts=['a drawing of a {class}']")
    assert result.generated == 0 and digests(root, "raw/*.parquet") == before
    assert len(list((root / "scores").glob("*.parquet"))) == 16


def test_groups_that_cannot_be_filled_are_reported_and_the_rest_stays_equal(
    small: Small, tmp_path: Path
) -> None:
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


def test_raw_shards_hold_what_the_plan_says(small: Small) -> None:
    for path in small.root.glob("raw/*.tar"):
        with tarfile.open(path) as tar:
            names = tar.getnames()
        assert len(names) == 8 and {name.rpartition(".")[2] for name in names} == {
            "cls",
            "json",
            "png",
            "txt",
        }
