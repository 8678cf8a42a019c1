"""Reading a recipe: a YAML file or one that ships with fairshards, ``--set`` over it, and what is wrong with it."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fairshards.nearest import nearest
from fairshards.pipeline.recipe.base import RecipeBase, RecipeError
from fairshards.pipeline.recipe.strict import explain
from fairshards.pipeline.recipe.yaml_file import Given, RecipeSyntaxError, read_recipe_text

PICTURES = "pictures"
"""The kind of a recipe that names none."""
_Recipe = TypeVar("_Recipe", bound=RecipeBase)


def read_recipe(name: str, overrides: Sequence[str] = ()) -> tuple[Given, str]:
    """Return what a recipe says with ``overrides``, not checked yet, and where it was found.

    Raises:
        RecipeError: there is no such recipe, or it is no YAML mapping.
    """
    text, where = _find(name)
    try:
        given = read_recipe_text(text)
    except RecipeSyntaxError as error:
        raise RecipeError(f"{where} {error}") from None
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals:
            raise RecipeError(f"--set {override!r} is not key=value, e.g. --set generator.steps=25")
        try:
            given.override(tuple(path.strip().split(".")), value)
        except RecipeSyntaxError as error:
            raise RecipeError(f"--set {override!r}: {error}") from None
    return given, where


def validated(model: type[_Recipe], given: Given, where: str) -> _Recipe:
    """Return the recipe that was given; a value of another type than its key's is refused, never converted.

    Raises:
        RecipeError: with every problem on a line, and the nearest known key for an unknown one.
    """
    try:
        return model.model_validate(given.data, strict=True)
    except ValidationError as error:
        found = error.errors()
        places = [one["loc"] for one in found]
        told = [
            one
            for one in found
            if one["type"] != "too_short"  # of parts that aren't right themselves
            or not any(place[: len(one["loc"])] == one["loc"] != place for place in places)
        ]
        lines = [line for one in told for line in _explain(model, one, given)]
        problems = "\n".join(f"  {line}" for line in dict.fromkeys(lines))
        raise RecipeError(f"{where}:\n{problems}") from None


def shipped_recipes(kind: str | None = None) -> list[str]:
    """Return the names of the recipes that ship with fairshards, of all kinds or of one: "pictures" or "ehr"."""
    files = [file for file in importlib.resources.files("fairshards.recipes").iterdir() if file.name.endswith(".yaml")]
    return sorted(
        file.name.removesuffix(".yaml")
        for file in files
        if kind in (None, read_recipe_text(file.read_bytes()).data.get("kind", PICTURES))
    )


def _find(name: str) -> tuple[bytes, str]:
    path = Path(name)
    if path.is_file():
        return path.read_bytes(), str(path)
    shipped = importlib.resources.files("fairshards.recipes") / f"{name.removesuffix('.yaml')}.yaml"
    if "/" not in name and shipped.is_file():
        return shipped.read_bytes(), f"recipe {name}"
    raise RecipeError(f"no recipe {name!r}: no such file{nearest(name, shipped_recipes(), 'and none that ships: ')}")


def _explain(recipe: type[RecipeBase], problem: Any, given: Given) -> list[str]:
    """Return what one of pydantic's problems means, with the key's path and, where the file says it, the line."""
    path = [part for part in problem["loc"] if part not in recipe.TAGGED]
    if path and path[-1] == "[key]":  # before it stands the key, or its number where it is no text
        path[-2:] = [problem["input"]]
    where = ".".join(str(part) for part in path)
    if problem["type"] == "extra_forbidden":
        return [f"{where}: unknown key{nearest(str(path[-1]), _fields(recipe, problem['loc'][:-1]))}"]
    if not path and problem["type"] == "value_error":
        return str(problem["ctx"]["error"]).splitlines()
    if problem["type"] == "value_error":
        return [f"{where}: {line}" for line in str(problem["ctx"]["error"]).splitlines()]
    written = given.scalars.get(tuple(path))
    said = explain(problem["type"], problem["msg"], problem["input"], written.text if written else None)
    line = f"line {written.line}: " if written and written.line else ""
    return [f"{where or 'recipe'}: {line}{said}"]


def _fields(recipe: type[RecipeBase], location: Sequence[Any]) -> list[str]:
    """Return the keys that are known at a place of the recipe."""
    model: Any = recipe
    for part in location:
        if part in recipe.TAGGED:
            model = recipe.TAGGED[part]
        elif isinstance(part, str) and part in model.model_fields and part != "source":
            model = _model_of(model.model_fields[part].annotation)
    return sorted(model.model_fields)


def _model_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(arg for arg in annotation.__args__ if isinstance(arg, type) and issubclass(arg, BaseModel))
