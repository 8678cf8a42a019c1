"""What a kind is: all that the one driver asks of pictures, of health records, or of somebody's own kind.

A kind's module is imported to read a recipe, so it imports what its stages need inside its methods.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from fairshards.pipeline.recipe.base import RecipeBase

if TYPE_CHECKING:
    from fairshards.catalogs.manifests.manifest import Head
    from fairshards.pipeline.report.pages import Pages
    from fairshards.pipeline.run.checks import Check, Ready, Regenerated
    from fairshards.pipeline.run.context import Run
    from fairshards.pipeline.run.folder import RunFolder
    from fairshards.pipeline.run.progress import Reporter
    from fairshards.pipeline.run.quota import Group, Quota
    from fairshards.pipeline.synthesis.curate import Curated
    from fairshards.pipeline.synthesis.decide import Decision
    from fairshards.pipeline.synthesis.earlier import Round
    from fairshards.pipeline.synthesis.making import Making


class Source(Protocol):
    """What was read of a source: real samples, by group."""

    @property
    def manifests(self) -> Mapping[str, str]:
        """Its manifests by name, with their content hashes."""


@dataclass
class RunResult:
    """What a run did.

    Attributes:
        folder: Where it lies.
        source: What was read.
        prepared: What the kind found or trained before anything was made.
        quotas: How much every group was to have; None where nothing was to be made.
        decision: What the filters say of all samples.
        curated: What was kept.
        judged: What the kind measured of it.
        generated: How many samples this run made.
        report: The page for people.
        seconds: How long all took.
    """

    folder: RunFolder
    source: Any
    prepared: Any = None
    quotas: Mapping[Group, Quota] | None = None
    decision: Decision | None = None
    curated: Curated | None = None
    judged: Any = None
    generated: int = 0
    report: Path | None = None
    seconds: float = 0.0


class Kind(ABC):
    """One kind of run, in the order of the driver's questions.

    Attributes:
        name: What a recipe says for it.
        recipe: The model that its recipes are held to.
        extra: The extra of pyproject.toml that brings what the kind's stages import, where not everybody has that.
        packages: Those whose versions stand in the run's manifest.
        reported_after: The stages after which, as the last one, report and card are written.
    """

    name: ClassVar[str]
    recipe: ClassVar[type[RecipeBase]]
    extra: ClassVar[str | None] = None
    packages: ClassVar[Sequence[str]] = ("fairshards", "apache-beam")
    reported_after: ClassVar[Sequence[str]] = ("report",)

    @abstractmethod
    def ready(self, run: Run[Any]) -> Ready:
        """Check what recipe and machine tell before anything is written; the steps get the answer as ``run.ready``."""

    def guarded(self, run: Run[Any]) -> contextlib.AbstractContextManager[object]:
        """Guard the run's folder while it is written."""
        return contextlib.nullcontext()

    def planned_before(self, run: Run[Any]) -> Sequence[Round] | None:
        """Return the rounds that a run which makes nothing decides over, where they are known before the source is
        read; a run that can't decide over them is refused here, before anything is written.
        """
        return None

    @abstractmethod
    def source(self, run: Run[Any]) -> Source:
        """Read the source, or look up what was read; say what is in it.

        Raises:
            SourceRefused: it was read, and the run can't go on with it.
        """

    def counted(self, run: Run[Any], source: Any) -> Iterable[Check]:
        """Check what the source's counts tell before anything is made."""
        return ()

    def prepare(self, run: Run[Any], source: Any) -> Any:
        """Find out, or train, what making needs; list the manifests of that in ``run.current``."""
        return None

    @abstractmethod
    def making(self, run: Run[Any], source: Any, prepared: Any) -> Making | None:
        """Return how samples are planned, made, scored and written; None where none are to be made."""

    @abstractmethod
    def judge(self, run: Run[Any], result: RunResult) -> Any:
        """Judge what was kept, as far as the run goes; list the manifests of that in ``run.current``."""

    @abstractmethod
    def regenerate(self, folder: RunFolder, recipe: Any, samples: int, report: Reporter) -> Regenerated:
        """Make ``samples`` samples of a run again, drawn by hash, and compare them with those that are stored."""

    def companions(self, path: Path, head: Head) -> Iterator[tuple[Path, Callable[[], Iterator[str]]]]:
        """Yield the files that the manifest at ``path`` names beside its shard, each with what finds its faults."""
        return iter(())

    @property
    @abstractmethod
    def pages(self) -> Pages[Any, RunResult]:
        """What people read of a run."""
