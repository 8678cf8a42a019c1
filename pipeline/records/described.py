"""A run over health records in words: the cohort, the constraint, the training, the model."""

from __future__ import annotations

import json

from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.report.reader import Reader, Row
from fairshards.pipeline.report.summary import filter_text


def recipe_lines(recipe: EhrRecipe, reader: Reader, model: Row) -> list[tuple[str, str]]:
    """Return (term, text) lines about what was run."""
    cohort, said = recipe.cohort, recipe.settings
    counts = "; ".join(f"{row['split']} {row['n']:,}" for row in reader.rows("cohort"))
    plant = cohort.plant
    planted = f"{plant.share:.0%} of the positive labels of {plant.group} turned in training" if plant else ""
    if plant and plant.proxy:
        planted += f"; {cohort.attribute} hidden, a column site agrees with it in {plant.proxy:.0%} of rows"
    constraint = {"none": "none", "parity": "parity: I(Ŷ; S)", "odds": "odds: I(Ŷ; S | Y)"}[said.constraint]
    lines = [
        ("Cohort", f"{cohort.reader}; {counts}"),
        ("Protected attribute S", cohort.attribute),
        *([("Planted bias", planted)] if planted else []),
        ("Constraint", constraint + (f", λ = {said.lam:g}" if said.lam else "")),
        ("Training", f"{said.steps:,} steps, then {said.stage2_steps:,} with weighted sampling; batch {said.batch}"),
        ("Filters", "; ".join(map(filter_text, recipe.filters.items())) or "none"),
        ("Sub-groups", f"{recipe.quota.groups} shares of (y, s)"),
        ("Seed", str(recipe.seed)),
    ]
    if model:
        shown = ", ".join(f"{column} {share:.2f}" for column, share in json.loads(model["proxies"]).items())
        if shown:
            lines.append(
                ("Hidden from the constraint's classifier", f"{shown} (share of S's entropy that a column tells)")
            )
        lines.append(("Model", f"{model['model_id']}, fingerprint {model['fingerprint'][:12]}"))
    return lines
