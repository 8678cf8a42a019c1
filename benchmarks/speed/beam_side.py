"""The pipeline's side of the benchmarks: tasks through Beam, tars and manifests included.

Models are loaded before the clock starts, on all sides; a module of its own keeps them out of pickles.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.identity import task_hash
from fairshards.generators.diffusion.requests import ImageRequest
from fairshards.generators.diffusion.text_to_image import TextToImage
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.synthesis import plan as planning
from fairshards.transforms.pictures.generate import Generate, LazyGenerator, image_request
from fairshards.transforms.pictures.specs import GeneratorSpec
from fairshards.transforms.stage import LazyModels, ModelStage, StageHandler

LOADED: dict[Any, LazyModels[Any]] = {}
"""By spec, the holders of models that are already there."""


class LoadedHandler(StageHandler):
    """A stage's handler whose models are there already."""

    def load_model(self) -> LazyModels[Any]:
        """Return the holder of the spec's models."""
        return LOADED[self.spec]


class StageSide:
    """Does ``tasks`` by a stage with loaded models; every call is one Beam job on the in-process runner.

    Each job reads what its tasks name, and writes tars and manifests with fsync, as ``fairshards run`` does. A call
    returns what ``read`` finds, and deletes the folders ``made``, so that the next one does all again.
    """

    def __init__(
        self,
        models: LazyModels[Any],
        stage: type[ModelStage[Any]],
        tasks: Sequence[Any],
        read: Callable[[], list[Any]],
        made: Sequence[Path],
    ) -> None:
        LOADED[models.spec] = models
        self.spec, self.stage, self.tasks, self.read, self.made = models.spec, stage, tasks, read, made

    def __call__(self) -> list[Any]:
        """Run the job once."""
        Launcher().map(self.tasks, beam.Reshuffle(), "Work" >> LoadedHandler(self.stage, self.spec).step())
        found = self.read()
        for folder in self.made:
            shutil.rmtree(folder)
        return found


class BeamSide:
    """Makes ``tasks`` shards of ``batch`` pictures by the generate stage, on the in-process runner.

    Every call runs one Beam job into a fresh run folder: read the plan, generate, encode, write tar and
    manifest with fsync, as ``fairshards run`` does.
    """

    def __init__(self, model: TextToImage, tasks: int, steps: int, size: int, batch: int) -> None:
        self.spec = GeneratorSpec("", "f" * 64, model.device, model.dtype, None, batch, min(10, steps))
        LOADED[self.spec] = LazyGenerator(self.spec, model)
        self.batch = batch
        overrides = [
            f"generator.steps={steps}",
            f"generator.window={self.spec.window}",
            f"quota.shard_size={batch}",
            f"generator.height={size}",
            f"generator.width={size}",
        ]
        recipe = load_recipe("pocket-waterbirds", ["scorer.segmenter=null", "filters={group_judge: {}}", *overrides])
        self.rows = [
            row
            for number in range(tasks)
            for row in planning.shard_rows(recipe, self.spec, recipe.groups[number % 4], number // 4, 0)
        ]

    @property
    def requests(self) -> list[ImageRequest]:
        """What the rows ask of the model, for the other sides."""
        return [image_request(row, self.spec.window) for row in self.rows]

    def __call__(self) -> list[str]:
        """Run the job once; return the SHA-256 of every picture's PNG in the plan's order."""
        root = Path(tempfile.mkdtemp())
        try:
            return self._run(RunFolder(root))
        finally:
            shutil.rmtree(root)

    def _run(self, folder: RunFolder) -> list[str]:
        ids = [row["sample_id"] for row in self.rows]
        name = "plan/bench.parquet"
        folder.commit(
            name, "plan", "bench", self.rows, task_hash=task_hash("plan", "bench", ids, []), row_group=self.batch
        )
        tasks = planning.tasks_of(folder.path, name, self.rows, self.spec.stage_fingerprint)
        Launcher().map(tasks, beam.Reshuffle(), "Generate" >> LoadedHandler(Generate, self.spec).step())
        made = [row for file in folder.root.glob("raw/*.parquet") for row in manifest.read_rows(file)[1]]
        found = {row["sample_id"]: row["image_sha256"] for row in made}
        return [found[sample] for sample in ids]
