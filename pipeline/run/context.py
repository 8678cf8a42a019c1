"""The run: what every step of it works with, as one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from fairshards.pipeline.recipe.base import RecipeBase, RecipeError
from fairshards.pipeline.run.catalog_sync import CatalogSync
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.run.stages import reaches

RecipeOfKind = TypeVar("RecipeOfKind", bound=RecipeBase, covariant=True)


class SourceRefused(RecipeError):
    """The source was read, and the run can't go on with what is in it; ``manifests`` tell the catalog why."""

    def __init__(self, message: str, manifests: Mapping[str, str]) -> None:
        super().__init__(message)
        self.manifests = dict(manifests)


@dataclass(frozen=True)
class Anew:
    """What is done again in a run that exists: whether samples are made, or only decided over, and whether the source
    is looked at where the run has it already.
    """

    generate: bool = True
    read: bool = True


@dataclass(frozen=True)
class Run(Generic[RecipeOfKind]):
    """What every step of a run works with.

    Attributes:
        recipe: What is asked for.
        folder: Where everything lies.
        launcher: How Beam's jobs are run.
        report: Where progress is told.
        until: The last stage that is done.
        anew: What of an existing run is done again.
        ready: What the checks before the run found out, for the kind's own steps.
        previous: The manifests of the run before.
        current: The manifests of this run with their content hashes, in order; it grows from step to step.
    """

    recipe: RecipeOfKind
    folder: RunFolder
    launcher: Launcher = field(default_factory=Launcher)
    report: Reporter = field(default_factory=Reporter)
    until: str = "report"
    anew: Anew = field(default_factory=Anew)
    ready: Any = None
    previous: Sequence[str] = ()
    current: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The run folder's path."""
        return self.folder.root

    @cached_property
    def catalog(self) -> CatalogSync:
        """What brings the catalog up to date as the run goes on."""
        return CatalogSync(self.folder, self.report)

    def reaches(self, stage: str) -> bool:
        """Tell whether the run does this stage."""
        return reaches(self.until, stage)
