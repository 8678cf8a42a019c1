"""What a kind is: all that the one driver asks of pictures, of health records, or of somebody's own kind.

A kind's module is imported to read a recipe, so it imports what its stages need inside its methods.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fairshards.pipeline.recipe.base import RecipeBase


@dataclass(frozen=True)
class Pages:
    """What people read of a run.

    Attributes:
        report: (run folder, recipe) to the report.html that it writes.
        card: (run folder, recipe) to the files of the dataset card.
        result: (recipe, what the run did, console): the lines on the terminal.
        plan: (recipe, run folder or None): prints what would be made; returns whether every check is right.
    """

    report: Callable[[Any, Any], Path]
    card: Callable[[Any, Any], list[Path]]
    result: Callable[[Any, Any, Any], None]
    plan: Callable[[Any, Path | None], bool]


class Kind(ABC):
    """One kind of run."""

    name: ClassVar[str]
    recipe: ClassVar[type[RecipeBase]]
    extra: ClassVar[str | None] = None
    """The extra of pyproject.toml that brings what the kind's stages import, where not everybody has that."""

    @property
    @abstractmethod
    def pages(self) -> Pages:
        """What people read of a run."""

    def guarded(self, root: Path) -> contextlib.AbstractContextManager[bool]:
        """Guard a run's folder while it is written; yields whether it is guarded as it should be."""
        return contextlib.nullcontext(True)
