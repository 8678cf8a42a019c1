"""The training stage: every method, loss and seed of the recipe on the real and the curated index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from catalogs import manifest
from pipeline.curating import Curated
from pipeline.progress import Reporter
from pipeline.recipe import Recipe, RecipeError
from pipeline.runfolder import RunFolder
from pipeline.sourcing import INDEX
from trainers.errors import TrainerError
from trainers.settings import StageSettings, TrainSettings


def training_stage(
    recipe: Recipe, folder: RunFolder, curated: Curated, current: dict[str, str], report: Reporter
) -> list[Any]:
    """Train what isn't trained yet and add every training's manifest to ``current``."""
    from trainers.run import run_training

    results = []
    jobs = train_settings(recipe)
    for number, settings in enumerate(jobs, 1):
        label = (
            f"training {number}/{len(jobs)}: {settings.method}, loss {settings.loss}, seed {settings.seed}"
        )
        synthetic = folder.root / curated.index if settings.needs_synthetic else None
        state = _Epochs(_total(settings))
        with report.watch(label, state.total, state.done):
            result = run_training(folder.root, settings, folder.root / INDEX, synthetic, state.on_epoch)
            state.finish()
        name = (result.folder / "metrics.parquet").relative_to(folder.root).as_posix()
        current[name] = manifest.read_head(folder.root / name).content_sha256
        results.append(result)
    return results


def train_settings(recipe: Recipe) -> list[TrainSettings]:
    """Return the settings of every training of the recipe, the first seed's first.

    Raises:
        RecipeError: training.settings names something that trainers.settings doesn't know.
    """
    options = _options(recipe.training.settings)
    try:
        return [
            TrainSettings(method=method, loss=loss, seed=seed, **options)
            for seed in recipe.training.seeds
            for loss in recipe.training.losses
            for method in recipe.training.methods
        ]
    except TrainerError as error:
        raise RecipeError(f"training.settings: {error}") from error


def _options(raw: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = dict(raw)
    _known(options, TrainSettings, "training.settings")
    for stage in ("main", "pretrain", "finetune"):
        if stage in options:
            _known(options[stage], StageSettings, f"training.settings.{stage}")
            options[stage] = StageSettings(**options[stage])
    return options


def _known(options: Mapping[str, Any], kind: Any, where: str) -> None:
    names = {field.name for field in fields(kind)} - {"method", "loss", "seed"}
    unknown = sorted(set(options) - names)
    if unknown:
        raise RecipeError(f"{where}: unknown {unknown}; known: {sorted(names)}")


class _Epochs:
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
    if settings.method == "ffr":
        return settings.pretrain.epochs + settings.finetune.epochs
    return settings.main.epochs
