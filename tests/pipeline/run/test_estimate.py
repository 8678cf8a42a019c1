"""How long work will take: the right number in the estimate, in both plans, and in the progress."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairshards.pipeline.kinds import load_recipe_of
from fairshards.pipeline.pictures import plan_table
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records import plan_table as row_plan
from fairshards.pipeline.run.estimate import seconds_for
from fairshards.pipeline.run.progress import _left
from tests.pipeline.report_run import make_recipe


def test_parts_are_shared_among_workers() -> None:
    assert seconds_for(120, 2.0) == 240
    assert seconds_for(120, 2.0, workers=2) == 120


@pytest.mark.parametrize(
    ("workers", "sentence"),
    [
        (1, "about 4.0 minutes: 0.5 samples/s of 20 steps, by the run in runs/birds"),
        (2, "about 2.0 minutes: 1.0 samples/s of 20 steps, by the run in runs/birds"),
    ],
)
def test_the_plan_tells_the_time_of_all_samples(workers: int, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_table, "_measured_seconds", lambda root: 0.1)  # 2 s a sample of 20 steps
    recipe = make_recipe(runner={"workers": workers})
    assert recipe.generator.steps == 20
    assert plan_table._estimate(recipe, 120, Path("runs/birds")) == sentence


def test_the_progress_tells_the_time_of_what_is_left() -> None:
    assert _left(30, done=10, seconds=20.0) == "60 s left"
    assert _left(30, done=0, seconds=20.0) == "no estimate yet"


def test_the_plan_of_records_tells_the_time_of_all_steps(tmp_path: Path) -> None:
    *_, sentence = row_plan.plan_lines(load_recipe_of(EhrRecipe, "btgan_support2"), tmp_path / "run")
    assert sentence == (  # 6,500 steps at 0.02 s are 130 s
        "training: 6,500 steps of 500 rows, about 2 min on two cores; I(y; s) 0.0010 nats in training, 0.0002 as asked"
    )
