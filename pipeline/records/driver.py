"""The driver of health records: cohort, fit, sample and score in rounds, curate, evaluate, report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape

from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.catalogs.manifests.identity import digest
from fairshards.filters.records.discriminator import RATIO
from fairshards.filters.records.distance_ratio import SCORE as DISTANCE_RATIO
from fairshards.filters.records.nearest_record import SCORE as NEAREST
from fairshards.filters.registry import FILTERS
from fairshards.generators.tables.record_space import NEIGHBOURS, RecordSpace, distance_ratio, other_neighbours, told
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.records import EhrRecipe, RowGroups
from fairshards.pipeline.records.cohort import CohortResult, cohort_stage
from fairshards.pipeline.records.fit import FitResult, fit_stage
from fairshards.pipeline.records.plan_rows import row_quotas, shard_rows
from fairshards.pipeline.records.row_checks import after_cohort, before_cohort
from fairshards.pipeline.run.catalog_sync import CatalogSync, listed_before
from fairshards.pipeline.run.checks import require
from fairshards.pipeline.run.folder import RunFolder, run_folder, shell_path
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.owner import own_folder
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.run.stages import reaches
from fairshards.pipeline.synthesis.calibrate import CalibrationSets
from fairshards.pipeline.synthesis.curate import Curated, curation_stage
from fairshards.pipeline.synthesis.current import commit_run, keep_earlier
from fairshards.pipeline.synthesis.earlier import earlier_samples, existing_pool, planned_rounds
from fairshards.pipeline.synthesis.making import Making
from fairshards.pipeline.synthesis.pool import Pool
from fairshards.pipeline.synthesis.rounds import synthesis_stage
from fairshards.transforms.records.stages import RowScorerSpec, RowSpec, SampleRows, ScoreRows, WriteCuratedRows

LEAST_KEPT = 0.1
"""The share of the rows asked for below which a run ends as failed: what is left of them is no cohort."""
SAMPLES, RESULTS = ("models/", "plan/", "raw/", "scores/"), ("curated/", "evaluation/")
PACKAGES = ("fairshards", "apache-beam", "torch", "numpy", "pandas", "pyarrow", "scikit-learn", "fairlearn")


@dataclass
class EhrResult:
    """What a run did: where it lies, the cohort, what was drawn anew, what was kept, and how it was judged.

    ``asked`` is how many rows the quotas are, ``dropped`` how many rows each filter would drop.
    """

    folder: RunFolder
    cohort: CohortResult
    seconds: float = 0.0
    generated: int = 0
    curated: Curated | None = None
    evaluation: Path | None = None
    report: Path | None = None
    asked: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def run_ehr(
    recipe: EhrRecipe,
    launcher: Launcher,
    report: Reporter,
    until: str = "report",
    root: Path | None = None,
    generate: bool = True,
    read: bool = True,
) -> EhrResult:
    """Run a recipe up to a stage. What is committed is not done again; the same command resumes a killed run.

    Without ``generate`` the run decides over the rows that are there; without ``read`` the cohort isn't read again
    where the run has it already. The folder and what is made in it are the owner's alone.
    """
    folder = run_folder(root or f"{recipe.output}/{recipe.name}")
    require(before_cohort(recipe, launcher, folder.root), report)
    with own_folder(folder.root) as closed, folder.writing():
        if not closed:
            report.say(
                f"[yellow]note[/]: others may look into {escape(str(folder.root))}, which isn't yours or whose "
                "file system has no permissions; what this run adds is for you alone where that can be said"
            )
        return _run(recipe, folder, launcher, report, until, generate, read)


def _run(
    recipe: EhrRecipe, folder: RunFolder, launcher: Launcher, report: Reporter, until: str, generate: bool, read: bool
) -> EhrResult:
    begin = time.monotonic()
    previous = listed_before(folder, report)
    if previous:
        folder.set_current(previous, finished=False)
    current, catalog = commit_run(recipe, folder, PACKAGES), CatalogSync(folder, report)
    cohort = cohort_stage(recipe, folder, report, previous, read)
    current.update(cohort.manifests)
    result = EhrResult(folder, cohort)
    if reaches(until, "generate"):
        groups = _groups(recipe, cohort)
        require(after_cohort(groups, cohort.counts, cohort.rows("test")[cohort.schema.label], until), report)
        fitted = fit_stage(recipe, cohort, folder, report)
        current.update(fitted.manifests)
        _synthesise(
            recipe, folder, launcher, report, cohort, fitted, result, current, previous, until, generate, catalog
        )
    keep_earlier(previous, current, folder, RESULTS if reaches(until, "generate") else SAMPLES + RESULTS)
    catalog.sync(current)
    _require_rows(result)
    if reaches(until, "train") and result.curated:
        from fairshards.pipeline.records.evaluation import evaluation_stage

        result.evaluation, made = evaluation_stage(recipe, folder, cohort, result.curated, report)
        current.update(made)
        catalog.sync(current)
    catalog.finish(current)
    if until == "report":
        from fairshards.pipeline.records.card import write_ehr_card
        from fairshards.pipeline.records.report import write_ehr_report

        write_ehr_card(folder, recipe)
        result.report = write_ehr_report(folder, recipe)
    result.seconds = time.monotonic() - begin
    return result


def _synthesise(
    recipe: EhrRecipe,
    folder: RunFolder,
    launcher: Launcher,
    report: Reporter,
    cohort: CohortResult,
    fitted: FitResult,
    result: EhrResult,
    current: dict[str, str],
    previous: Sequence[str],
    until: str,
    generate: bool,
    catalog: CatalogSync,
) -> None:
    """Draw or look up the rows, and curate them."""
    groups = _groups(recipe, cohort)
    making = _making(groups, cohort, fitted, launcher.threads)
    quotas = row_quotas(groups, cohort.counts, fitted.joint)

    def committed(pool: Pool) -> None:
        listed = {**current, **pool.manifests, **earlier_samples(making, folder, pool, previous)}
        keep_earlier(previous, listed, folder, RESULTS)
        catalog.sync(listed)

    start = Pool(sets=_calibration_sets(recipe, cohort, fitted))
    if generate:
        pool, decision = synthesis_stage(making, quotas, folder, launcher, report, committed, start)
    else:
        rounds = planned_rounds(making, folder, previous)
        pool, decision = existing_pool(making, rounds, folder, launcher, report, start)
    current.update(pool.manifests)
    result.generated = pool.generated
    if reaches(until, "curate"):
        writer = WriteCuratedRows(cohort.schema.to_json(), recipe.webdataset)
        result.curated = curation_stage(
            groups, quotas, pool, decision, folder, launcher, report, making.scorer, writer, "synthetic"
        )
        current.update(result.curated.manifests)
    current.update(earlier_samples(making, folder, pool, previous))
    result.asked = sum(quota.total for quota in quotas.values())
    result.dropped = Counter(row["filter"] for row in decision.rows if not row["keep"])


def _require_rows(result: EhrResult) -> None:
    """Raise RecipeError where nearly nothing passed; the catalog says why by then."""
    kept = len(result.curated.selection.chosen) if result.curated else result.asked
    if kept < LEAST_KEPT * result.asked:
        shown = ", ".join(f"{name} drops {count}" for name, count in result.dropped.most_common(3))
        where = shell_path(result.folder.root)
        raise RecipeError(
            f"only {kept} of the {result.asked} rows asked for pass the filters ({shown}). Set these less strictly, "
            f"for example `fairshards curate {where} --set filters.NAME.KEY=VALUE`; `fairshards query {where} "
            "accept-rate` tells more"
        )


def _groups(recipe: EhrRecipe, cohort: CohortResult) -> RowGroups:
    return RowGroups(recipe, cohort.schema, cohort.attribute, cohort.classes, cohort.values, sorted(cohort.counts))


def _making(groups: RowGroups, cohort: CohortResult, fitted: FitResult, threads: int | None) -> Making:
    model = str(fitted.model)
    sampler = RowSpec(model, fitted.fingerprint, groups.recipe.model.device, threads=threads)
    shared = int((~told(cohort.rows("train"), cohort.people("train"))).sum())
    scorer = RowScorerSpec(model, fitted.fingerprint, str(cohort.train), cohort.train_sha256, shared, threads=threads)
    return Making(
        groups,
        sampler,
        scorer,
        lambda group, shard, number: shard_rows(groups, sampler, group, shard, number),
        (SampleRows(sampler), ScoreRows(scorer)),
        lambda pool: None,
    )


@unquoted("scoring training rows")
def _calibration_sets(recipe: EhrRecipe, cohort: CohortResult, fitted: FitResult) -> CalibrationSets:
    """Score the training rows that filters with ``retain`` are limited by: their ratios, and nearest other rows."""
    filters = [FILTERS[name](**options) for name, options in recipe.filters.items()]
    asked = {limit.score for one in filters for limit in one.to_calibrate()}
    if not asked:
        return CalibrationSets()
    rows, model = cohort.rows("train"), fitted.load()
    names = [
        cohort.schema.group_name(y, s) for y, s in zip(rows[cohort.schema.label], rows[cohort.attribute], strict=True)
    ]
    measured: dict[str, NDArray[np.float32]] = {}
    if RATIO in asked:
        measured[RATIO] = model.ratios(rows, np.random.default_rng(recipe.seed))
    if asked & {NEAREST, DISTANCE_RATIO}:
        space = RecordSpace(model.encoding)
        near = other_neighbours(space.points(rows), space.columns, NEIGHBOURS, told(rows, cohort.people("train")))
        measured |= {NEAREST: near[:, 0], DISTANCE_RATIO: distance_ratio(near)}
    found: dict[str, dict[str, list[float | None]]] = {}
    for score in sorted(asked):
        by_group: dict[str, list[float | None]] = {}
        for name, value in zip(names, measured[score], strict=True):
            by_group.setdefault(name, []).append(float(value))
        found[score] = by_group
    known = digest([fitted.fingerprint, cohort.train_sha256])
    return CalibrationSets(found, {}, {"real": known, "samples": known}, {}, (known,))
