"""The pipeline's side of the generation benchmark: shard tasks through Beam, tar and manifest included.

The model is loaded before the clock starts, on all sides; a module of its own keeps it out of pickles.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import apache_beam as beam

from catalogs import manifest
from catalogs.identity import task_hash
from generators.requests import ImageRequest
from generators.text_to_image import TextToImage
from pipeline import planning
from pipeline.jobs import Launcher
from pipeline.recipe import load_recipe
from pipeline.runfolder import RunFolder
from transforms.generate import LazyGenerator, generate_task, image_request
from transforms.model_stage import StageHandler
from transforms.specs import GeneratorSpec

LOADED: list[LazyGenerator] = []


def loaded(_: GeneratorSpec) -> LazyGenerator:
    """Return the holder of the model that is already there."""
    return LOADED[0]


class BeamSide:
    """Makes ``tasks`` shards of ``batch`` pictures by the generate stage, on the in-process runner.

    Every call runs one Beam job into a fresh run folder: read the plan, generate, encode, write tar and
    manifest with fsync, as ``fairshards run`` does.
    """

    def __init__(self, model: TextToImage, tasks: int, steps: int, size: int, batch: int) -> None:
        self.spec = GeneratorSpec("", "f" * 64, model.device, model.dtype, None, batch, min(10, steps))
        LOADED[:] = [LazyGenerator(self.spec, model)]
        self.batch = batch
        overrides = [f"generator.steps={steps}", f"generator.window={self.spec.window}", f"quota.shard_size={batch}",
                     f"generator.height={size}", f"generator.width={size}"]  # fmt: skip
        recipe = load_recipe("pocket-waterbirds", overrides)
        self.rows = [row for number in range(tasks)
                     for row in planning.shard_rows(recipe, self.spec, recipe.groups[number % 4], number // 4, 0)]

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
        step = StageHandler(self.spec, loaded, generate_task).step()
        Launcher().map(tasks, beam.Reshuffle(), "Generate" >> step)
        made = [row for file in folder.root.glob("raw/*.parquet") for row in manifest.read_rows(file)[1]]
        found = {row["sample_id"]: row["image_sha256"] for row in made}
        return [found[sample] for sample in ids]
