"""The pipeline's side of the generation benchmark: shard tasks through Beam, tar and manifest included.

The model is loaded before the clock starts, on both sides; a module of its own keeps it out of pickles.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

from catalogs.identity import task_hash
from generators.text_to_image import TextToImage
from pipeline import planning
from pipeline.jobs import Launcher
from pipeline.recipe import load_recipe
from pipeline.runfolder import RunFolder
from transforms.generate import GeneratorHandler, LazyGenerator
from transforms.specs import GeneratorSpec

LOADED: list[LazyGenerator] = []
SHARD = 32


class WarmHandler(GeneratorHandler):
    """The generate stage's handler over a model that is already there."""

    def load_model(self) -> LazyGenerator:
        """Return the loaded model's holder."""
        return LOADED[0]


class BeamSide:
    """Makes ``images`` pictures by the generate stage on the in-process runner, into a fresh run folder a time."""

    def __init__(self, model: TextToImage, images: int, steps: int, size: int, batch: int) -> None:
        self.spec = GeneratorSpec("", "f" * 64, model.device, model.dtype, None, batch, min(10, steps))
        holder = LazyGenerator(self.spec)
        holder._model = model
        LOADED[:] = [holder]
        overrides = [f"generator.steps={steps}", f"generator.window={self.spec.window}", f"quota.shard_size={SHARD}",
                     f"generator.height={size}", f"generator.width={size}", "generator.guidance_scale=3.0"]
        recipe = load_recipe("pocket-waterbirds", overrides)
        self.rows = [row for number in range(images // SHARD)
                     for row in planning.shard_rows(recipe, self.spec, recipe.groups[number % 4], number // 4, 0)]

    def __call__(self) -> int:
        """Run the job once and return how many pictures it committed."""
        root = Path(tempfile.mkdtemp())
        try:
            return self._run(RunFolder(root))
        finally:
            shutil.rmtree(root)

    def _run(self, folder: RunFolder) -> int:
        ids = [row["sample_id"] for row in self.rows]
        name = "plan/bench.parquet"
        folder.commit(name, "plan", "bench", self.rows, task_hash=task_hash("plan", "bench", ids), row_group=SHARD)
        tasks = planning.tasks_of(folder.path, name, self.rows, self.spec.stage_fingerprint)
        step: Any = RunInference(WarmHandler(self.spec).with_no_batching())
        Launcher().map(tasks, beam.Reshuffle(), "Generate" >> step)
        return len(list(folder.root.glob("raw/*.parquet"))) * SHARD
