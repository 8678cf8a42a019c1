"""The kinds of a run, by the name that a recipe says: what each reads, makes, judges and shows.

The driver, the commands, the report and the card take a ``Kind`` and know none by name. A package adds its own as an
entry point of the group fairshards.kinds.
"""

from fairshards.pipeline.kinds.kind import Kind
from fairshards.pipeline.kinds.registry import kind_named, kind_of, known_kinds, load_recipe, load_recipe_of, register

__all__ = ["Kind", "kind_named", "kind_of", "known_kinds", "load_recipe", "load_recipe_of", "register"]
