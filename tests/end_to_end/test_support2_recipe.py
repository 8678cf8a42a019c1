"""The recipe btgan_support2 as a user runs it: minutes, so slow. Its header's figures must hold here too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairshards.catalogs.questions.query import run_query
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.verify import check_shards

RECIPE = Path(__file__).parents[2] / "recipes" / "btgan_support2.yaml"
HEADER = re.compile(
    r"AUROC of (?P<gb>[\d.]+) on real test patients \(on real rows: (?P<gb_real>[\d.]+)\), logistic regression "
    r"(?P<lr>[\d.]+) \((?P<lr_real>[\d.]+)\); discriminative score (?P<discriminative>[\d.]+), no copies, membership "
    r"AUC (?P<membership>[\d.]+)"
)
TOLERANCE = {"gb": 0.015, "lr": 0.015, "gb_real": 0.003, "lr_real": 0.003, "discriminative": 0.06, "membership": 0.015}


def header() -> dict[str, float]:
    """Return the figures of the recipe's first comment."""
    text = " ".join(line.lstrip("# ") for line in RECIPE.read_text().splitlines() if line.startswith("#"))
    found = HEADER.search(text)
    assert found, text
    return {name: float(value.rstrip(".")) for name, value in found.groupdict().items()}


def test_the_header_has_its_figures_and_they_meet_the_goals() -> None:
    said = header()
    assert said["gb"] > said["gb_real"] - 0.03 and said["lr"] > said["lr_real"] - 0.02
    assert said["discriminative"] < 0.33


@pytest.mark.slow
def test_a_run_gives_what_the_header_says(tmp_path: Path) -> None:
    recipe = load_recipe(str(RECIPE), [f"output={tmp_path}"])
    assert isinstance(recipe, EhrRecipe)
    result = run(recipe, Launcher(), Reporter(quiet=True))
    root = tmp_path / "btgan-support2"
    found = {
        (metric, on, learner): value
        for metric, on, learner, value in run_query(
            root, "SELECT metric, trained_on, learner, value FROM evaluations WHERE group_name IS NULL"
        )[1]
    }
    learners = {"gb": "gradient boosting", "lr": "logistic regression"}
    measured = {short: found["auroc", "synthetic", learner] for short, learner in learners.items()}
    measured |= {f"{short}_real": found["auroc", "real", learner] for short, learner in learners.items()}
    measured["discriminative"] = found["discriminative_score", "synthetic", None]
    measured["membership"] = found["membership_auc", "synthetic", None]
    for name, value in header().items():
        assert measured[name] == pytest.approx(value, abs=TOLERANCE[name]), name
    assert found["copies", "synthetic", None] == 0
    assert found["smallest_subgroup_ratio", "synthetic", None] >= 0.75
    assert result.report and result.report.is_file() and not list(check_shards(result.folder))
