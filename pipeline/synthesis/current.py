"""What is current in a run folder: the run's own manifest, and what earlier runs made that still stands."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, canonical_json, digest, task_hash
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.recipe.yaml_file import write_recipe_text
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.synthesis.compare import PLACES

OF_FILTERS = (places.CALIBRATION, *PLACES)
"""Scores that are taken for some filters only: of real pictures, and of samples compared with others."""


def commit_run(run: Run[RecipeBase], packages: Sequence[str]) -> None:
    """Write recipe.yaml and the run's manifest, with the versions of ``packages``: the first of the current ones."""
    recipe, folder = run.recipe, run.folder
    resolved = recipe.resolved()
    versions = {name: importlib.metadata.version(name) for name in packages}
    manifest.write_local(folder.root / "recipe.yaml", write_recipe_text(resolved).encode())
    hashed = task_hash("run", "run/1", [], [], {"recipe": resolved, "versions": versions})
    row = {
        "run_id": digest(resolved)[:12],
        "name": recipe.name,
        "seed": recipe.seed,
        "recipe": canonical_json(resolved),
        "versions": canonical_json(versions),
    }
    name = f"run-{hashed[:TASK_DIGITS]}.parquet"
    head = folder.commit(name, "run", "run", [row], task_hash=hashed)
    run.current[name] = head.content_sha256


def keep_earlier(run: Run[RecipeBase], places: tuple[str, ...], listed: dict[str, str] | None = None) -> None:
    """Keep what earlier runs put in these places, where all that it read stands: add it to ``listed``, by default to
    the run's current manifests.

    What belongs to a setting that this run doesn't have (``OF_FILTERS``) stays with the curations that read it.
    """
    current, folder = run.current if listed is None else listed, run.folder
    also = tuple(place for place in OF_FILTERS if not any(name.startswith(place) for name in current))
    earlier = [name for name in run.previous if name not in current and name.startswith((*also, *places))]
    earlier.sort(key=lambda name: not name.startswith(OF_FILTERS))
    kept = folder.still_valid(earlier, current)
    results = {name: sha for name, sha in kept.items() if not name.startswith(OF_FILTERS)}
    read = {sha for name in results for sha in manifest.read_head(folder.root / name).inputs}
    current.update({name: sha for name, sha in kept.items() if name in results or sha in read})
