"""What a recipe's JSON Schema says of the options of classes that it may name: ours and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema

from fairshards.plugins import Family


@dataclass(frozen=True)
class OptionsByName:
    """Of a mapping from names of a family to their options, such as ``filters``."""

    family: Family[Any]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the mapping's schema with the options of each name."""
        return {**handler(core), "properties": options_of(self.family, self.family.names)}


def options_beside(family: Family[Any], key: str, inside: str | None = None) -> Callable[[dict[str, Any]], None]:
    """Return what adds to a model's schema the options of the class that its ``key`` names, of installed packages.

    The options stand beside the key, or in a mapping ``inside``.
    """

    def add(schema: dict[str, Any]) -> None:
        if not (chosen := options_of(family, family.installed)):
            return
        schema["allOf"] = [
            {
                "if": {"properties": {key: {"const": name}}},
                "then": {"properties": {inside: options}} if inside else options,
            }
            for name, options in chosen.items()
        ]

    return add


def options_of(family: Family[Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the JSON Schema of the fields of each named class that can be had here, by name."""
    return {name: TypeAdapter(family[name]).json_schema() for name in names if name in family}
