"""The driver: runs the stages in order, keeps run.json true, and syncs the catalog after each of them."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from catalogs import manifest
from catalogs.catalog import Catalog
from catalogs.identity import canonical_json, digest, task_hash
from pipeline.curating import Curated, curation_stage
from pipeline.jobs import Launcher
from pipeline.models import generator_spec, scorer_spec
from pipeline.progress import Reporter
from pipeline.quota import Group, Quota, quotas
from pipeline.recipe import Recipe
from pipeline.runfolder import RunFolder
from pipeline.sourcing import INDEX, SourceResult, source_stage
from pipeline.synthesis import Pool, synthesis_stage

STAGES = ("source", "generate", "curate", "train", "report")


@dataclass
class RunResult:
    """What a run did: where it lies, what was generated anew, what was kept, and the trainings."""

    folder: RunFolder
    source: SourceResult
    seconds: float = 0.0
    generated: int = 0
    quotas: Mapping[Group, Quota] | None = None
    curated: Curated | None = None
    trainings: Sequence[Any] = ()
    report: Path | None = None


def run(
    recipe: Recipe, launcher: Launcher, report: Reporter, until: str = "report", root: Path | None = None
) -> RunResult:
    """Run a recipe up to a stage. What is committed is not done again; the same command resumes a killed run."""
    folder = RunFolder((root or Path(recipe.output) / recipe.name).absolute())
    with folder.writing():
        return _run(recipe, folder, launcher, report, until)


def _run(recipe: Recipe, folder: RunFolder, launcher: Launcher, report: Reporter, until: str) -> RunResult:
    begin = time.monotonic()
    previous = folder.current()
    current = _commit_run(recipe, folder)
    source = source_stage(recipe, folder, launcher, report)
    current.update(source.manifests)
    result = RunResult(folder, source)
    _say_source(recipe, source, report)
    pool = None
    if STAGES.index(until) >= 1:
        result.quotas = quotas(source.counts, recipe.quota.per_group, recipe.quota.usb_extra)
        pool = _generate(recipe, result, folder, launcher, report, current, until)
    _keep_earlier(previous, current, folder)
    if STAGES.index(until) >= 3 and result.curated:
        from pipeline.training import training_stage

        result.trainings = training_stage(recipe, folder, result.curated, current, report)
    _sync(folder, current)
    if STAGES.index(until) >= 4:
        from pipeline.card import write_card
        from pipeline.report import write_report

        result.report = write_report(folder, recipe)
        write_card(folder, recipe)
    result.generated = pool.generated if pool else 0
    result.seconds = time.monotonic() - begin
    return result


def _generate(
    recipe: Recipe,
    result: RunResult,
    folder: RunFolder,
    launcher: Launcher,
    report: Reporter,
    current: dict[str, str],
    until: str,
) -> Pool:
    assert result.quotas is not None
    specs = generator_spec(recipe, launcher.threads), scorer_spec(recipe, launcher.threads)
    pool, decision = synthesis_stage(recipe, result.quotas, folder, specs, launcher, report)
    current.update(pool.manifests)
    if STAGES.index(until) >= 2:
        result.curated = curation_stage(recipe, result.quotas, pool, decision, folder, launcher, report, specs[1])
        current.update(result.curated.manifests)
    return pool


def _commit_run(recipe: Recipe, folder: RunFolder) -> dict[str, str]:
    """Write recipe.yaml and the run's manifest; return the beginning of the list of current manifests."""
    resolved = recipe.model_dump(mode="json", by_alias=True)
    versions = {
        name: importlib.metadata.version(name)
        for name in (
            "fairshards",
            "apache-beam",
            "diffusers",
            "transformers",
            "open_clip_torch",
            "torch",
            "webdataset",
        )
    }
    text = yaml.safe_dump({**resolved}, sort_keys=False, allow_unicode=True)
    manifest.write_local(folder.root / "recipe.yaml", text.encode())
    hashed = task_hash("run", "run/1", [], [], {"recipe": resolved, "versions": versions})
    row = {
        "run_id": digest(resolved)[:12],
        "name": recipe.name,
        "seed": recipe.seed,
        "recipe": canonical_json(resolved),
        "versions": canonical_json(versions),
    }
    head = folder.commit("run.parquet", "run", "run", [row], task_hash=hashed)
    return {"run.parquet": head.content_sha256}


def _keep_earlier(previous: Sequence[str], current: dict[str, str], folder: RunFolder) -> None:
    """Keep earlier curations and trainings whose inputs all stand."""
    earlier = [name for name in previous if name not in current and name.startswith(("curated/", "training/"))]
    current.update(folder.still_valid(earlier, current))


def _sync(folder: RunFolder, current: Mapping[str, str]) -> None:
    folder.set_current(list(current))
    with Catalog.open(folder.root, "write", wait=30.0) as catalog:
        catalog.sync(current)


def _say_source(recipe: Recipe, source: SourceResult, report: Reporter) -> None:
    counts = ", ".join(f"{recipe.group_name(*group)} {count}" for group, count in source.counts.items())
    report.say(f"source: {source.samples} images ({source.rejects} rejected); training groups: {counts}")


__all__ = ["INDEX", "STAGES", "RunResult", "run"]
