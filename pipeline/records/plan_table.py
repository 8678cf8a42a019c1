"""What a recipe of health records would make: cohort, sub-groups, quotas. Touches no model and writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from fairshards.catalogs.cohorts.checked import Checked
from fairshards.pipeline.recipe.records import EhrRecipe, RowGroups
from fairshards.pipeline.records.cohort import read_and_check, reading_lines
from fairshards.pipeline.records.plan_rows import row_quotas
from fairshards.pipeline.records.row_checks import after_cohort, before_cohort
from fairshards.pipeline.report.pages import Line
from fairshards.pipeline.run.checks import Check
from fairshards.pipeline.run.estimate import seconds_for
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.owner import own_files
from fairshards.pipeline.run.quota import Group, Quota
from fairshards.pipeline.synthesis.plan import first_round
from fairshards.trainers.tables.joint_shares import constrained_joint, information

SECONDS_A_STEP = 0.02
"""Of two cores with the default networks and batch; an order of magnitude."""


def plan_lines(recipe: EhrRecipe, root: Path) -> Iterator[Line | list[Check]]:
    """Yield how the cohort is read, all that is checked before a run, how many rows each sub-group has and gets, and
    how long a training takes.
    """
    checks, told = list(before_cohort(recipe, Launcher(recipe.runner.name), root.absolute(), only_planned=True)), []
    try:
        with own_files():  # DuckDB may write temporary ones
            checked, classes, values, counts = read_and_check(recipe.cohort)
        told = list(reading_lines(checked, recipe.cohort.attribute, values, counts))
        groups = RowGroups(recipe, checked.schema, recipe.cohort.attribute, classes, values, sorted(counts))
        checks += after_cohort(groups, counts, checked.test[checked.schema.label])
    finally:
        yield from told
        yield checks
    yield from _cohort(groups, checked, counts)


def _cohort(groups: RowGroups, checked: Checked, counts: dict[Group, int]) -> Iterator[Line]:
    settings = groups.recipe.settings
    real = np.zeros((len(groups.classes), len(groups.values)))
    for group, count in counts.items():
        real[group] = count / sum(counts.values())
    asked = constrained_joint(real, settings.lam)
    yield _table(groups, checked, counts, row_quotas(groups, counts, asked))
    steps = settings.steps + settings.stage2_steps
    yield (
        f"training: {steps:,} steps of {settings.batch} rows, about {seconds_for(steps, SECONDS_A_STEP) / 60:.0f} min "
        f"on two cores; I(y; s) {information(real):.4f} nats in training, {information(asked):.4f} as asked"
    )
    if checked.rejects:
        reasons = Counter(problem.reason for problem in checked.rejects)
        yield "left out: " + ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())


def _table(groups: RowGroups, checked: Checked, counts: dict[Group, int], quotas: Mapping[Group, Quota]) -> Table:
    recipe, schema = groups.recipe, checked.schema
    shards = first_round(groups, {group: quota.total for group, quota in quotas.items()})
    table = Table(title=f"{schema.name}: rows by sub-group", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("sub-group")
    for name in ("training", "test", "quota", "first round"):
        table.add_column(name, justify="right")
    test = Counter(zip(checked.test[schema.label], checked.test[recipe.cohort.attribute], strict=True))
    for group, quota in quotas.items():
        y, s = group
        tested = test[groups.classes[y], groups.values[s]]
        numbers = (counts[group], tested, quota.total, shards[group] * recipe.quota.shard_size)
        table.add_row(escape(groups.group_name(*group)), *map(str, numbers))
    return table
