"""What a person reads on the terminal: errors, the plan, the result table."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline.progress import Reporter
from pipeline.quota import Group, per_group, quotas, usb_counts
from pipeline.recipe import Recipe, RecipeError


@contextlib.contextmanager
def expected_errors(debug: bool) -> Iterator[None]:
    """Turn what can go wrong into one message on standard error and exit code 1; --debug shows tracebacks."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; the same command goes on where it stopped")
        raise typer.Exit(130) from None
    except Exception as error:
        if debug:
            raise
        Console(stderr=True).print(f"[red]error:[/] {_message(error)}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _message(error: BaseException) -> str:
    """Return the error's own sentence; of an error inside a Beam step, that of its root."""
    text = _root_line(str(error).strip()) or type(error).__name__
    if "No space left on device" in text:
        text += "; free some space and run the same command again, what is committed is kept"
    ours = type(error).__module__.partition(".")[0] in (
        "pipeline",
        "catalogs",
        "transforms",
        "generators",
        "filters",
        "trainers",
        "fairshards",
        "pocket",
    )
    if ours or isinstance(error, OSError):
        return text.replace("[", "\\[")
    return f"{type(error).__name__}: {text}\n(use --debug for the traceback)".replace("[", "\\[")


def _root_line(text: str) -> str:
    """Return the last line of a worker's traceback, which Beam hands over as text; other texts as they are."""
    if "Traceback (most recent call last)" not in text:
        return text
    lines = [
        line.strip()
        for line in text.splitlines()
        if re.match(r"^[\w.]+(Error|Exception|Busy|Image)\b.*", line)
    ]
    return re.sub(r"\s*\[while running .*$", "", lines[-1]) if lines else text


def print_plan(recipe: Recipe, output: Path | None) -> None:
    """Print counts per group and what would be made, from the dataset or from the recipe's published counts."""
    console = Console()
    counts, where = real_counts(recipe, output)
    if not any(counts.values()):
        raise RecipeError("no training image in any group")
    planned = quotas(counts, recipe.quota.per_group, recipe.quota.usb_extra)
    usb = usb_counts(counts)
    table = Table(title=f"{recipe.name}: what would be made")
    for column in (
        "group",
        "real",
        "USB adds M-n",
        "balanced m",
        "extra",
        "planned in round 0",
        "example prompt",
    ):
        table.add_column(column, justify="left" if column in ("group", "example prompt") else "right")
    for group, quota in planned.items():
        table.add_row(
            recipe.group_name(*group),
            str(counts[group]),
            str(usb[group]),
            str(quota.balanced),
            str(quota.extra),
            str(_first_round(recipe, quota.total)),
            _example(recipe, group),
        )
    console.print(table)
    total = sum(_first_round(recipe, quota.total) for quota in planned.values())
    console.print(
        f"real counts from {where}; m by FFR's rule = {per_group(counts)}; "
        f"{total} samples in round 0, {recipe.generator.steps} steps each",
        highlight=False,
    )
    console.print(_estimate(recipe, total, output), highlight=False)


def real_counts(recipe: Recipe, output: Path | None) -> tuple[dict[Group, int], str]:
    """Return the real training counts per group and where they come from.

    Raises:
        RecipeError: neither the dataset nor published counts for the bias ratio are there.
    """
    from transforms.sources import SourceError

    published = recipe.source.published_counts
    path = getattr(recipe.source, "path", None)
    if published and not (path and Path(path).exists()):
        ratio = recipe.source.bias_ratio
        known = {float(key): value for key, value in published.items()}
        if ratio not in known:
            raise RecipeError(
                f"no published counts for bias_ratio {ratio}; there are counts for {sorted(known)}"
            )
        return dict(zip(recipe.groups, known[ratio], strict=True)), f"the published split at r = {ratio}"
    try:
        return _read_counts(recipe, output), "the dataset"
    except SourceError as error:
        raise RecipeError(f"{error}") from error


def _read_counts(recipe: Recipe, output: Path | None) -> dict[Group, int]:
    from pipeline.jobs import Launcher
    from pipeline.runfolder import RunFolder
    from pipeline.sourcing import source_stage

    folder = RunFolder((output or Path(recipe.output) / recipe.name).absolute())
    with folder.writing():
        return source_stage(recipe, folder, Launcher(), Reporter()).counts


def _first_round(recipe: Recipe, total: int) -> int:
    size = recipe.quota.shard_size
    return math.ceil(math.ceil(total * (1 + recipe.quota.surplus)) / size) * size


def _example(recipe: Recipe, group: Group) -> str:
    y, b = group
    return recipe.prompts.templates[0].format(
        **{"class": recipe.classes[y].wordings[0], "bias": recipe.bias.values[b].wordings[0]}
    )


def _estimate(recipe: Recipe, total: int, output: Path | None) -> str:
    """Return how long it will take, from the rate of an earlier run of this recipe, if there is one."""
    root = output or Path(recipe.output) / recipe.name
    rate = _measured_rate(root)
    if rate is None:
        return "no estimate of the time: this machine hasn't run this recipe yet; its first shard will tell"
    return f"about {total / rate / 60:.1f} minutes at the {rate:.1f} samples/s of the run in {root}"


def _measured_rate(root: Path) -> float | None:
    from catalogs import manifest

    samples = seconds = 0.0
    for file in sorted((root / "raw").glob("*.parquet"))[:50]:
        attempt = manifest.read_attempt(file)
        samples, seconds = samples + attempt.get("samples", 0), seconds + attempt.get("seconds", 0.0)
    return samples / seconds if seconds else None


def print_result(recipe: Recipe, result: Any, console: Console) -> None:
    """Print what a run made and, after training, the table of accuracies."""
    if result.curated:
        selection = result.curated.selection
        console.print(
            f"curated {len(selection.chosen)} samples: {selection.balanced} a group in the balanced split; "
            f"{result.generated} generated in this run; curation {result.curated.curation_id}",
            highlight=False,
        )
    if result.trainings:
        console.print(accuracy_table(result.trainings))
    console.print(f"run folder: {result.folder.root}", highlight=False, soft_wrap=True)
    if result.report:
        console.print(f"report:     {result.report}", highlight=False, soft_wrap=True)
    console.print(
        f"{result.seconds:.0f} s; ask the catalog: fairshards query {result.folder.root} balance",
        highlight=False,
        soft_wrap=True,
    )


def accuracy_table(trainings: Sequence[Any]) -> Table:
    """Return the table of test accuracies, in percent, one row a training."""
    table = Table(title="test accuracy, %")
    for name in ("method", "loss", "seed"):
        table.add_column(name)
    for name in ("worst group", "which (n)", "balanced", "average", "adjusted average"):
        table.add_column(name, justify="right")
    for training in trainings:
        _add(table, training.method.upper(), training.loss, training.seed, training.test)
        if "stage1" in training.metrics:
            _add(table, "  stage 1 alone", training.loss, training.seed, training.metrics["stage1"]["test"])
    return table


def _add(table: Table, method: str, loss: str, seed: int, test: Mapping[str, Any]) -> None:
    def percent(name: str) -> str:
        return "-" if test[name] is None else f"{100 * test[name]:.1f}"

    table.add_row(
        method,
        loss,
        str(seed),
        percent("worst_group"),
        f"{test['worst_group_name']} ({test['worst_n']})",
        percent("balanced"),
        percent("average"),
        percent("adjusted_average"),
    )
