"""Health records: from a cohort to synthetic rows of a fair generator, judged by utility, fairness and privacy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.markup import escape

from fairshards.pipeline.kinds.kind import Kind, RunResult
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.run.owner import own_folder

if TYPE_CHECKING:
    from fairshards.catalogs.manifests.manifest import Head
    from fairshards.pipeline.records.cohort import CohortResult
    from fairshards.pipeline.records.fit import FitResult
    from fairshards.pipeline.report.pages import Pages
    from fairshards.pipeline.run.checks import Check, Ready, Regenerated
    from fairshards.pipeline.run.context import Run
    from fairshards.pipeline.run.folder import RunFolder
    from fairshards.pipeline.run.progress import Reporter
    from fairshards.pipeline.synthesis.making import Making


class Records(Kind):
    """Runs over health records, whose folders are their owner's alone."""

    name: ClassVar[str] = EhrRecipe.KIND
    recipe: ClassVar[type[RecipeBase]] = EhrRecipe
    extra: ClassVar[str | None] = "records"
    packages: ClassVar[Sequence[str]] = (
        "fairshards",
        "apache-beam",
        "torch",
        "numpy",
        "pandas",
        "pyarrow",
        "scikit-learn",
        "fairlearn",
    )

    def ready(self, run: Run[EhrRecipe]) -> Ready:
        """Check the recipe and this machine."""
        from fairshards.pipeline.records.row_checks import before_cohort
        from fairshards.pipeline.run.checks import Ready

        return Ready(tuple(before_cohort(run.recipe, run.launcher, run.root)))

    @contextlib.contextmanager
    def guarded(self, run: Run[EhrRecipe]) -> Iterator[None]:
        """Close the folder to everybody but its owner."""
        with own_folder(run.root) as closed:
            if not closed:
                run.report.say(
                    f"[yellow]note[/]: others may look into {escape(str(run.root))}, which isn't yours or whose "
                    "file system has no permissions; what this run adds is for you alone where that can be said"
                )
            yield

    def source(self, run: Run[EhrRecipe]) -> CohortResult:
        """Read and check the cohort, and say what is in it."""
        from fairshards.pipeline.records.cohort import cohort_stage

        return cohort_stage(run)

    def counted(self, run: Run[EhrRecipe], source: CohortResult) -> Iterable[Check]:
        """Check labels and quotas against the cohort's counts."""
        from fairshards.pipeline.records.making import row_groups
        from fairshards.pipeline.records.row_checks import after_cohort

        if not run.reaches("generate"):
            return ()
        labels = source.rows("test")[source.schema.label]
        return after_cohort(row_groups(run.recipe, source), source.counts, labels, run.until)

    def prepare(self, run: Run[EhrRecipe], source: CohortResult) -> FitResult | None:
        """Train the Bt-GAN."""
        if not run.reaches("generate"):
            return None
        from fairshards.pipeline.records.fit import fit_stage

        fitted = fit_stage(run, source)
        run.current.update(fitted.manifests)
        return fitted

    def making(self, run: Run[EhrRecipe], source: CohortResult, prepared: FitResult) -> Making:
        """Return how rows are drawn from the Bt-GAN and scored."""
        from fairshards.pipeline.records.making import row_making

        return row_making(run, source, prepared)

    def judge(self, run: Run[EhrRecipe], result: RunResult) -> Path | None:
        """Evaluate the kept rows; return the manifest of what was measured.

        Raises:
            RecipeError: nearly no row passed the filters.
        """
        from fairshards.pipeline.records.making import require_rows

        require_rows(result.folder, result.quotas or {}, result.decision, result.curated)
        if not run.reaches("train"):
            return None
        from fairshards.pipeline.records.evaluation import evaluation_stage

        assert result.curated is not None
        return evaluation_stage(run, result.source, result.curated)

    def regenerate(self, folder: RunFolder, recipe: EhrRecipe, samples: int, report: Reporter) -> Regenerated:
        """Draw rows again and compare their checksums."""
        from fairshards.pipeline.records.regenerate import redrawn

        return redrawn(folder, samples)

    def companions(self, path: Path, head: Head) -> Iterator[tuple[Path, Callable[[], Iterator[str]]]]:
        """Yield the model that a fit's manifest stands beside."""
        from fairshards.pipeline.records.fit import MODEL
        from fairshards.pipeline.records.regenerate import check_model

        if head.stage == "fit":
            model = path.parent / MODEL
            yield model, lambda: check_model(model, head)

    @property
    def pages(self) -> Pages[EhrRecipe, RunResult]:
        """The report and the card with their sections of records, the tables of the evaluation and of the plan."""
        from fairshards.pipeline.records.pages import PAGES

        return PAGES
