"""Choosing lambda for a recipe of health records: a Bt-GAN a candidate, on a part of the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from catalogs.cohorts.schema import Schema
from generators.ehr import BtGan
from pipeline.cohort_stage import read_and_check
from pipeline.ehr_recipe import EhrRecipe
from pipeline.evaluation import visible_columns
from pipeline.progress import Reporter
from pipeline.recipe import RecipeError
from trainers.bt_gan import fit
from trainers.bt_gan_settings import BtGanSettings
from trainers.lambda_choice import LOSS, Candidate, choose, hold_out, measure


def choose_lambda(
    recipe: EhrRecipe, lams: Sequence[float], given_y: bool, loss: float, report: Reporter
) -> tuple[list[Candidate], Candidate]:
    """Return what was measured of every lambda, and the one to take.

    A fifth of the training rows is held out of every generator; test rows aren't looked at.

    Raises:
        RecipeError: the recipe has no constraint to weigh.
    """
    settings = recipe.settings
    if settings.constraint == "none":
        raise RecipeError("model.constraint is none: set model.constraint=odds or parity, so that there is a lambda")
    checked = read_and_check(recipe.cohort)[0]
    schema, attribute = checked.schema, recipe.cohort.attribute
    train, held_out = hold_out(checked.train, recipe.seed)
    columns, found = visible_columns(schema, attribute), []
    for lam in sorted({0.0, *lams}):
        synthetic = _fitted(schema, train, at(settings, lam), report).sample(len(train), recipe.seed)
        found.append(measure(lam, "gradient boosting", schema, columns, attribute, synthetic, held_out, checked.train))
    return found, choose(found, given_y, loss)


def _fitted(schema: Schema, rows: pd.DataFrame, settings: BtGanSettings, report: Reporter) -> BtGan:
    done = [0]
    with report.watch(f"lambda {settings.lam:g}", settings.steps + settings.stage2_steps, lambda: done[0]):
        return fit(schema, rows, settings, None, lambda step: done.__setitem__(0, step)).model


def at(settings: BtGanSettings, lam: float) -> BtGanSettings:
    """Return the settings at another lambda; without a constraint at 0."""
    return replace(settings, lam=lam) if lam else replace(settings, lam=0.0, constraint="none")


def print_choice(found: Sequence[Candidate], chosen: Candidate, console: Console, loss: float = LOSS) -> None:
    """Print the table and how to take the choice."""
    table = Table(title="a learner trained on each generator's rows, on real rows as they are labelled",
                  box=box.SIMPLE_HEAD, title_justify="left")  # fmt: skip
    for name in ("lambda", "AUROC, held out", "I(Yhat; S), nats", "I(Yhat; S | Y), nats", ""):
        table.add_column(name, justify="right")
    base = next(one for one in found if one.lam == 0)
    for one in found:
        note = "chosen" if one is chosen else "costs too much" if one.auroc < base.auroc - loss else ""
        numbers = (f"{one.auroc:.3f}", f"{one.information:.5f}", f"{one.information_given_y:.5f}")
        table.add_row(f"{one.lam:g}", *numbers, note)
    console.print(table)
    taken = f"--set model.lam={chosen.lam:g}" if chosen.lam else "--set model.constraint=none --set model.lam=0"
    console.print(f"take it with {taken}", highlight=False)
