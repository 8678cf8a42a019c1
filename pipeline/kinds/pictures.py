"""Pictures: from a dataset of labelled images to balanced or spurious-free ones, judged by trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fairshards.catalogs.manifests.places import OF_DISCOVERY, RESULTS, SAMPLES
from fairshards.pipeline.kinds.kind import Kind, RunResult
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.recipe.pictures import Recipe

if TYPE_CHECKING:
    from fairshards.pipeline.discovery.spurious_free import SpuriousFreeMaking
    from fairshards.pipeline.discovery.stage import Discovered
    from fairshards.pipeline.pictures.preflight import PicturesReady
    from fairshards.pipeline.pictures.source import SourceResult
    from fairshards.pipeline.report.pages import Pages
    from fairshards.pipeline.run.checks import Check, Regenerated
    from fairshards.pipeline.run.context import Run
    from fairshards.pipeline.run.folder import RunFolder
    from fairshards.pipeline.run.progress import Reporter
    from fairshards.pipeline.run.quota import Group, Quota
    from fairshards.pipeline.synthesis.calibrate import CalibrationSets
    from fairshards.pipeline.synthesis.curate import Curated
    from fairshards.pipeline.synthesis.earlier import Round
    from fairshards.pipeline.synthesis.making import Making


@dataclass(frozen=True)
class PicturesPrepared:
    """What was found in the source, how spurious-free pictures are made by it, and the manifest of its groups."""

    discovered: Discovered | None = None
    spurious_free: SpuriousFreeMaking | None = None
    groups: Path | None = None


class Pictures(Kind):
    """Runs over pictures."""

    name: ClassVar[str] = Recipe.KIND
    recipe: ClassVar[type[RecipeBase]] = Recipe
    packages: ClassVar[Sequence[str]] = (
        "fairshards",
        "apache-beam",
        "diffusers",
        "transformers",
        "open_clip_torch",
        "torch",
        "webdataset",
    )
    reported_after: ClassVar[Sequence[str]] = ("discover", "report")

    def ready(self, run: Run[Recipe]) -> PicturesReady:
        """Check the recipe, the models' folders and this machine."""
        from fairshards.pipeline.pictures.preflight import before_source

        return before_source(run.recipe, run.launcher, run.root, run.until, run.anew.generate)

    def planned_before(self, run: Run[Recipe]) -> Sequence[Round] | None:
        """Return the rounds over which balanced pictures are decided; spurious-free ones need discovery first."""
        from fairshards.pipeline.pictures.making import picture_making
        from fairshards.pipeline.synthesis.earlier import planned_rounds

        if run.anew.generate or run.ready.specs is None or run.recipe.spurious_free:
            return None
        return planned_rounds(run, picture_making(run, run.ready.specs))

    def source(self, run: Run[Recipe]) -> SourceResult:
        """Read the dataset and say how many pictures of which group there are."""
        from fairshards.pipeline.pictures.source import source_line, source_stage

        source = source_stage(run)
        run.report.say(source_line(run.recipe, source))
        return source

    def counted(self, run: Run[Recipe], source: SourceResult) -> Iterable[Check]:
        """Check splits, quotas and the disk against the dataset's counts."""
        from fairshards.pipeline.pictures.count_checks import after_source

        planned = {} if run.ready.specs is None or run.recipe.spurious_free else self._balanced(run, source)
        return after_source(run.recipe, run.root / source.index, source.counts, planned, run.root, run.until)

    def prepare(self, run: Run[Recipe], source: SourceResult) -> PicturesPrepared:
        """Discover what is spurious, and personalise the generator where spurious-free pictures are asked for."""
        discovered = self._discovered(run, source)
        if not (run.recipe.spurious_free and run.ready.specs):
            return PicturesPrepared(discovered)
        assert discovered is not None  # a recipe with spurious_free has discovery
        if not discovered.spurious:
            run.report.say("discovery reports nothing as spurious, so nothing is made and nothing trained")
            return PicturesPrepared(discovered)
        from fairshards.catalogs.manifests import manifest
        from fairshards.pipeline.discovery.spurious_free import commit_groups, spurious_free_making

        free = spurious_free_making(run, run.recipe.spurious_free, discovered, run.ready.specs)
        run.current.update(free.manifests)
        index = manifest.read_rows(run.root / source.index)[1]
        return PicturesPrepared(discovered, free, commit_groups(run, discovered, index))

    def making(self, run: Run[Recipe], source: SourceResult, prepared: PicturesPrepared) -> Making | None:
        """Return how pictures are made: text to image for every group that lacks some, or spurious-free by class."""
        from fairshards.pipeline.discovery.adoption import adopted
        from fairshards.pipeline.pictures.making import picture_making
        from fairshards.pipeline.pictures.prompt_checks import generator_prompts
        from fairshards.pipeline.run.checks import require
        from fairshards.pipeline.synthesis.pool import Pool

        free, specs = prepared.spurious_free, run.ready.specs
        if run.recipe.spurious_free and free is None:
            return None
        if free is None:
            begin, quotas, followed = Pool(), self._balanced(run, source), run
        else:
            followed, specs, quotas = replace(run, recipe=free.recipe), free.specs, free.quotas
            require(generator_prompts(free.recipe, specs[0].folder), run.report)  # prompts now have the phrases
            assert prepared.discovered is not None
            begin = adopted(followed, prepared.discovered, specs[1])
        begin.sets = _calibration_sets(followed, source, prepared, specs)
        making = replace(picture_making(followed, specs), quotas=quotas, begin=begin)
        return replace(making, audit=lambda curated: _audit(run, source, prepared, curated))

    def judge(self, run: Run[Recipe], result: RunResult) -> list[Any]:
        """Train every method of the recipe."""
        if not run.reaches("train"):
            return []
        from fairshards.pipeline.pictures.judge import training_stage

        assert result.curated is not None
        return training_stage(run, result.source, result.curated, result.prepared.groups)

    def regenerate(self, folder: RunFolder, recipe: Recipe, samples: int, report: Reporter) -> Regenerated:
        """Make pictures again, in their own padded batches and each alone, and compare grey levels."""
        from fairshards.pipeline.pictures.regenerate import regenerated

        return regenerated(folder, recipe, samples, report)

    @property
    def pages(self) -> Pages[Recipe, RunResult]:
        """The report with its sections of pictures, the card, the tables of accuracies and of the plan."""
        from fairshards.pipeline.pictures.pages import PAGES

        return PAGES

    def _balanced(self, run: Run[Recipe], source: SourceResult) -> Mapping[Group, Quota]:
        from fairshards.pipeline.run.quota import quotas

        asked = run.recipe.quota
        return quotas(source.counts, asked.per_group, asked.usb_extra, asked.validation)

    def _discovered(self, run: Run[Recipe], source: SourceResult) -> Discovered | None:
        """Run discovery, or keep what an earlier one found in the same source."""
        from fairshards.pipeline.synthesis.current import keep_earlier

        if run.ready.looks is None:
            if source.index in run.previous:
                keep_earlier(run, OF_DISCOVERY)
            return None
        from fairshards.pipeline.discovery.stage import discovery_stage

        discovered = discovery_stage(run, source, run.ready.looks)
        run.current.update(discovered.manifests)
        listed = dict(run.current)
        keep_earlier(run, SAMPLES + RESULTS, listed)
        run.catalog.sync(listed)
        return discovered


def _calibration_sets(
    run: Run[Recipe], source: SourceResult, prepared: PicturesPrepared, specs: Any
) -> CalibrationSets:
    """Score the real pictures that filters are calibrated on; discovery says which of them hold which phrases."""
    from fairshards.pipeline.synthesis.calibrate import calibration_sets

    images = prepared.discovered.found.images if prepared.discovered else ()
    holding = {image.source_id: frozenset(image.groups) for image in images}
    return calibration_sets(run, specs, source.index, holding)


def _audit(run: Run[Recipe], source: SourceResult, prepared: PicturesPrepared, curated: Curated) -> Mapping[str, str]:
    """Tell what phrases say of the class with the curated samples, where the recipe asks for it."""
    free = run.recipe.spurious_free
    if not (free and free.audit and prepared.discovered and run.ready.looks):
        return {}
    from fairshards.pipeline.discovery.audit import phrase_audit

    return phrase_audit(run, source.index, prepared.discovered, curated, run.ready.looks)
