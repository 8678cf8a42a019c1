"""The curation stage: commit the decisions, and copy the kept samples into balanced curated shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.markup import escape

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import task_hash
from fairshards.catalogs.manifests.schemas import SCHEMAS
from fairshards.filters.limits import POOLED
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.jobs import SMALL_JOB
from fairshards.pipeline.run.planned import Planned
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.run.quota import Group, Quota
from fairshards.pipeline.synthesis.calibrate import commit_calibrations
from fairshards.pipeline.synthesis.decide import VERSION, Decision, Selection, curation_id, select
from fairshards.pipeline.synthesis.g_detector import commit_g_detector
from fairshards.pipeline.synthesis.making import Making
from fairshards.pipeline.synthesis.pool import Pool
from fairshards.transforms.pictures.curate import TWIN, curate_tasks
from fairshards.transforms.shards import commit


@dataclass(frozen=True)
class Curated:
    """A curation: its id, its manifests with content hashes, what was chosen, and what stayed short."""

    curation_id: str
    manifests: dict[str, str]
    selection: Selection

    @property
    def index(self) -> str:
        """The index's name, relative to the run folder."""
        return f"{places.CURATED}{self.curation_id}/index.parquet"


def curation_stage(run: Run[RecipeBase], making: Making, pool: Pool, decision: Decision) -> Curated:
    """Commit decisions and curated shards; the index is written last and commits the curation."""
    recipe, quotas, folder, report = making.recipe, making.quotas, run.folder, run.report
    selection = select(decision, quotas)
    if making.split:
        selection = replace(selection, chosen=[(making.split, candidate) for _, candidate in selection.chosen])
    name = curation_id(recipe.filters, quotas, pool.identity(making.scorer), recipe.quota.curated_shard_size)
    rows = _index_rows(name, selection)
    ids = [f"{row['sample_id']}:{row['image_sha256']}:{row['shard']}" for row in rows]
    chosen = f"{places.CURATED}{name}/selection.parquet"
    folder.commit(chosen, "index", "selection", rows, task_hash=task_hash("index", "selection/1", ids, [name]))
    tasks = curate_tasks(folder.path, name, chosen, rows, recipe.quota.curated_shard_size)
    todo = [task for task in tasks if commit.find(task) is None]
    with report.watch("writing curated shards", len(tasks), lambda: sum(commit.find(t) is not None for t in tasks)):
        run.launcher.map(todo, making.writer, small=SMALL_JOB)
    placed = [row for task in tasks for row in manifest.read_rows(folder.root / commit.manifest_name(task))[1]]
    manifests = _commit_decisions(making, name, pool, decision, selection, folder)
    manifests.update(commit_calibrations(name, decision.calibrations, pool.sets, pool.decision_inputs, folder))
    inputs = list(manifests.values())
    head = folder.commit(
        f"{places.CURATED}{name}/index.parquet",
        "index",
        name,
        placed,
        task_hash=task_hash("index", VERSION, ids, inputs),
        inputs=inputs,
        settings={"shards": _shards(tasks, folder)},
    )
    manifests[f"{places.CURATED}{name}/index.parquet"] = head.content_sha256
    kept = [candidate for _, candidate in selection.chosen]
    manifests.update(commit_g_detector(name, recipe, kept, pool.sets, pool.scores, folder))
    _say_calibrations(decision, report)
    _say_shortfall(recipe, quotas, selection, report)
    return Curated(name, manifests, selection)


def _index_rows(name: str, selection: Selection) -> list[dict[str, Any]]:
    """Return the chosen samples as index rows whose places are still those in the raw shards."""
    names = set(SCHEMAS["index"].names)
    return [
        {
            **{key: value for key, value in candidate.sample.items() if key in names},
            "curation_id": name,
            "split": split,
            "g": 1,
        }
        for split, candidate in selection.chosen
    ]


def _commit_decisions(
    making: Making, name: str, pool: Pool, decision: Decision, selection: Selection, folder: RunFolder
) -> dict[str, str]:
    recipe, quotas = making.recipe, making.quotas
    rows = [{"curation_id": name, **row} for row in (*decision.rows, *selection.rows)]
    settings = {
        "filters": {key: dict(options) for key, options in recipe.filters.items()},
        "thresholds": decision.thresholds,
        "per_group": selection.balanced,
        "quotas": [
            {
                "y": y,
                "b": b,
                "group": recipe.group_name(y, b),
                "balanced": quota.balanced,
                "extra": quota.extra,
                "validation": quota.validation,
            }
            for (y, b), quota in quotas.items()
        ],
        "shortfall": {recipe.group_name(*group): count for group, count in selection.shortfall.items()},
    }
    hashed = task_hash("decide", VERSION, [row["sample_id"] for row in rows], pool.decision_inputs, settings)
    file = f"{places.CURATED}{name}/decisions.parquet"
    head = folder.commit(file, "decide", name, rows, task_hash=hashed, inputs=pool.decision_inputs, settings=settings)
    return {file: head.content_sha256}


def _shards(tasks: list[Any], folder: RunFolder) -> list[dict[str, Any]]:
    """Return what the index says of its shards, and of their WebDataset twins where they have any."""
    heads = [manifest.read_head(folder.root / commit.manifest_name(task)) for task in tasks]
    named = [vars(head.shard) for head in heads if head.shard]
    twins = [head.settings[TWIN] for head in heads if TWIN in head.settings]
    return [{name: shard[name] for name in ("name", "sha256", "bytes", "samples")} for shard in (*named, *twins)]


def _say_calibrations(decision: Decision, report: Reporter) -> None:
    """Say which filters had too little to be calibrated on; groups that share the pooled limit are in the report."""
    for name, one in decision.calibrations:
        if one.value is None and one.group == POOLED:
            report.say(f"[yellow]not calibrated[/]: filters.{name} ({one.score}) has {one.note}")


def _say_shortfall(recipe: Planned, quotas: Mapping[Group, Quota], selection: Selection, report: Reporter) -> None:
    """Say which groups lack how many samples; the balanced split, where there is one, cuts the others to the least."""
    balanced = any(quota.balanced for quota in quotas.values())
    cut = f"every group was cut to {selection.balanced}" if balanced else "no other group was cut"
    for group, count in selection.shortfall.items():
        rounds = recipe.quota.max_rounds
        after, fix = (
            (f" after {rounds} rounds", "Raise quota.max_rounds")
            if rounds
            else (" (edits alone)", "Set spurious_free.make: both, or raise discovery.edits_per_phrase")
        )
        report.say(
            f"[yellow]short[/]: {escape(recipe.group_name(*group))} lacks {count} of {quotas[group].total} samples"
            f"{after}; {cut}. {fix}, or look at `fairshards query RUN accept-rate`."
        )
