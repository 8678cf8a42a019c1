"""The shipped pocket recipe on its own checkpoints, in small: the world, the pictures, the trainings."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ffr.tuning import METHODS, TUNING, settings_for
from fairshards.catalogs.questions.query import run_query
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.recipe.training import train_settings
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pocket.training.quality import ETA, GUIDANCE, STEPS

SMALL = (
    "source.n_train=40",
    "source.val_min_group=2",
    "source.test_per_group=4",
    "source.bias_ratio=0.9",
    "quota.surplus=0",
    "quota.shard_size=8",
    "generator.steps=3",
    "generator.window=2",
    "generator.batch_size=8",
    "filters={}",
    "training.settings={main: {epochs: 1}, pretrain: {epochs: 1}, finetune: {epochs: 1}}",
)


def test_the_goals_are_measured_with_the_recipes_sampler() -> None:
    generator = load_recipe("pocket-waterbirds").generator
    assert (generator.steps, generator.guidance_scale, generator.eta) == (STEPS, GUIDANCE, ETA)


def test_the_learning_rates_are_those_that_the_tuning_chose() -> None:
    trainings = train_settings(load_recipe("pocket-waterbirds").training)
    assert {training.method for training in trainings} == set(METHODS)
    for training in trainings:
        assert training == settings_for(training.method, training.loss, training.seed, TUNING)


def test_the_pocket_recipe_runs_to_its_report(tmp_path: Path) -> None:
    result = run(load_recipe("pocket-waterbirds", SMALL), Launcher(), Reporter(quiet=True), root=tmp_path / "run")
    assert result.source.counts == {(0, 0): 18, (0, 1): 2, (1, 0): 2, (1, 1): 18}
    assert result.curated is not None and result.curated.selection.balanced == 8
    assert [training.method for training in result.judged] == ["erm", "usb", "asb", "ffr"]
    assert result.report is not None and result.report.stat().st_size > 20_000
    assert (tmp_path / "run/README.md").exists() and (tmp_path / "run/croissant.json").exists()
    columns, rows = run_query(tmp_path / "run", "SELECT count(*) FROM rejects")
    assert rows == [(0,)], columns
