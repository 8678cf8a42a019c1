"""What was run, in words: the recipe's lines, models by fingerprint, versions, balance and shortfalls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.training import train_settings
from fairshards.pipeline.recipe.yaml_file import write_recipe_text
from fairshards.pipeline.report.reader import Reader, Row

DIGITS = 12
MIXES = {
    "real": ("Real", "what ERM trains on"),
    "synthetic": ("Synthetic", "the balanced split, all of it"),
    "usb": ("USB", "real, filled up with M − n a group"),
    "asb": ("ASB", "real, and m of every group"),
    "ffr stage 1": ("FFR stage 1", "m of every group, no real image"),
}


@dataclass(frozen=True)
class Totals:
    """The run in a few numbers; ``per_group`` is None where groups of the balanced split differ."""

    real: int
    generated: int
    passed: int
    kept: int
    per_group: int | None


def recipe_lines(recipe: Recipe, reader: Reader) -> list[tuple[str, str]]:
    """Return (term, text) lines about what was run."""
    counts = ", ".join(f"{row['split']} {row['n']:,}" for row in reader.rows("counts"))
    return [
        ("Source", _join(f"reader {recipe.source.reader}", getattr(recipe.source, "path", ""), _ratio(recipe), counts)),
        ("Classes y", ", ".join(value.name for value in recipe.classes)),
        ("Bias b", _bias(recipe)),
        ("Prompts", _prompts(recipe)),
        ("Generator", _generator(recipe)),
        ("Scorer and judge", f"{recipe.scorer.model} on {recipe.scorer.device}"),
        *([("Segmenter", recipe.scorer.segmenter.model)] if recipe.scorer.segmenter else []),
        ("Filters", "; ".join(map(filter_text, recipe.filters.items())) or "none: every generated sample is eligible"),
        ("Training", _training(recipe)),
        ("Seed", str(recipe.seed)),
    ]


def _prompts(recipe: Recipe) -> str:
    if recipe.spurious_free:
        return _join(*recipe.spurious_free.templates, f"guidance {recipe.spurious_free.guidance}")
    return _join(*recipe.prompts.templates, recipe.prompts.negative and f"not: {recipe.prompts.negative}")


def _bias(recipe: Recipe) -> str:
    if not recipe.bias.known:
        return "no bias label is known: groups are classes"
    return f"{recipe.bias.name}: {', '.join(value.name for value in recipe.bias.values)}"


def fingerprints(reader: Reader) -> list[Row]:
    """Return the models that made and scored samples: role, model, full and short fingerprint, samples."""
    return [{**row, "short": (row["fingerprint"] or "?")[:DIGITS]} for row in reader.rows("models")]


def versions(reader: Reader) -> dict[str, str]:
    """Return the versions that the run's manifest names."""
    return dict(json.loads(reader.row("run").get("versions") or "{}"))


def resolved_yaml(recipe: BaseModel) -> str:
    """Return the whole recipe, defaults filled in."""
    return write_recipe_text(recipe.model_dump(mode="json", by_alias=True))


def totals(balance: Sequence[Row]) -> Totals:
    """Return the sums over groups."""
    balanced = {row["balanced"] for row in balance}
    kept = sum(row["balanced"] + row["extra"] + row["validation"] for row in balance)
    return Totals(
        sum(row["real"] for row in balance),
        sum(row["generated"] for row in balance),
        sum(row["passed"] for row in balance),
        kept,
        balanced.pop() if len(balanced) == 1 else None,
    )


def shortfalls(settings: Mapping[str, Any], balance: Sequence[Row]) -> list[Row]:
    """Return the groups that stayed short: their quota, what passed the filters, and how many are missing."""
    quota = {
        row["group"]: row["balanced"] + row["extra"] + row.get("validation", 0) for row in settings.get("quotas") or ()
    }
    short = settings.get("shortfall") or {}
    return [
        {"group": name, "quota": quota.get(name), "passed": row["passed"], "missing": short[name]}
        for row in balance
        if short.get(name := row["group_name"])
    ]


def accept_table(reader: Reader, filters: Sequence[str], groups: Sequence[str]) -> tuple[list[str], list[Row]]:
    """Return the filters in the order they are applied, and a row per group (first: all) with a cell per filter."""
    cells = {(row["group_name"], row["filter"]): row for row in reader.rows("accepted")}
    found = {name for _, name in cells}
    order = [name for name in ("generated", *filters) if name in found]
    columns = order + sorted(found - set(order))
    return columns, [
        {"group": group, "cells": [cells.get((group, name)) for name in columns]} for group in ("", *groups) if columns
    ]


def mixes(reader: Reader, recipe: Recipe) -> Iterator[Row]:
    """Yield what I(Y;B) and I(Y;(B,G)) are in each mix, with its name in words.

    Of spurious-free samples no bias value is known, so there is nothing to count but the real images.
    """
    for row in reader.rows("bits"):
        if recipe.spurious_free and row["mix"] != "real":
            continue
        if row["real"] or row["synthetic"] or row["missing"]:
            label, note = MIXES.get(row["mix"], (row["mix"], ""))
            yield {**row, "label": label, "note": note}


def _ratio(recipe: Recipe) -> str:
    return f"bias ratio r = {recipe.source.bias_ratio}" if recipe.source.bias_ratio else ""


def _generator(recipe: Recipe) -> str:
    said = recipe.generator
    sampler = f"{said.scheduler or 'the model’s own scheduler'}, {said.steps} steps, eta {said.eta:g}"
    return _join(
        said.model,
        sampler,
        f"guidance {said.guidance_scale:g}",
        f"{said.width}×{said.height} px",
        f"{said.dtype} on {said.device}, batches of {said.batch_size}",
    )


def filter_text(entry: tuple[str, Mapping[str, Any]]) -> str:
    """Return a filter's name with its settings."""
    name, options = entry
    return name + (f" ({', '.join(f'{key} {_value(value)}' for key, value in options.items())})" if options else "")


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _training(recipe: Recipe) -> str:
    said = recipe.training
    names = dict.fromkeys(settings.name for settings in train_settings(said))
    return _join(", ".join(names), f"loss {', '.join(said.losses)}", f"seeds {', '.join(map(str, said.seeds))}")


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
