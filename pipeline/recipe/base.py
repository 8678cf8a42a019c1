"""What recipes of every kind have: a name, a seed, filters by name, where Beam runs, and where the run folders lie."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, Field

from fairshards.filters.base import Filter
from fairshards.filters.registry import unscored
from fairshards.pipeline.recipe.strict import Strict, field_problems
from fairshards.plugins import Family, PluginError

HomePath = Annotated[str, AfterValidator(os.path.expanduser)]
MOST_SEED = 2**63 - 1
"""The largest number that torch takes."""
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]


class RecipeError(ValueError):
    """The recipe can't be read or doesn't say what a recipe must say."""


class Runner(Strict):
    """Where Beam runs."""

    name: str = "local"
    workers: int = Field(1, ge=1)
    threads: int | None = Field(
        None,
        ge=1,
        description="Torch threads of a CPU worker, which can move a pixel by a grey level: equal bytes "
        "need equal threads. Default: the cores, shared among local workers.",
    )


class RecipeBase(Strict):
    """What a run of any kind needs; a kind's own recipe derives from it.

    Attributes:
        KIND: The kind's name, as the recipe says it.
        TAGGED: Models that a word in the recipe chooses, such as a source's reader, by that word.
    """

    KIND: ClassVar[str]
    TAGGED: ClassVar[Mapping[str, type[BaseModel]]] = {}

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: Seed = 0
    runner: Runner = Field(default_factory=lambda: Runner.model_validate({}))
    output: HomePath = Field("runs", description="The folder of the run folders; ~ is the home folder.")

    def resolved(self) -> dict[str, Any]:
        """Return all that the recipe says, defaults included: what is made first, where it is made last."""
        values = self.model_dump(mode="json", by_alias=True)
        first, last = ("kind", "name", "seed"), ("runner", "output")
        inner = (key for key in values if key not in (*first, *last))
        return {key: values[key] for key in (*first, *inner, *last) if key in values}


def filter_problems(filters: Mapping[str, Mapping[str, Any]], known: Family[Filter]) -> Iterator[str]:
    """Yield a line for every filter that isn't known, and for every setting that a filter refuses."""
    for name, settings in filters.items():
        try:
            kind = known[name]
        except PluginError as error:
            yield f"filters has {error}"
            continue
        wrong = list(field_problems(kind, settings, f"filters.{name}"))
        yield from wrong or unscored(name, kind(**settings), known)
