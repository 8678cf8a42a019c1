"""What a dataset's counts tell before anything is made: splits for the trainings, quotas for the methods, the disk."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.training import train_settings
from fairshards.pipeline.run.checks import Check, attempted
from fairshards.pipeline.run.quota import Group, Quota
from fairshards.pipeline.run.stages import reaches
from fairshards.pipeline.synthesis.plan import first_round
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.methods.mixes import BALANCED

PNG_BYTES = 1.7
"""Of a generated picture, a pixel: between a plain and a noisy one."""


def after_source(
    recipe: Recipe,
    index: Path | None,
    real: Mapping[Group, int],
    planned: Mapping[Group, Quota],
    root: Path,
    until: str,
) -> list[Check]:
    """Return the checks of a dataset's counts: ``real`` of training, ``planned`` (empty where it isn't known yet).

    ``index`` lists the pictures; None where the dataset wasn't read and ``real`` is what was published.
    """
    found: list[Check] = []
    trains = reaches(until, "train") and bool(recipe.training.methods)
    if trains or (recipe.discovery is not None and reaches(until, "discover")):
        found += _splits(recipe, index) if index else [Check("splits", "not checked", "the dataset isn't here")]
    if trains and planned and not recipe.spurious_free:
        found.append(attempted("quotas", lambda: check_quota(recipe, real, planned)))
    if reaches(until, "generate") and planned:
        found.append(_disk(recipe, planned, root))
    return found


def check_quota(recipe: Recipe, real: Mapping[Group, int], planned: Mapping[Group, Quota]) -> None:
    """Refuse, before anything is generated, a quota that is too small for one of the recipe's methods.

    Raises:
        RecipeError: names the method, the group and how to mend the recipe.
    """
    for settings in train_settings(recipe.training):
        method = settings.training_method
        if problem := method.counts_problem(real):
            raise RecipeError(
                f"training.methods has {settings.method}, which {problem}: leave {settings.method} out of "
                "training.methods, or stop earlier with --until curate"
            )
        for group, count in method.needed(real).items():
            _check_group(recipe, settings, group, count, planned[group])


def _check_group(recipe: Recipe, settings: TrainSettings, group: Group, count: int, quota: Quota) -> None:
    extra = settings.training_method.splits != BALANCED
    kept = quota.total - quota.validation if extra else quota.balanced
    if kept < count:
        fix = "quota.usb_extra: true" if extra else "quota.per_group unset, or higher"
        raise RecipeError(
            f"training.methods has {settings.method}, which needs {count} synthetic samples of "
            f"{recipe.group_name(*group)}, but the quota keeps {kept}: set {fix}; or leave {settings.method} out of "
            "training.methods; or stop earlier with --until curate"
        )


def _splits(recipe: Recipe, index: Path) -> Iterator[Check]:
    """Check that the splits hold every class: val chooses epochs, test is what the tables show."""
    import pyarrow.parquet as pq

    rows = pq.read_table(index, columns=["split", "y", "b"]).to_pydict()
    counts = Counter(zip(rows["split"], rows["y"], rows["b"], strict=True))
    have = sorted({split for split, _, _ in counts})
    use = {"train": "teaches", "val": "chooses the epoch of every training", "test": "is what the tables show"}
    for split, does in use.items():
        by_class = Counter({y: 0 for y in range(len(recipe.classes))})
        for (name, y, _), count in counts.items():
            by_class[y] += count if name == split else 0
        lacking = [recipe.classes[y].name for y, count in by_class.items() if not count]
        empty = [recipe.group_name(y, b) for y, b in recipe.groups if b >= 0 and not counts[split, y, b]]
        what = f"split {split}"
        if len(lacking) == len(by_class):
            yield Check(
                what,
                "problem",
                f"the dataset has no usable picture of it, and {split} {does}; it has "
                f"{', '.join(have)}. Add it, or stop before training with --until curate",
            )
        elif lacking:
            yield Check(what, "problem", f"it has no usable picture of class {', '.join(lacking)}, and {split} {does}")
        elif empty and split != "train":
            yield Check(what, "note", f"it has no picture of {', '.join(empty)}, so nothing is measured of that group")
        else:
            yield Check(what, "ok", f"{by_class.total()} pictures")


def _disk(recipe: Recipe, planned: Mapping[Group, Quota], root: Path) -> Check:
    """Compare what is free with what the pictures may take: those of the first round, and the kept ones again."""
    kept = sum(quota.total for quota in planned.values())
    made = sum(first_round(recipe, {group: quota.total for group, quota in planned.items()}).values())
    size = recipe.generator.height * recipe.generator.width * PNG_BYTES
    asked = (made * recipe.quota.shard_size + kept) * size / 2**30
    there = next(place for place in (root, *root.parents) if place.exists())
    free = shutil.disk_usage(there).free / 2**30
    said = f"about {asked:.1f} GiB for pictures, {free:.1f} GiB free"
    return Check("disk", "note" if asked > free else "ok", said)
