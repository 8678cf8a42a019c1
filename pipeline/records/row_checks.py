"""What can be known of a run over health records before its Bt-GAN is trained; no check shows a patient's value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from fairshards.pipeline.recipe.records import EhrRecipe, RowGroups
from fairshards.pipeline.records.plan_rows import row_quotas
from fairshards.pipeline.run.checks import Check, attempted
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.place_checks import device_is_here, elsewhere, folder_checks
from fairshards.pipeline.run.quota import Group
from fairshards.pipeline.run.stages import reaches
from fairshards.trainers.tables.joint_shares import constrained_joint


def before_cohort(recipe: EhrRecipe, launcher: Launcher, root: Path, only_planned: bool = False) -> Iterator[Check]:
    """Yield what recipe and machine tell; a run that is ``only_planned`` may begin where there are other devices."""
    yield from folder_checks(root, "ehr")
    yield attempted("runner", launcher.pipeline_options, launcher.runner)
    device = recipe.model.device  # the training's, which is the driver's work, and the workers'
    if device != "cpu":
        yield from elsewhere([attempted("model.device", partial(device_is_here, device), device)], only_planned)


def after_cohort(
    groups: RowGroups, counts: Mapping[Group, int], test: pd.Series, until: str = "report"
) -> Iterator[Check]:
    """Yield what the cohort's counts tell: ``counts`` of training rows, and the labels of the ``test`` rows."""
    found = Counter(test)
    if all(found[value] for value in groups.classes):
        yield Check("test rows", "ok", f"{found.total()}, with both values of the label")
    elif reaches(until, "train"):
        yield Check(
            "test rows",
            "problem",
            f"{found.total()} rows have only one value of {groups.schema.label}, so "
            "nothing can be measured on them: set another cohort.split_seed or a larger cohort.test_share, or "
            "stop earlier with --until curate",
        )
    real = np.zeros((len(groups.classes), len(groups.values)))
    for group, count in counts.items():
        real[group] = count / sum(counts.values())
    asked = row_quotas(groups, counts, constrained_joint(real, groups.recipe.settings.lam))
    none = sum(not quota.total for quota in asked.values())
    said = f"quota.rows {groups.quota.rows} leaves {none} of {len(asked)} sub-groups without a row: raise it"
    yield Check("quota", "note" if none else "ok", said if none else f"{sum(one.total for one in asked.values())} rows")
