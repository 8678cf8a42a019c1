"""Choosing lambda for a recipe of health records: a Bt-GAN a candidate, on a part of the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from fairshards.catalogs.cohorts.schema import Schema
from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.catalogs.manifests.identity import TASK_DIGITS, digest
from fairshards.generators.tables.bt_gan import BtGan
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.cohort import read_and_check
from fairshards.pipeline.records.evaluation import visible_columns
from fairshards.pipeline.run.owner import own_folder
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.tables.bt_gan import fit
from fairshards.trainers.tables.lambda_choice import LOSS, Candidate, averaged, choose, hold_out, measure
from fairshards.trainers.tables.settings import BtGanSettings


def choose_lambda(
    recipe: EhrRecipe, lams: Sequence[float], given_y: bool, loss: float, report: Reporter, seeds: int = 1
) -> tuple[list[Candidate], Candidate]:
    """Return what was measured of every lambda, and the one to take; means over ``seeds`` trainings of each.

    A fifth of the training rows is held out of every generator; test rows aren't looked at. Trainings go on from
    checkpoints beside the run's folder (``checkpoints``), and a finished one is not done again.

    Raises:
        RecipeError: the recipe has no constraint to weigh.
    """
    if recipe.settings.constraint == "none":
        raise RecipeError("model.constraint is none: set model.constraint=odds or parity, so that there is a lambda")
    with own_folder(checkpoints(recipe)):
        return _chosen(recipe, lams, given_y, loss, report, seeds)


@unquoted("weighing lambda")
def _chosen(
    recipe: EhrRecipe, lams: Sequence[float], given_y: bool, loss: float, report: Reporter, seeds: int
) -> tuple[list[Candidate], Candidate]:
    settings, checked = recipe.settings, read_and_check(recipe.cohort)[0]
    schema, attribute = checked.schema, recipe.cohort.attribute
    train, held_out = hold_out(checked.train, recipe.seed, checked.patients.get("train"))
    columns, found = visible_columns(schema, attribute, recipe.cohort.plant), []
    for lam in sorted({0.0, *lams}):
        own = []
        for seed in range(settings.seed, settings.seed + seeds):
            model = _fitted(schema, train, replace(at(settings, lam), seed=seed), checkpoints(recipe), report)
            synthetic = model.sample(len(train), seed)
            own.append(
                measure(lam, "gradient boosting", schema, columns, attribute, synthetic, held_out, checked.train)
            )
        found.append(averaged(own))
    return found, choose(found, given_y, loss)


def checkpoints(recipe: EhrRecipe) -> Path:
    """Return the folder of the trainings that a choice is made between."""
    return Path(recipe.output) / f"{recipe.name}.choose-lambda"


def _fitted(schema: Schema, rows: pd.DataFrame, settings: BtGanSettings, folder: Path, report: Reporter) -> BtGan:
    done, file = [0], folder / f"{digest(settings.identity)[:TASK_DIGITS]}.safetensors"
    title = f"lambda {settings.lam:g}, seed {settings.seed}"
    with report.watch(title, settings.steps + settings.stage2_steps, lambda: done[0]):
        return fit(schema, rows, settings, file, lambda step: done.__setitem__(0, step)).model


def at(settings: BtGanSettings, lam: float) -> BtGanSettings:
    """Return the settings at another lambda; without a constraint at 0."""
    return replace(settings, lam=lam) if lam else replace(settings, lam=0.0, constraint="none")


def print_choice(found: Sequence[Candidate], chosen: Candidate, console: Console, loss: float = LOSS) -> None:
    """Print the table and how to take the choice."""
    table = Table(
        title="a learner trained on each generator's rows, on real rows as they are labelled",
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    for name in ("lambda", "AUROC within groups, held out", "I(Yhat; S), nats", "I(Yhat; S | Y), nats", ""):
        table.add_column(name, justify="right")
    base = next(one for one in found if one.lam == 0)
    for one in found:
        note = "chosen" if one is chosen else "costs too much" if one.auroc < base.auroc - loss else ""
        numbers = (f"{one.auroc:.3f}", f"{one.information:.5f}", f"{one.information_given_y:.5f}")
        table.add_row(f"{one.lam:g}", *numbers, note)
    console.print(table)
    taken = f"--set model.lam={chosen.lam:g}" if chosen.lam else "--set model.constraint=none --set model.lam=0"
    console.print(f"take it with {taken}", highlight=False)
