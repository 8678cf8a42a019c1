"""The driver: runs the stages in order, keeps run.json true, and syncs the catalog after each of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from fairshards.catalogs.manifests import manifest
from fairshards.pipeline.pictures.account import said_of
from fairshards.pipeline.pictures.count_checks import after_source
from fairshards.pipeline.pictures.preflight import Ready, before_source
from fairshards.pipeline.pictures.prompt_checks import generator_prompts
from fairshards.pipeline.pictures.source import SourceRefused, SourceResult, source_stage
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.catalog_sync import CatalogSync, listed_before
from fairshards.pipeline.run.checks import require
from fairshards.pipeline.run.folder import RunFolder, run_folder
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.run.quota import Group, Quota, quotas
from fairshards.pipeline.run.stages import reaches
from fairshards.pipeline.synthesis.calibrate import CalibrationSets, calibration_sets
from fairshards.pipeline.synthesis.curate import Curated, curation_stage
from fairshards.pipeline.synthesis.current import commit_run, keep_earlier
from fairshards.pipeline.synthesis.earlier import Round, earlier_samples, existing_pool, planned_rounds
from fairshards.pipeline.synthesis.making import picture_making
from fairshards.pipeline.synthesis.pool import Pool
from fairshards.pipeline.synthesis.rounds import synthesis_stage
from fairshards.transforms.pictures.specs import GeneratorSpec, ScorerSpec

if TYPE_CHECKING:
    from fairshards.pipeline.discovery.spurious_free import SpuriousFreeMaking
    from fairshards.pipeline.discovery.stage import Discovered
    from fairshards.pipeline.pictures.discovery_models import DiscoverySpecs

SAMPLES, RESULTS = ("plan/", "raw/", "scores/"), ("curated/", "training/")
PACKAGES = ("fairshards", "apache-beam", "diffusers", "transformers", "open_clip_torch", "torch", "webdataset")
DISCOVERY = ("captions/", "phrases/", "edits/", "edit_scores/", "discovery/", "personal/")


@dataclass
class RunResult:
    """What a run did: where it lies, what was generated anew, what was kept, and the trainings."""

    folder: RunFolder
    source: SourceResult
    seconds: float = 0.0
    generated: int = 0
    discovered: Discovered | None = None
    quotas: Mapping[Group, Quota] | None = None
    curated: Curated | None = None
    trainings: Sequence[Any] = ()
    report: Path | None = None


def run(
    recipe: Recipe,
    launcher: Launcher,
    report: Reporter,
    until: str = "report",
    root: Path | None = None,
    generate: bool = True,
    read: bool = True,
) -> RunResult:
    """Run a recipe up to a stage. What is committed is not done again; the same command resumes a killed run.

    Without ``generate`` the run decides over the samples that are there: no model is loaded for new ones. Without
    ``read`` the dataset isn't looked at where the run has it already.
    """
    folder = run_folder(root or f"{recipe.output}/{recipe.name}")
    ready = before_source(recipe, launcher, folder.root, until, generate)
    require(ready.checks, report)
    with folder.writing():
        return _run(recipe, ready, folder, launcher, report, until, generate, read)


@dataclass(frozen=True)
class _Run:
    """What every step of a run works with; ``previous`` are the manifests of the run before, and ``current`` grows."""

    recipe: Recipe
    folder: RunFolder
    launcher: Launcher
    report: Reporter
    until: str
    generate: bool
    read: bool
    previous: Sequence[str]
    current: dict[str, str]
    catalog: CatalogSync


def _run(
    recipe: Recipe,
    ready: Ready,
    folder: RunFolder,
    launcher: Launcher,
    report: Reporter,
    until: str,
    generate: bool,
    read: bool,
) -> RunResult:
    begin, previous = time.monotonic(), listed_before(folder, report)
    specs, looks = ready.specs, ready.looks
    early = specs if not recipe.spurious_free else None
    rounds = planned_rounds(picture_making(recipe, early, folder), folder, previous) if early and not generate else None
    if previous:
        folder.set_current(previous, finished=False)
    current = commit_run(recipe, folder, PACKAGES)
    catalog = CatalogSync(folder, report)
    this = _Run(recipe, folder, launcher, report, until, generate, read, previous, current, catalog)
    source = _source(this)
    current.update(source.manifests)
    result = RunResult(folder, source)
    _say_source(recipe, source, report)
    if not previous:
        this.catalog.sync(current)  # from the first minutes on there is a catalog to ask
    if specs and not recipe.spurious_free:
        result.quotas = quotas(source.counts, recipe.quota.per_group, recipe.quota.usb_extra, recipe.quota.validation)
    counts = after_source(recipe, folder.root / source.index, source.counts, result.quotas or {}, folder.root, until)
    require(counts, report)
    result.discovered = _discover(this, source, looks)
    pool, making, groups = None, recipe, None
    if specs and recipe.spurious_free:
        made = _spurious_free(this, result.discovered, specs)
        if made is None:
            specs = None
        else:
            making, specs, result.quotas = made.recipe, made.specs, made.quotas
            decides = not generate and making.quota.max_rounds  # edits alone are decided over, and nothing was planned
            rounds = planned_rounds(picture_making(making, specs, folder), folder, previous) if decides else None
            groups = _groups(this, result)
    if specs and recipe.spurious_free:  # prompts now have the phrases that were found
        require(generator_prompts(making, specs[0].folder), report)
    if specs:
        pool = _synthesise(this, making, specs, result, rounds)
        _audit(this, result, looks)
    keep_earlier(previous, current, folder, RESULTS if specs else SAMPLES + RESULTS)
    this.catalog.sync(current)  # before trainings, so that one that fails leaves a catalog to ask
    if reaches(until, "train") and result.curated:
        from fairshards.pipeline.pictures.judge import training_stage

        try:
            result.trainings = training_stage(recipe, folder, source, result.curated, current, report, groups)
        finally:
            this.catalog.sync(current)
    this.catalog.finish(current)
    if until in ("discover", "report"):
        from fairshards.pipeline.report.card import write_card
        from fairshards.pipeline.report.page import write_report

        result.report = write_report(folder, recipe)
        write_card(folder, recipe)
    result.generated = pool.generated if pool else 0
    result.seconds = time.monotonic() - begin
    return result


def _source(this: _Run) -> SourceResult:
    """Read the source; where that is refused, the catalog can be asked why."""
    try:
        return source_stage(this.recipe, this.folder, this.launcher, this.report, this.previous, this.read)
    except SourceRefused as refused:
        this.current.update(refused.manifests)
        keep_earlier(this.previous, this.current, this.folder, DISCOVERY + SAMPLES + RESULTS)
        this.catalog.sync(this.current)
        raise


def _discover(this: _Run, source: SourceResult, specs: DiscoverySpecs | None) -> Discovered | None:
    """Run discovery, or keep what an earlier one found in the same source."""
    if specs is None or this.recipe.discovery is None:
        if source.index in this.previous:
            keep_earlier(this.previous, this.current, this.folder, DISCOVERY)
        return None
    from fairshards.pipeline.discovery.stage import discovery_stage

    found = discovery_stage(this.recipe, this.recipe.discovery, this.folder, source, specs, this.launcher, this.report)
    this.current.update(found.manifests)
    listed = dict(this.current)
    keep_earlier(this.previous, listed, this.folder, SAMPLES + RESULTS)
    this.catalog.sync(listed)
    return found


def _spurious_free(
    this: _Run, found: Discovered | None, specs: tuple[GeneratorSpec, ScorerSpec]
) -> SpuriousFreeMaking | None:
    """Personalise and say how spurious-free pictures are made; None where nothing spurious was found."""
    assert this.recipe.spurious_free is not None and found is not None
    if not found.spurious:
        this.report.say("discovery reports nothing as spurious, so nothing is made and nothing trained")
        return None
    from fairshards.pipeline.discovery.spurious_free import spurious_free_making

    made = spurious_free_making(this.recipe, this.recipe.spurious_free, found, this.folder, specs, this.report)
    this.current.update(made.manifests)
    return made


def _groups(this: _Run, result: RunResult) -> Path:
    """Commit the discovered groups and return their manifest's path."""
    from fairshards.pipeline.discovery.spurious_free import commit_groups

    assert result.discovered is not None
    index = manifest.read_rows(this.folder.root / result.source.index)[1]
    name, content = commit_groups(this.recipe, result.discovered, index, this.folder)
    this.current[name] = content
    return this.folder.root / name


