"""`fairshards choose-lambda`: its trainings are resumed, averaged over seeds, and never look at test rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from fairshards.pipeline.cli.app import app
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records import lambda_table
from fairshards.pipeline.records.cohort import read_and_check
from fairshards.pipeline.records.lambda_table import checkpoints, choose_lambda
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.tables import bt_gan
from fairshards.trainers.tables.lambda_choice import Candidate, averaged
from tests.pipeline.records.test_ehr import write_recipe

QUIET = Reporter(quiet=True)


@pytest.fixture
def recipe(tmp_path: Path) -> EhrRecipe:
    found = load_recipe(str(write_recipe(tmp_path)), [f"output={tmp_path / 'runs'}"])
    assert isinstance(found, EhrRecipe)
    return found


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """The (lambda, seed) of every chunk of steps that is taken."""
    taken: list[tuple[float, int]] = []
    plain = bt_gan._Training.chunk

    def counted(self: Any) -> None:
        taken.append((self.settings.lam, self.settings.seed))
        plain(self)

    monkeypatch.setattr(bt_gan._Training, "chunk", counted)
    return taken


def test_what_was_trained_is_not_trained_again(recipe: EhrRecipe, chunks: list[tuple[float, int]]) -> None:
    found, best = choose_lambda(recipe, [2.0], False, 0.02, QUIET)
    assert [one.lam for one in found] == [0.0, 2.0] and best in found
    assert set(chunks) == {(0.0, 0), (2.0, 0)} and len(list(checkpoints(recipe).iterdir())) == 2
    before = len(chunks)
    again, _ = choose_lambda(recipe, [2.0, 5.0], False, 0.02, QUIET)
    assert set(chunks[before:]) == {(5.0, 0)} and again[:2] == found


def test_seeds_are_averaged(recipe: EhrRecipe, chunks: list[tuple[float, int]]) -> None:
    one, _ = choose_lambda(recipe, [2.0], False, 0.02, QUIET)
    both, _ = choose_lambda(recipe, [2.0], False, 0.02, QUIET, seeds=2)
    assert set(chunks) == {(0.0, 0), (2.0, 0), (0.0, 1), (2.0, 1)}
    assert len(both) == 2 and both != one


def test_the_mean_is_of_each_number() -> None:
    assert averaged([Candidate(3.0, 0.7, 0.01, 0.03), Candidate(3.0, 0.8, 0.03, 0.01)]) == Candidate(
        3.0, pytest.approx(0.75), pytest.approx(0.02), pytest.approx(0.02)
    )  # type: ignore[arg-type]


def test_no_test_row_is_looked_at(recipe: EhrRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table that a generator or a learner gets holds training rows alone."""
    checked = read_and_check(recipe.cohort)[0]
    seen: list[pd.DataFrame] = []
    plain_fit, plain_measure = lambda_table.fit, lambda_table.measure

    def fit(schema: Any, rows: pd.DataFrame, *more: Any) -> Any:
        seen.append(rows)
        return plain_fit(schema, rows, *more)

    def measure(*given: Any) -> Candidate:
        seen.extend(given[-2:])
        return plain_measure(*given)

    monkeypatch.setattr(lambda_table, "fit", fit)
    monkeypatch.setattr(lambda_table, "measure", measure)
    choose_lambda(recipe, [2.0], False, 0.02, QUIET)
    train = checked.train.map(str).agg("|".join, axis=1)
    test = set(checked.test.map(str).agg("|".join, axis=1)) - set(train)
    assert len(test) > 50 and len(seen) == 6
    for rows in seen:
        assert not test & set(rows.map(str).agg("|".join, axis=1))
    fitted, held_out = seen[:2]
    assert len(fitted) + len(held_out) == len(train)


def test_without_a_constraint_there_is_nothing_to_weigh(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, model={"constraint": "none"})
    recipe = load_recipe(str(path))
    assert isinstance(recipe, EhrRecipe)
    with pytest.raises(RecipeError, match=r"set model\.constraint=odds or parity"):
        choose_lambda(recipe, [1.0], False, 0.02, QUIET)


def test_the_command_prints_the_table_and_how_to_take_the_choice(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    done = CliRunner().invoke(app, ["choose-lambda", str(path), "--lams", "2", "--set", f"output={tmp_path / 'runs'}"])
    assert done.exit_code == 0, done.output
    assert "chosen" in done.output and "--set model." in done.output
    wrong = CliRunner().invoke(app, ["choose-lambda", "pocket-waterbirds"])
    assert wrong.exit_code and "takes kind ehr alone" in wrong.output
