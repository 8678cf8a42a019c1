"""What a recipe of health records would make: cohort, sub-groups, quotas. Touches no model and writes nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fairshards.catalogs.cohorts.checked import Checked
from fairshards.pipeline.recipe.records import EhrRecipe, RowGroups
from fairshards.pipeline.records.cohort import read_and_check, reading_lines
from fairshards.pipeline.records.plan_rows import row_quotas
from fairshards.pipeline.records.row_checks import after_cohort, before_cohort
from fairshards.pipeline.run.checks import print_checklist
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.owner import own_files
from fairshards.pipeline.run.quota import Group
from fairshards.pipeline.synthesis.plan import first_round
from fairshards.trainers.tables.joint_shares import constrained_joint, information

SECONDS_A_STEP = 0.02
"""Of two cores with the default networks and batch; an order of magnitude."""


def print_ehr_plan(recipe: EhrRecipe, console: Console | None = None, output: Path | None = None) -> bool:
    """Print all that is checked before a run, how many rows each sub-group has and gets, and how long a training takes;
    return whether all is right.
    """
    out, root = console or Console(), (output or Path(recipe.output) / recipe.name).absolute()
    checks = list(before_cohort(recipe, Launcher(recipe.runner.name), root, only_planned=True))
    try:
        with own_files():  # DuckDB may write temporary ones
            checked, classes, values, counts = read_and_check(recipe.cohort)
        for line in reading_lines(checked, recipe.cohort.attribute, values, counts):
            out.print(escape(line), highlight=False, soft_wrap=True)
        groups = RowGroups(recipe, checked.schema, recipe.cohort.attribute, classes, values, sorted(counts))
        checks += after_cohort(groups, counts, checked.test[checked.schema.label])
    finally:
        good = print_checklist(checks, out)
    _print_cohort(groups, checked, counts, out)
    return good


def _print_cohort(groups: RowGroups, checked: Checked, counts: dict[Group, int], out: Console) -> None:
    recipe, schema, classes, values = groups.recipe, checked.schema, groups.classes, groups.values
    settings = recipe.settings
    real = np.zeros((len(classes), len(values)))
    for group, count in counts.items():
        real[group] = count / sum(counts.values())
    asked = constrained_joint(real, settings.lam)
    quotas = row_quotas(groups, counts, asked)
    shards = first_round(groups, {group: quota.total for group, quota in quotas.items()})
    table = Table(title=f"{schema.name}: rows by sub-group", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("sub-group")
    for name in ("training", "test", "quota", "first round"):
        table.add_column(name, justify="right")
    test = Counter(zip(checked.test[schema.label], checked.test[recipe.cohort.attribute], strict=True))
    for group, quota in quotas.items():
        y, s = group
        numbers = (counts[group], test[classes[y], values[s]], quota.total, shards[group] * recipe.quota.shard_size)
        table.add_row(escape(groups.group_name(*group)), *map(str, numbers))
    out.print(table)
    steps = settings.steps + settings.stage2_steps
    out.print(
        f"training: {steps:,} steps of {settings.batch} rows, about {steps * SECONDS_A_STEP / 60:.0f} min on two "
        f"cores; I(y; s) {information(real):.4f} nats in training, {information(asked):.4f} as asked",
        highlight=False,
        soft_wrap=True,
    )
    if checked.rejects:
        reasons = Counter(problem.reason for problem in checked.rejects)
        out.print("left out: " + ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()))
