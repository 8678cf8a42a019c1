"""How pictures are made: text to image, then CLIP."""

from __future__ import annotations

from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.synthesis.compare import add_compared_scores
from fairshards.pipeline.synthesis.making import Making
from fairshards.pipeline.synthesis.plan import shard_rows
from fairshards.transforms.pictures.curate import WriteCurated
from fairshards.transforms.pictures.generate import Generate
from fairshards.transforms.pictures.score import Score
from fairshards.transforms.pictures.specs import GeneratorSpec, ScorerSpec

ADOPTED = "adopt/1"
"""The fingerprint of a raw manifest whose pictures are edits of real ones, which no generator made."""


def picture_making(run: Run[Recipe], specs: tuple[GeneratorSpec, ScorerSpec]) -> Making:
    """Return how the pictures of the run's recipe are planned, made, scored and written, without quotas."""
    generator, scorer = specs
    return Making(
        run.recipe,
        generator,
        scorer,
        lambda group, shard, number: shard_rows(run.recipe, generator, group, shard, number),
        (Generate(generator), Score(scorer)),
        WriteCurated(),
        compare=lambda pool: add_compared_scores(run.recipe, pool, run.folder),
    )
