"""What `fairshards plan` shows: counts per group, what would be made, and how long it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fairshards.pipeline.discovery.aspire_plan import downloads, print_aspire_plan
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.checks import Check, print_checklist
from fairshards.pipeline.run.quota import Group, Quota, per_group, quotas, usb_counts

if TYPE_CHECKING:
    from fairshards.pipeline.pictures.source import SourceResult


def print_plan(recipe: Recipe, output: Path | None) -> bool:
    """Print all that is checked before a run, counts per group and what would be made; return whether all is right.

    The counts are the dataset's, or those that the recipe has as published.
    """
    from fairshards.pipeline.pictures.preflight import before_source
    from fairshards.pipeline.run.context import SourceRefused
    from fairshards.pipeline.run.jobs import Launcher

    console, root = Console(), (output or Path(recipe.output) / recipe.name).absolute()
    looks = bool(recipe.spurious_free) or not recipe.bias.known
    ready = before_source(recipe, Launcher(recipe.runner.name), root, "report", only_planned=True)
    checks, planned, counted = list(ready.checks), dict[Group, Quota](), None
    try:
        counted = real_counts(recipe, output)
        counts, _, source = counted
        if not looks and any(counts.values()):
            planned = quotas(counts, recipe.quota.per_group, recipe.quota.usb_extra, recipe.quota.validation)
        checks += _counted(recipe, counts, planned, source, output)
    except RecipeError as error:
        if not looks:
            raise
        checks.append(Check("dataset", "problem" if isinstance(error, SourceRefused) else "not checked", str(error)))
    finally:
        good = print_checklist(checks, console)
    if looks or counted is None:
        print_aspire_plan(recipe, sum(counted[0].values()) if counted else None, console)
    else:
        _print_balanced(recipe, output, console, planned, *counted[:2])
    for name in downloads(recipe):
        console.print(f"would be downloaded unless it is cached: {escape(name)}", highlight=False, soft_wrap=True)
    return good


def _counted(
    recipe: Recipe,
    counts: Mapping[Group, int],
    planned: Mapping[Group, Quota],
    source: SourceResult | None,
    output: Path | None,
) -> list[Check]:
    """Return the checks of what was counted: all where the dataset was read, else those of published counts."""
    from fairshards.pipeline.pictures.count_checks import after_source
    from fairshards.pipeline.run.folder import run_folder

    root = run_folder(output or f"{recipe.output}/{recipe.name}").root
    return after_source(recipe, root / source.index if source else None, counts, planned, root, "report")


def _print_balanced(
    recipe: Recipe,
    output: Path | None,
    console: Console,
    planned: Mapping[Group, Quota],
    counts: Mapping[Group, int],
    where: str,
) -> None:
    if not any(counts.values()):
        raise RecipeError("no training image in any group")
    usb = usb_counts(counts)
    table = Table(title=f"{recipe.name}: what would be made")
    for column in ("group", "real", "USB adds M-n", "balanced m", "extra", "planned in round 0", "example prompt"):
        table.add_column(column, justify="left" if column in ("group", "example prompt") else "right")
    for group, quota in planned.items():
        table.add_row(
            escape(recipe.group_name(*group)),
            str(counts[group]),
            str(usb[group]),
            str(quota.balanced),
            str(quota.extra),
            str(_first_round(recipe, quota.total)),
            escape(_example(recipe, group)),
        )
    console.print(table)
    total = sum(_first_round(recipe, quota.total) for quota in planned.values())
    console.print(
        f"real counts from {where}; m by FFR's rule = {per_group(counts)}; "
        f"{total} samples in round 0, {recipe.generator.steps} steps each",
        highlight=False,
        soft_wrap=True,
    )
    console.print(escape(_estimate(recipe, total, output)), highlight=False, soft_wrap=True)


def real_counts(recipe: Recipe, output: Path | None) -> tuple[dict[Group, int], str, SourceResult | None]:
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
        source = _read(recipe, output)
        return source.counts, "the dataset", source
    except SourceError as error:
        raise RecipeError(f"{error}") from error


def _read(recipe: Recipe, output: Path | None) -> SourceResult:
    from fairshards.pipeline.pictures.source import source_stage
    from fairshards.pipeline.run.context import Run
    from fairshards.pipeline.run.folder import run_folder

    folder = run_folder(output or f"{recipe.output}/{recipe.name}")
    with folder.writing():
        return source_stage(Run(recipe, folder))


def _first_round(recipe: Recipe, total: int) -> int:
    size = recipe.quota.shard_size
    return math.ceil(math.ceil(total * (1 + recipe.quota.surplus)) / size) * size


def _example(recipe: Recipe, group: Group) -> str:
    y, b = group
    return recipe.prompts.templates[0].format(
        **{"class": recipe.classes[y].wordings[0], "bias": recipe.bias.values[b].wordings[0]}
    )


def _estimate(recipe: Recipe, total: int, output: Path | None) -> str:
    """Return how long it will take, from an earlier run of this recipe, if there is one, scaled by the steps."""
    root = output or Path(recipe.output) / recipe.name
    rate = _measured_rate(root)
    if rate is None:
        return "no estimate of the time: this machine hasn't run this recipe yet; its first shard will tell"
    rate, steps = rate / recipe.generator.steps, recipe.generator.steps
    return f"about {total / rate / 60:.1f} minutes: {rate:.1f} samples/s of {steps} steps, by the run in {root}"


def _measured_rate(root: Path) -> float | None:
    """Return the denoising steps a second of the first 50 shards whose plan is there, samples times steps."""
    from fairshards.catalogs.manifests import manifest

    planned = _planned_steps(root)
    steps = seconds = 0.0
    for file in sorted((root / "raw").glob("*.parquet"))[:50]:
        attempt, first = manifest.read_attempt(file), manifest.read_range(file.read_bytes(), 0, 1)
        if first and first[0]["sample_id"] in planned and attempt.get("seconds"):
            steps += attempt.get("samples", 0) * planned[first[0]["sample_id"]]
            seconds += attempt["seconds"]
    return steps / seconds if steps else None


def _planned_steps(root: Path) -> dict[str, int]:
    """Return the steps of every sample that was planned in a run folder, by its id."""
    import pyarrow.parquet as pq

    tables = (pq.read_table(file, columns=["sample_id", "steps"]) for file in (root / "plan").glob("*.parquet"))
    return {row["sample_id"]: row["steps"] for table in tables for row in table.to_pylist()}
