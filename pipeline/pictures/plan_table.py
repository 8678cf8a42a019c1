"""What `fairshards plan` shows of pictures: counts per group, what would be made, and how long it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from fairshards.pipeline.pictures.discovery_plan import downloads, steps_table
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.report.pages import Line
from fairshards.pipeline.run.checks import Check
from fairshards.pipeline.run.estimate import seconds_for
from fairshards.pipeline.run.quota import Group, Quota, per_group, quotas, usb_counts
from fairshards.pipeline.synthesis.plan import first_round

if TYPE_CHECKING:
    from fairshards.pipeline.pictures.source import SourceResult

Counted = tuple[dict[Group, int], str, "SourceResult | None"]
"""The real training counts per group, where they come from, and the source where it was read."""


def plan_lines(recipe: Recipe, root: Path) -> Iterator[Line | list[Check]]:
    """Yield all that is checked before a run, counts per group and what would be made in the run folder ``root``.

    The counts are the dataset's, or those that the recipe has as published.
    """
    from fairshards.pipeline.pictures.preflight import before_source
    from fairshards.pipeline.run.jobs import Launcher

    looks = bool(recipe.spurious_free) or not recipe.bias.known
    ready = before_source(recipe, Launcher(recipe.runner.name), root.absolute(), "report", only_planned=True)
    checks, planned, counted = list(ready.checks), dict[Group, Quota](), None
    try:
        counted = real_counts(recipe, root)
        planned = {} if looks else _planned(recipe, counted[0])
        checks += _checked(recipe, counted, planned, root)
    except RecipeError as error:
        if not looks:
            raise
        checks.append(_not_counted(error))
    finally:
        yield checks
    if looks or counted is None:
        yield steps_table(recipe, sum(counted[0].values()) if counted else None)
    else:
        yield from _balanced(recipe, planned, counted, root)
    yield from (f"would be downloaded unless it is cached: {name}" for name in downloads(recipe))


def _planned(recipe: Recipe, counts: Mapping[Group, int]) -> dict[Group, Quota]:
    if not any(counts.values()):
        return {}
    return quotas(counts, recipe.quota.per_group, recipe.quota.usb_extra, recipe.quota.validation)


def _not_counted(error: RecipeError) -> Check:
    """Return the check of a dataset that was refused, or that can't be read here."""
    from fairshards.pipeline.run.context import SourceRefused

    return Check("dataset", "problem" if isinstance(error, SourceRefused) else "not checked", str(error))


def _checked(recipe: Recipe, counted: Counted, planned: Mapping[Group, Quota], root: Path) -> list[Check]:
    """Return the checks of what was counted: all where the dataset was read, else those of published counts."""
    from fairshards.pipeline.pictures.count_checks import after_source
    from fairshards.pipeline.run.folder import run_folder

    counts, _, source = counted
    folder = run_folder(root).root
    return after_source(recipe, folder / source.index if source else None, counts, planned, folder, "report")


def _balanced(
    recipe: Recipe, planned: Mapping[Group, Quota], counted: Counted, root: Path
) -> Iterator[Line | list[Check]]:
    counts, where, _ = counted
    if not any(counts.values()):
        raise RecipeError("no training image in any group")
    shards = first_round(recipe, {group: quota.total for group, quota in planned.items()})
    making = {group: count * recipe.quota.shard_size for group, count in shards.items()}
    yield _groups_table(recipe, counts, planned, making)
    total = sum(making.values())
    yield (
        f"real counts from {where}; m by FFR's rule = {per_group(counts)}; "
        f"{total} samples in round 0, {recipe.generator.steps} steps each"
    )
    yield _estimate(recipe, total, root)


def _groups_table(
    recipe: Recipe, counts: Mapping[Group, int], planned: Mapping[Group, Quota], making: Mapping[Group, int]
) -> Table:
    usb = usb_counts(counts)
    table = Table(title=f"{recipe.name}: what would be made")
    for column in ("group", "real", "USB adds M-n", "balanced m", "extra", "planned in round 0", "example prompt"):
        table.add_column(column, justify="left" if column in ("group", "example prompt") else "right")
    for group, quota in planned.items():
        numbers = (counts[group], usb[group], quota.balanced, quota.extra, making[group])
        table.add_row(escape(recipe.group_name(*group)), *map(str, numbers), escape(_example(recipe, group)))
    return table


def real_counts(recipe: Recipe, root: Path) -> Counted:
    """Return the real training counts per group, where they come from, and the source where it was read.

    Raises:
        RecipeError: neither the dataset nor published counts for the bias ratio are there.
    """
    from fairshards.transforms.sources import SourceError

    published = recipe.source.published_counts
    path = getattr(recipe.source, "path", None)
    if published and not (path and Path(path).exists()):
        ratio = recipe.source.bias_ratio
        known = {float(key): value for key, value in published.items()}
        if ratio not in known:
            raise RecipeError(f"no published counts for bias_ratio {ratio}; there are counts for {sorted(known)}")
        return dict(zip(recipe.groups, known[ratio], strict=True)), f"the published split at r = {ratio}", None
    try:
        source = _read(recipe, root)
        return source.counts, "the dataset", source
    except SourceError as error:
        raise RecipeError(f"{error}") from error


def _read(recipe: Recipe, root: Path) -> SourceResult:
    from fairshards.pipeline.pictures.source import source_stage
    from fairshards.pipeline.run.context import Run
    from fairshards.pipeline.run.folder import run_folder

    folder = run_folder(root)
    with folder.writing():
        return source_stage(Run(recipe, folder))


def _example(recipe: Recipe, group: Group) -> str:
    y, b = group
    return recipe.prompts.templates[0].format(
        **{"class": recipe.classes[y].wordings[0], "bias": recipe.bias.values[b].wordings[0]}
    )


def _estimate(recipe: Recipe, total: int, root: Path) -> str:
    """Return how long it will take, from an earlier run of this recipe, if there is one, scaled by the steps."""
    seconds_a_step = _measured_seconds(root)
    if seconds_a_step is None:
        return "no estimate of the time: this machine hasn't run this recipe yet; its first shard will tell"
    steps, workers = recipe.generator.steps, recipe.runner.workers
    seconds_each = seconds_for(steps, seconds_a_step)
    minutes = seconds_for(total, seconds_each, workers) / 60
    rate = workers / seconds_each
    return f"about {minutes:.1f} minutes: {rate:.1f} samples/s of {steps} steps, by the run in {root}"


def _measured_seconds(root: Path) -> float | None:
    """Return the seconds of a denoising step in the first 50 shards whose plan is there, samples times steps."""
    from fairshards.catalogs.manifests import manifest

    planned = _planned_steps(root)
    steps = seconds = 0.0
    for file in sorted((root / "raw").glob("*.parquet"))[:50]:
        attempt, first = manifest.read_attempt(file), manifest.read_range(file.read_bytes(), 0, 1)
        if first and first[0]["sample_id"] in planned and attempt.get("seconds"):
            steps += attempt.get("samples", 0) * planned[first[0]["sample_id"]]
            seconds += attempt["seconds"]
    return seconds / steps if steps else None


def _planned_steps(root: Path) -> dict[str, int]:
    """Return the steps of every sample that was planned in a run folder, by its id."""
    import pyarrow.parquet as pq

    tables = (pq.read_table(file, columns=["sample_id", "steps"]) for file in (root / "plan").glob("*.parquet"))
    return {row["sample_id"]: row["steps"] for table in tables for row in table.to_pylist()}
