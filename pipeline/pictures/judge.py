"""The training stage: every method, loss and seed of the recipe on the real and the curated index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests import manifest
from fairshards.pipeline.pictures.preflight import check_groups
from fairshards.pipeline.pictures.source import SourceResult
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.training import train_settings
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.synthesis.curate import Curated
from fairshards.trainers.classifiers.settings import TrainSettings


def training_stage(run: Run[Recipe], source: SourceResult, curated: Curated, groups: Path | None = None) -> list[Any]:
    """Train what isn't trained yet and add every training's manifest to the current ones.

    ``groups`` is the run's manifest of discovered groups, for methods that read it.

    Raises:
        RecipeError: a method is to balance discovered groups, and the run has none.
        TrainerError: a training can't be done; those before it are current.
    """
    from fairshards.trainers.classifiers.run import run_training

    recipe, root = run.recipe, run.root
    check_groups(recipe, discovered=groups is not None)
    results = []
    jobs = train_settings(recipe.training)
    for number, settings in enumerate(jobs, 1):
        label = f"training {number}/{len(jobs)}: {settings.name}, loss {settings.loss}, seed {settings.seed}"
        synthetic = root / curated.index if settings.needs_synthetic else None
        state = Epochs(_total(settings))
        with run.report.watch(label, state.total, state.done):
            real = root / source.index
            result = run_training(root, settings, real, synthetic, state.on_epoch, groups)
            state.finish()
        name = (result.folder / "metrics.parquet").relative_to(root).as_posix()
        run.current[name] = manifest.read_head(root / name).content_sha256
        results.append(result)
    return results


class Epochs:
    """Counts finished epochs over the stages of one training."""

    def __init__(self, total: int) -> None:
        self.total, self._done, self._seen = total, 0, set[tuple[Any, int]]()
        self.done: Callable[[], int] = lambda: self._done

    def on_epoch(self, stage: Any, epoch: int, epochs: int, metrics: Any) -> None:
        """Take one report of the trainer."""
        if epoch > 0:
            self._seen.add((stage, epoch))
            self._done = len(self._seen)

    def finish(self) -> None:
        """Everything is done, whether trained now or before."""
        self._done = self.total


def _total(settings: TrainSettings) -> int:
    return sum(stage.epochs for stage in settings.stages.values())
