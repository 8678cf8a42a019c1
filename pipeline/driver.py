"""The driver: runs the steps of any kind in order, keeps run.json true, and syncs the catalog after each of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests.places import OF_DISCOVERY, RESULTS, SAMPLES
from fairshards.pipeline.kinds.kind import Kind, RunResult, Source
from fairshards.pipeline.kinds.registry import kind_of
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.run.catalog_sync import listed_before
from fairshards.pipeline.run.checks import require
from fairshards.pipeline.run.context import Anew, Run, SourceRefused
from fairshards.pipeline.run.folder import run_folder
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.synthesis.curate import curation_stage
from fairshards.pipeline.synthesis.current import commit_run, keep_earlier
from fairshards.pipeline.synthesis.earlier import Round, earlier_samples, existing_pool, planned_rounds
from fairshards.pipeline.synthesis.making import Making
from fairshards.pipeline.synthesis.pool import Pool
from fairshards.pipeline.synthesis.rounds import synthesis_stage


def run(
    recipe: RecipeBase,
    launcher: Launcher,
    report: Reporter,
    until: str = "report",
    root: Path | None = None,
    anew: Anew | None = None,
) -> RunResult:
    """Run a recipe up to a stage. What is committed is not done again; the same command resumes a killed run.

    Raises:
        RecipeError: the recipe can't be followed; all that is known before anything is made is said at once.
    """
    kind = kind_of(recipe)
    folder = run_folder(root or f"{recipe.output}/{recipe.name}")
    asked = Run(recipe, folder, launcher, report, until, anew or Anew())
    ready = kind.ready(asked)
    require(ready.checks, report)
    with kind.guarded(asked), folder.writing():
        return _steps(kind, replace(asked, ready=ready, previous=listed_before(folder, report)))


def _steps(kind: Kind, run: Run[RecipeBase]) -> RunResult:
    begin, rounds = time.monotonic(), kind.planned_before(run)
    if run.previous:
        run.folder.set_current(run.previous, finished=False)
    commit_run(run, kind.packages)
    source = _source(kind, run)
    result = RunResult(run.folder, source)
    if not run.previous:
        run.catalog.sync(run.current)  # from the first minutes on there is a catalog to ask
    require(kind.counted(run, source), run.report)
    result.prepared = kind.prepare(run, source)
    making = kind.making(run, source, result.prepared) if run.reaches("generate") else None
    if making:
        _synthesise(run, making, result, rounds)
    keep_earlier(run, RESULTS if making else SAMPLES + RESULTS)
    run.catalog.sync(run.current)  # before anything is judged, so that what fails there leaves a catalog to ask
    if result.curated:
        try:
            result.judged = kind.judge(run, result)
        finally:
            run.catalog.sync(run.current)
    run.catalog.finish(run.current)
    if run.until in kind.reported_after:
        from fairshards.pipeline.report.card import write_card
        from fairshards.pipeline.report.page import write_report

        result.report = write_report(run.folder, run.recipe, kind.pages)
        write_card(run.folder, run.recipe, kind.pages)
    result.seconds = time.monotonic() - begin
    return result


def _source(kind: Kind, run: Run[RecipeBase]) -> Source:
    """Read the source; where that is refused, the catalog can be asked why."""
    try:
        source = kind.source(run)
    except SourceRefused as refused:
        run.current.update(refused.manifests)
        keep_earlier(run, OF_DISCOVERY + SAMPLES + RESULTS)
        run.catalog.sync(run.current)
        raise
    run.current.update(source.manifests)
    return source


def _synthesise(run: Run[Any], making: Making, result: RunResult, rounds: Sequence[Round] | None) -> None:
    """Make or look up the samples, and curate them."""

    def committed(pool: Pool) -> None:
        listed = {**run.current, **pool.manifests, **earlier_samples(run, making, pool)}
        keep_earlier(run, RESULTS, listed)
        run.catalog.sync(listed)

    run.current.update(making.begin.sets.manifests)
    if run.anew.generate or not making.recipe.quota.max_rounds:  # without rounds there is nothing to generate
        pool, result.decision = synthesis_stage(run, making, committed)
    else:
        pool, result.decision = existing_pool(run, making, rounds or planned_rounds(run, making))
    run.current.update(pool.manifests)
    result.quotas, result.generated = making.quotas, pool.generated
    if run.reaches("curate"):
        result.curated = curation_stage(run, making, pool, result.decision)
        run.current.update(result.curated.manifests)
    run.current.update(earlier_samples(run, making, pool))
    if result.curated:
        run.current.update(making.audit(result.curated))
