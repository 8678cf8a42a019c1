"""How rows of health records are made: drawn from the Bt-GAN, and scored against the training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.catalogs.manifests.identity import digest
from fairshards.filters.records.discriminator import RATIO
from fairshards.filters.records.distance_ratio import SCORE as DISTANCE_RATIO
from fairshards.filters.records.nearest_record import SCORE as NEAREST
from fairshards.filters.registry import filter_class, scorers_of
from fairshards.filters.scorers.base import own_scores
from fairshards.generators.tables.record_space import NEIGHBOURS, RecordSpace, distance_ratio, other_neighbours, told
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.records import EhrRecipe, RowGroups
from fairshards.pipeline.records.cohort import CohortResult
from fairshards.pipeline.records.fit import FitResult
from fairshards.pipeline.records.plan_rows import row_quotas, shard_rows
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder, shell_path
from fairshards.pipeline.run.quota import Group, Quota
from fairshards.pipeline.synthesis.calibrate import CalibrationSets
from fairshards.pipeline.synthesis.curate import Curated
from fairshards.pipeline.synthesis.decide import Decision
from fairshards.pipeline.synthesis.making import Making
from fairshards.pipeline.synthesis.pool import Pool
from fairshards.transforms.records.curate import WriteCuratedRows
from fairshards.transforms.records.sample import SampleRows
from fairshards.transforms.records.score import ScoreRows
from fairshards.transforms.records.specs import RowScorerSpec, RowSpec

LEAST_KEPT = 0.1
"""The share of the rows asked for below which a run ends as failed: what is left of them is no cohort."""
SPLIT = "synthetic"


def row_groups(recipe: EhrRecipe, cohort: CohortResult) -> RowGroups:
    """Return the recipe with the sub-groups that the cohort has."""
    return RowGroups(recipe, cohort.schema, cohort.attribute, cohort.classes, cohort.values, sorted(cohort.counts))


def row_making(run: Run[EhrRecipe], cohort: CohortResult, fitted: FitResult) -> Making:
    """Return how rows are planned, drawn, scored and written."""
    groups, model, threads = row_groups(run.recipe, cohort), str(fitted.model), run.launcher.threads
    sampler = RowSpec(model, fitted.fingerprint, run.recipe.model.device, threads=threads)
    shared = int((~told(cohort.rows("train"), cohort.people("train"))).sum())
    held_against, brought = (str(cohort.train), cohort.train_sha256, shared), scorers_of(groups.filters)
    scorer = RowScorerSpec(model, fitted.fingerprint, *held_against, threads=threads, scorers=brought)
    return Making(
        groups,
        sampler,
        scorer,
        lambda group, shard, number: shard_rows(groups, sampler, group, shard, number),
        (SampleRows(sampler), ScoreRows(scorer)),
        WriteCuratedRows(cohort.schema.to_json(), run.recipe.webdataset),
        row_quotas(groups, cohort.counts, fitted.joint),
        SPLIT,
        begin=Pool(sets=_calibration_sets(run.recipe, cohort, fitted)),
    )


def require_rows(
    folder: RunFolder, quotas: Mapping[Group, Quota], decision: Decision | None, curated: Curated | None
) -> None:
    """Raise RecipeError where nearly nothing passed; the catalog says why by then."""
    asked = sum(quota.total for quota in quotas.values())
    kept = len(curated.selection.chosen) if curated else asked
    if kept < LEAST_KEPT * asked:
        dropped = Counter(row["filter"] for row in (decision.rows if decision else ()) if not row["keep"])
        shown = ", ".join(f"{name} drops {count}" for name, count in dropped.most_common(3))
        where = shell_path(folder.root)
        raise RecipeError(
            f"only {kept} of the {asked} rows asked for pass the filters ({shown}). Set these less strictly, "
            f"for example `fairshards curate {where} --set filters.NAME.KEY=VALUE`; `fairshards query {where} "
            "accept-rate` tells more"
        )


@unquoted("scoring training rows")
def _calibration_sets(recipe: EhrRecipe, cohort: CohortResult, fitted: FitResult) -> CalibrationSets:
    """Score the training rows that filters with ``retain`` are limited by: their ratios, and nearest other rows."""
    filters = [filter_class(name)(**options) for name, options in recipe.filters.items()]
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
    scorers = [scorer for one in filters if one.to_calibrate() and (scorer := one.scorer())]
    for number, row in own_scores(scorers, rows, [{"group_name": name} for name in names]):
        measured.setdefault(row["score"], np.full(len(rows), np.nan, np.float32))[number] = row["value"]
    found: dict[str, dict[str, list[float | None]]] = {}
    for score in sorted(asked):
        by_group: dict[str, list[float | None]] = {}
        for name, value in zip(names, measured[score], strict=True):
            by_group.setdefault(name, []).append(float(value))
        found[score] = by_group
    known = digest([fitted.fingerprint, cohort.train_sha256])
    return CalibrationSets(found, {}, {"real": known, "samples": known}, {}, (known,))
