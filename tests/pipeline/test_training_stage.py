"""From curated shards to trainings, the catalog and the report, on the small run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from catalogs.catalog import Catalog
from pipeline.recipe import RecipeError
from pipeline.training import train_settings
from tests.pipeline.conftest import Small
from tests.pipeline.small import small_recipe
from trainers.errors import TrainerError

STAGES = "main: {epochs: 1}, pretrain: {epochs: 1}, finetune: {epochs: 1}"
QUICK = f"training={{methods: [erm, asb, ffr], settings: {{image_size: 32, {STAGES}}}}}"


def test_trainings_their_shards_and_groups_are_in_the_catalog_and_the_report(
    small: Small, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(small.root, tmp_path / "run"))
    result = small.run(root, QUICK, until="report")
    assert [training.method for training in result.trainings] == ["erm", "asb", "ffr"]
    with Catalog.open(root) as catalog:
        query = catalog.con.execute
        assert query("SELECT count(*) FROM training_runs").fetchone() == (3,)
        groups = query("SELECT count(*) FROM group_metrics WHERE split = 'test'").fetchone()
        assert groups is not None and groups[0] >= 3 * 4
        shards = query("SELECT DISTINCT shard FROM training_shards").fetchall()
    assert any("balanced-000000.tar" in shard for (shard,) in shards)
    assert result.report is not None and "<html" in result.report.read_text()
    again = small.run(root, QUICK, until="report")
    assert not any(training.trained for training in again.trainings)


def test_a_mix_that_is_short_is_an_error_that_says_what_to_raise(small: Small, tmp_path: Path) -> None:
    root = Path(shutil.copytree(small.root, tmp_path / "run"))
    with pytest.raises(TrainerError, match="quota"):
        small.run(root, QUICK.replace("[erm, asb, ffr]", "[usb]"), "quota.per_group=1", until="train")


def test_unknown_training_settings_are_named(small: Small) -> None:
    recipe = small_recipe(small.folder, "training.settings={epoch: 3}")
    with pytest.raises(RecipeError, match=r"training\.settings: unknown \['epoch'\]"):
        train_settings(recipe)
    recipe = small_recipe(small.folder, "training.settings={main: {learning_rate: 3}}")
    with pytest.raises(RecipeError, match=r"training\.settings\.main: unknown \['learning_rate'\]"):
        train_settings(recipe)
