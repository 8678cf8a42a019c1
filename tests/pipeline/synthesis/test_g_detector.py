"""The G-detector: 0.5 where nothing tells real from synthetic, near 1 where something does, and no answer from few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairshards.catalogs.questions.query import run_query
from fairshards.pipeline.driver import run
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.synthesis.g_detector import told_apart
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.evaluation.intervals import auroc
from tests.pipeline.small import small_recipe, write_recipe, write_source


def test_it_finds_a_difference_and_invents_none() -> None:
    draws = np.random.default_rng(0)
    real, same, other = (draws.normal(size=(200, 32)) for _ in range(3))
    other[:, 3] += 1.5
    area, low, high = told_apart(real, same)
    assert low < 0.5 < high and area == pytest.approx(0.5, abs=0.08)
    area, low, _ = told_apart(real, other)
    assert area > 0.75 and low > 0.7


def test_few_real_pictures_beside_many_synthetic_ones_are_no_difference() -> None:
    draws = np.random.default_rng(1)
    area, low, high = told_apart(draws.normal(size=(15, 32)), draws.normal(size=(300, 32)))
    assert low < 0.5 < high and 0.3 < area < 0.7


def test_an_area_needs_both_sides() -> None:
    assert auroc([2.0, 3.0], [1.0]) == (1.0, 1.0, 1.0)
    assert auroc([1.0], [1.0])[0] == 0.5
    with pytest.raises(TrainerError, match="2 scores on one side and 0 on the other"):
        auroc([1.0, 2.0], [])


def test_a_run_audits_the_groups_that_have_enough_pictures(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    write_source(tmp_path / "source", (12, 12, 2, 12))
    recipe = small_recipe(
        tmp_path, "filters={clip_alignment: {retain: 1.0, min: -1.0}}", "quota.per_group=10", "quota.surplus=1.0"
    )
    result = run(recipe, Launcher(), Reporter(quiet=True), "curate", tmp_path / "run")
    assert result.curated
    _, rows = run_query(tmp_path / "run", "g-detector")
    found = {row[1]: row[2:] for row in rows}
    assert len(found) == 4 and found["waterbird|land"][0] == 2
    assert found["waterbird|land"][2] is None and "fewer than 10" in found["waterbird|land"][5]
    kept = result.curated.selection.balanced
    if kept >= 10:  # random pictures of a tiny model: told apart at once
        assert found["landbird|land"][2] > 0.9
