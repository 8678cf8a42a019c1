"""What the pages of every kind count and say: totals over groups, shortfalls, what filters accept, versions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.recipe.yaml_file import write_recipe_text
from fairshards.pipeline.report.reader import Reader, Row


@dataclass(frozen=True)
class Totals:
    """The run in a few numbers; ``per_group`` is None where groups of the balanced split differ."""

    real: int
    generated: int
    passed: int
    kept: int
    per_group: int | None


def versions(reader: Reader) -> dict[str, str]:
    """Return the versions that the run's manifest names."""
    return dict(json.loads(reader.row("run").get("versions") or "{}"))


def resolved_yaml(recipe: RecipeBase) -> str:
    """Return the whole recipe, defaults filled in."""
    return write_recipe_text(recipe.resolved())


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
    decided = {name for _, name in cells}
    order = [name for name in ("generated", *filters) if name in decided]
    columns = order + sorted(decided - set(order))
    return columns, [
        {"group": group, "cells": [cells.get((group, name)) for name in columns]} for group in ("", *groups) if columns
    ]


def filter_text(entry: tuple[str, Mapping[str, Any]]) -> str:
    """Return a filter's name with its settings."""
    name, options = entry
    return name + (f" ({', '.join(f'{key} {_value(value)}' for key, value in options.items())})" if options else "")


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
