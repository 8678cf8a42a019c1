"""A small real run: eight pictures of source, tiny real checkpoints, sixteen samples of four steps."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from tests.tiny_models import write_tiny_clip, write_tiny_diffusion

COLOURS = {
    ("landbird", "land"): (90, 120, 40),
    ("landbird", "water"): (60, 90, 200),
    ("waterbird", "land"): (120, 110, 30),
    ("waterbird", "water"): (20, 60, 220),
}


def write_source(folder: Path, counts: tuple[int, int, int, int] = (4, 2, 2, 4)) -> Path:
    """Write train, val and test tars with ``counts`` pictures a group (class-major)."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, factor in (("train", counts), ("val", (2,) * 4), ("test", (2,) * 4)):
        with tarfile.open(folder / f"{split}-000000.tar", "w") as tar:
            for (group, colour), count in zip(COLOURS.items(), factor, strict=True):
                for number in range(count):
                    _add(tar, f"{split}{group[0]}{group[1]}{number}", group, colour, number)
    return folder


def write_recipe(folder: Path, **changes: object) -> Path:
    """Write a recipe for the tiny models and return its path; ``changes`` replace whole top-level keys."""
    models = folder / "models"
    if not (models / "clip").exists():
        write_tiny_diffusion(models / "diffusion")
        write_tiny_clip(models / "clip")
        write_source(folder / "source")
    recipe = {
        "name": "small",
        "seed": 3,
        "source": {"reader": "webdataset", "path": str(folder / "source")},
        "classes": [{"name": "landbird"}, {"name": "waterbird"}],
        "bias": {"name": "background", "values": [{"name": "land"}, {"name": "water"}]},
        "generator": {
            "model": str(models / "diffusion"),
            "steps": 4,
            "guidance_scale": 2.0,
            "height": 32,
            "width": 32,
            "batch_size": 2,
            "window": 3,
        },
        "quota": {"per_group": 4, "surplus": 0.0, "shard_size": 2, "max_rounds": 2},
        "scorer": {"model": str(models / "clip"), "batch_size": 4},
        "filters": {"variance": {"max": 1e9}},
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def small_recipe(folder: Path, *overrides: str) -> Recipe:
    """Return the small recipe with ``--set`` overrides."""
    return load_recipe(str(write_recipe(folder)), overrides)


def digests(folder: Path, pattern: str = "curated/*/*.tar") -> dict[str, str]:
    """Return the SHA-256 of every file that matches, by its name in the run folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob(pattern))
        if path.is_file() and not path.name.startswith(".")
    }


def _add(tar: tarfile.TarFile, key: str, group: tuple[str, str], colour: tuple[int, int, int], number: int) -> None:
    noise = np.random.default_rng(len(key) + number).integers(-20, 20, (32, 32, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(buffer, format="PNG")
    facts = json.dumps({"class": group[0], "background": group[1]}).encode()
    for name, data in ((f"{key}.png", buffer.getvalue()), (f"{key}.json", facts), (f"{key}.cls", group[0].encode())):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


@dataclass(frozen=True)
class Small:
    """The folder with models, source and recipe, and its finished run."""

    folder: Path
    result: RunResult

    @property
    def root(self) -> Path:
        return self.folder / "run"

    def run(self, root: Path, *overrides: str, until: str = "curate", launcher: Launcher | None = None) -> RunResult:
        """Run the small recipe with overrides into ``root``."""
        recipe = small_recipe(self.folder, *overrides)
        return run(recipe, launcher or Launcher(), Reporter(quiet=True), until, root)


def finished(folder: Path) -> Small:
    """Run the small recipe to its curated shards in ``folder``."""
    result = run(small_recipe(folder), Launcher(), Reporter(quiet=True), "curate", folder / "run")
    return Small(folder, result)
