"""From curated shards to trainings, the catalog and the report, on the small run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fairshards.catalogs.database.catalog import Catalog
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.count_checks import check_quota
from fairshards.pipeline.pictures.preflight import check_groups
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.loading import shipped_recipes
from fairshards.pipeline.recipe.training import train_settings
from fairshards.pipeline.run.quota import quotas
from fairshards.trainers.core.errors import TrainerError
from tests.pipeline.small import Small

STAGES = "main: {epochs: 1}, pretrain: {epochs: 1}, finetune: {epochs: 1}"
QUICK = f"training={{methods: [erm, asb, ffr], settings: {{image_size: 32, {STAGES}}}}}"


def test_trainings_their_shards_and_groups_are_in_the_catalog_and_the_report(small: Small, tmp_path: Path) -> None:
    root = Path(shutil.copytree(small.root, tmp_path / "run"))
    result = small.run(root, QUICK, until="report")
    assert [training.method for training in result.judged] == ["erm", "asb", "ffr"]
    with Catalog.open(root) as catalog:
        query = catalog.con.execute
        assert query("SELECT count(*) FROM training_runs").fetchone() == (3,)
        groups = query("SELECT count(*) FROM group_metrics WHERE split = 'test'").fetchone()
        assert groups is not None and groups[0] >= 3 * 4
        shards = query("SELECT DISTINCT shard FROM training_shards").fetchall()
    assert any("balanced-000000.tar" in shard for (shard,) in shards)
    assert result.report is not None and "<html" in result.report.read_text()
    again = small.run(root, QUICK, until="report")
    assert not any(training.trained for training in again.judged)


def test_a_quota_that_is_too_small_for_a_method_is_refused_before_anything_is_made(
    small: Small, tmp_path: Path
) -> None:
    usb = QUICK.replace("[erm, asb, ffr]", "[usb]")
    with pytest.raises(RecipeError, match=r"usb, which needs 2 .* landbird\|water.* keeps 1: set quota.usb_extra"):
        small.run(tmp_path / "run", usb, "quota.per_group=1", until="train")
    assert not list((tmp_path / "run").glob("plan/*"))


def test_a_training_that_fails_leaves_a_catalog_to_ask(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(small.root, tmp_path / "run"))
    asked = "filters={clip_alignment: {min: 1.0}}"
    with pytest.raises(TrainerError, match="has no samples"):
        small.run(root, QUICK.replace("[erm, asb, ffr]", "[erm, asb]"), asked, "quota.max_rounds=1", until="train")
    with Catalog.open(root) as catalog:
        query = catalog.con.execute
        assert query("SELECT method FROM training_runs").fetchall() == [("erm",)]
        assert query("SELECT count(*) FROM decisions WHERE reason IS NOT NULL").fetchone() != (0,)


# Those that fill (class, bias) groups; spurious-free pictures have a quota of their own, by class.
@pytest.mark.parametrize("name", [name for name in shipped_recipes("pictures") if not load_recipe(name).spurious_free])
def test_every_shipped_quota_is_enough_for_its_methods(name: str) -> None:
    base = load_recipe(name)
    for ratio in base.source.published_counts or {"0.95": [475, 25, 25, 475]}:
        recipe = load_recipe(name, [f"source.bias_ratio={ratio}"])
        published = recipe.source.published_counts.get(ratio, (475, 25, 25, 475))
        real = dict(zip(recipe.groups, published, strict=True))
        check_quota(recipe, real, quotas(real, recipe.quota.per_group, recipe.quota.usb_extra))


def test_the_settings_of_a_method_go_before_those_of_all() -> None:
    common = "training.settings={image_size: 32, main: {epochs: 3, lr: 0.1}, finetune: {epochs: 4}}"
    own = "training.by_method={usb: {main: {lr: 0.5}}, ffr: {finetune: {lr: 0.25}}}"
    found = {each.method: each for each in train_settings(load_recipe("pocket-waterbirds", [common, own]).training)}
    assert {each.image_size for each in found.values()} == {32}
    assert (found["erm"].main.lr, found["usb"].main.lr, found["usb"].main.epochs) == (0.1, 0.5, 3)
    assert (found["ffr"].finetune.lr, found["ffr"].finetune.epochs) == (0.25, 4)


def test_aspires_methods_are_trained_once_and_with_erm() -> None:
    asked = "training={methods: [erm, aspire-erm], losses: [erm, resample], seeds: [0, 1]}"
    settings = train_settings(load_recipe("pocket-aspire", [asked]).training)
    found = [(each.method, each.loss, each.seed) for each in settings]
    assert found == [
        (*pair, seed) for seed in (0, 1) for pair in (("erm", "erm"), ("aspire-erm", "erm"), ("erm", "resample"))
    ]


def test_dfr_over_discovered_groups_needs_a_run_that_discovers_some() -> None:
    asked = ["training={methods: [aspire-dfr]}"]
    with pytest.raises(RecipeError, match="aspire-dfr, which balances discovered groups, but this run discovers none"):
        check_groups(load_recipe("pocket-aspire", asked), discovered=False)
    check_groups(load_recipe("pocket-aspire", asked), discovered=True)
    asked.append("training.by_method={aspire-dfr: {dfr_groups: 'true'}}")
    check_groups(load_recipe("pocket-aspire", asked), discovered=False)
