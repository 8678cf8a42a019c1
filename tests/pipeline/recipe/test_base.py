"""What every kind's recipe has, and the order in which recipe.yaml says it."""

from __future__ import annotations

from fairshards.pipeline.kinds import load_recipe


def test_a_resolved_recipe_says_what_is_made_first_and_where_last() -> None:
    pictures, records = (list(load_recipe(name).resolved()) for name in ("pocket-waterbirds", "btgan_support2"))
    assert pictures[:3] == ["name", "seed", "source"] and pictures[-2:] == ["runner", "output"]
    assert records[:4] == ["kind", "name", "seed", "cohort"] and records[-2:] == ["runner", "output"]