def _audit(this: _Run, result: RunResult, looks: DiscoverySpecs | None) -> None:
    """Tell what phrases say of the class with the curated samples, where the recipe asks for it."""
    recipe, found, curated = this.recipe, result.discovered, result.curated
    if not (recipe.spurious_free and recipe.spurious_free.audit and recipe.discovery and found and curated and looks):
        return
    from fairshards.pipeline.discovery.audit import phrase_audit

    index = result.source.index
    this.current.update(
        phrase_audit(recipe.discovery, this.folder, index, found, curated, looks, this.launcher, this.report)
    )


def _edits(this: _Run, making: Recipe, scorer: ScorerSpec, found: Discovered | None) -> Pool:
    """Return the pool of edits that are samples themselves; an empty one where the recipe wants none."""
    settings = this.recipe.spurious_free
    if settings is None or found is None or settings.make == "generate":
        return Pool()
    from fairshards.pipeline.discovery.adoption import adopted

    return adopted(making, settings, found, scorer, this.folder, this.launcher)


def _synthesise(
    this: _Run,
    making: Recipe,
    specs: tuple[GeneratorSpec, ScorerSpec],
    result: RunResult,
    rounds: Sequence[Round] | None,
) -> Pool:
    """Make or look up the samples as the recipe ``making`` says, and curate them."""
    folder, launcher, report = this.folder, this.launcher, this.report
    how = picture_making(making, specs, folder)

    def committed(pool: Pool) -> None:
        listed = {**this.current, **pool.manifests, **earlier_samples(how, folder, pool, this.previous)}
        keep_earlier(this.previous, listed, folder, RESULTS)
        this.catalog.sync(listed)

    assert result.quotas is not None
    begin = _edits(this, making, specs[1], result.discovered)
    begin.sets = _calibration_sets(this, making, specs, result)
    this.current.update(begin.sets.manifests)
    if rounds is None:
        pool, decision = synthesis_stage(how, result.quotas, folder, launcher, report, committed, begin)
    else:
        pool, decision = existing_pool(how, rounds, folder, launcher, report, begin)
    this.current.update(pool.manifests)
    if reaches(this.until, "curate"):
        result.curated = curation_stage(making, result.quotas, pool, decision, folder, launcher, report, specs[1])
        this.current.update(result.curated.manifests)
    this.current.update(earlier_samples(how, folder, pool, this.previous))
    return pool


def _calibration_sets(
    this: _Run, making: Recipe, specs: tuple[GeneratorSpec, ScorerSpec], result: RunResult
) -> CalibrationSets:
    """Score the real pictures that filters are calibrated on; discovery says which of them hold which phrases."""
    images = result.discovered.found.images if result.discovered else ()
    holding = {image.source_id: frozenset(image.groups) for image in images}
    index = result.source.index
    return calibration_sets(making, specs, this.folder, index, holding, this.launcher, this.report)


def _say_source(recipe: Recipe, source: SourceResult, report: Reporter) -> None:
    counts = ", ".join(f"{escape(recipe.group_name(*group))} {count}" for group, count in source.counts.items())
    said = escape(said_of(source.rejected, source.ignored))
    report.say(f"source: {source.samples} images ({said}); training groups: {counts}")
