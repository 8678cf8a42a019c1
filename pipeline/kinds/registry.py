"""Which kinds there are: ours, those of installed packages, and those that a program registers."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from fairshards.extras import check_extra
from fairshards.nearest import nearest
from fairshards.pipeline.kinds.kind import Kind
from fairshards.pipeline.recipe.base import RecipeBase, RecipeError
from fairshards.pipeline.recipe.loading import PICTURES, read_recipe, validated
from fairshards.pipeline.recipe.yaml_file import read_recipe_text
from fairshards.plugins import imported

GROUP = "fairshards.kinds"
"""The entry points' group: each names a class derived from ``Kind``."""
SHIPPED = {
    "pictures": "fairshards.pipeline.kinds.pictures.Pictures",
    "ehr": "fairshards.pipeline.kinds.records.Records",
}
_Recipe = TypeVar("_Recipe", bound=RecipeBase)
_registered: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind known under its name, in place of any other of that name."""
    _registered[kind.name] = kind


def known_kinds() -> list[str]:
    """Return the names of all kinds: ours first."""
    return list(dict.fromkeys([*SHIPPED, *_entry_points(), *_registered]))


def kind_named(name: str) -> Kind:
    """Return the kind of this name.

    Raises:
        RecipeError: there is none; the nearest known one is named.
        PluginError: an installed package's can't be imported.
    """
    if name not in _registered:
        classes = {**_entry_points(), **SHIPPED}
        if name not in classes:
            raise RecipeError(f"kind is {name!r}{nearest(name, known_kinds())}")
        register(imported(classes[name].replace(":", "."))())
    return _registered[name]


def kind_of(recipe: RecipeBase) -> Kind:
    """Return the kind of a recipe."""
    return kind_named(recipe.KIND)


def kind_in(root: Path) -> Kind:
    """Return the kind of the run that lies in a folder."""
    return kind_named(read_recipe_text((root / "recipe.yaml").read_bytes()).data.get("kind", PICTURES))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> RecipeBase:
    """Return a recipe of any kind by file name, or by the name of one that ships with fairshards.

    Raises:
        MissingExtra: the recipe's kind needs libraries that aren't installed.
        RecipeError: with every problem on a line, and the nearest known key for an unknown one.
    """
    given, where = read_recipe(name, overrides)
    try:
        kind = kind_named(str(given.data.get("kind", PICTURES)))
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None
    if "kind" not in kind.recipe.model_fields:
        given.data.pop("kind", None)
    if kind.extra:
        check_extra(kind.extra, f"a recipe of kind {kind.name}")
    return validated(kind.recipe, given, where)


def load_recipe_of(model: type[_Recipe], name: str, overrides: Sequence[str] = ()) -> _Recipe:
    """Return a recipe of one kind, for what only that kind has.

    Raises:
        RecipeError: as ``load_recipe``, or the recipe is of another kind.
    """
    recipe = load_recipe(name, overrides)
    if not isinstance(recipe, model):
        raise RecipeError(f"{name} is of kind {recipe.KIND}, and this command takes kind {model.KIND} alone")
    return recipe


def _entry_points() -> dict[str, str]:
    return {point.name: point.value for point in importlib.metadata.entry_points(group=GROUP)}
