"""What rounds of synthesis need to know of what is made: pictures or rows of health records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.planned import Planned
from fairshards.pipeline.run.quota import Group
from fairshards.pipeline.synthesis.compare import add_compared_scores
from fairshards.pipeline.synthesis.plan import shard_rows
from fairshards.pipeline.synthesis.pool import Pool, Row
from fairshards.transforms.pictures.generate import Generate
from fairshards.transforms.pictures.score import Score
from fairshards.transforms.pictures.specs import GeneratorSpec, ScorerSpec, Staged


@dataclass(frozen=True)
class Making:
    """How a recipe's samples are planned, made and scored.

    Attributes:
        recipe: Its groups, quota and filters.
        generator, scorer: The specs of the two stages.
        shard_rows: (group, shard number, round) to the shard's plan rows.
        steps: The transforms of the two stages.
        compare: Adds the scores that compare a sample with others to the pool.
    """

    recipe: Planned
    generator: Staged
    scorer: Staged
    shard_rows: Callable[[Group, int, int], list[Row]]
    steps: Sequence[Any]
    compare: Callable[[Pool], None]


def picture_making(recipe: Recipe, specs: tuple[GeneratorSpec, ScorerSpec], folder: RunFolder) -> Making:
    """Return how pictures are made: text to image, then CLIP."""
    return Making(
        recipe,
        *specs,
        lambda group, shard, number: shard_rows(recipe, specs[0], group, shard, number),
        (Generate(specs[0]), Score(specs[1])),
        lambda pool: add_compared_scores(recipe, pool, folder),
    )
