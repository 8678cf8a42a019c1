"""What a run has committed of a dataset stands for it: the dataset may have been moved, renamed or unmounted since.

What was read is good for as long as the recipe would have it read in the same way. How it was read stands in the run's
own manifest; where the dataset lay, and how its groups are sub-sampled, doesn't count.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import TASK_DIGITS
from fairshards.catalogs.manifests.manifest import ManifestError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.recipe.source import DatasetSource, PocketSource
from fairshards.pipeline.run.folder import RunFolder
from fairshards.transforms.sources.stage import VERSION

_Model = TypeVar("_Model", bound=BaseModel)
Row = dict[str, Any]


@dataclass(frozen=True)
class CommittedSource:
    """A dataset in the run folder.

    Attributes:
        place: What the recipe called the dataset when it was read.
        units: The manifests of its parts with their content hashes, in the dataset's order; ``rows`` are theirs.
        ignored: The manifest of what was neither a source nor a reject, with its content hash; ``counts`` by rule.
        version: How the parts were made (``fairshards.transforms.sources.stage.VERSION``, then).
    """

    place: str
    units: dict[str, str]
    rows: list[Row]
    ignored: dict[str, str]
    counts: dict[str, int]
    version: str

    @property
    def comparable(self) -> bool:
        """Whether the dataset would give the same parts today, had it not changed."""
        return self.version == VERSION


def committed_source(recipe: Recipe, folder: RunFolder, previous: Sequence[str]) -> CommittedSource | None:
    """Return the source that the run before has committed; None where there is none, it would be read in another way
    today, or a part of it is missing.
    """
    earlier = _earlier(Recipe, folder, previous)
    if earlier is None or _reading(earlier) != _reading(recipe):
        return None
    units, ignored = (
        [name for name in previous if name.startswith(f"{places.SOURCE}{stem}-")] for stem in ("source", "ignored")
    )
    heads, rows, version = {}, [], ""
    try:
        for name in units:
            head, found = manifest.read_rows(folder.root / name)
            shard = head.shard and folder.root / "source" / head.shard.name
            if shard and head.shard and (not shard.is_file() or shard.stat().st_size != head.shard.bytes):
                return None
            heads[name], version = head.content_sha256, head.fingerprint
            rows.extend(found)
        left_out = {name: manifest.read_rows(folder.root / name) for name in ignored}
    except ManifestError:
        return None
    if not rows:
        return None
    counts = {row["rule"]: row["n"] for _, found in left_out.values() for row in found}
    shas = {name: head.content_sha256 for name, (head, _) in left_out.items()}
    return CommittedSource(getattr(earlier.source, "path", ""), heads, rows, shas, counts, version)


@dataclass(frozen=True)
class CommittedCohort:
    """A cohort in the run folder: what the recipe called it, its manifest's name, head and rows."""

    place: str | None
    name: str
    head: manifest.Head
    rows: list[Row]


def committed_cohort(recipe: EhrRecipe, folder: RunFolder, previous: Sequence[str]) -> CommittedCohort | None:
    """Return the cohort that the run before has committed; None as ``committed_source``."""
    earlier = _earlier(EhrRecipe, folder, previous)
    names = [name for name in previous if name.startswith(f"{places.COHORT}groups-")]
    if earlier is None or not names or _without_path(earlier.cohort) != _without_path(recipe.cohort):
        return None
    try:
        head, rows = manifest.read_rows(folder.root / names[0])
    except ManifestError:
        return None
    there = all(cohort_file(folder, part, sha).is_file() for part, sha in head.settings["rows"].items())
    return CommittedCohort(earlier.cohort.path, names[0], head, rows) if there else None


def cohort_file(folder: RunFolder, part: str, sha256: str) -> Path:
    """Return where the rows of "train" or "test" lie in a run, which have this checksum."""
    return folder.root / "cohort" / f"{part}-{sha256[:TASK_DIGITS]}.parquet"


def _earlier(model: type[_Model], folder: RunFolder, previous: Sequence[str]) -> _Model | None:
    """Return the recipe of the run that ``previous`` lists; None where this version can't read it."""
    try:
        for name in previous:
            if name.startswith("run-"):
                return model.model_validate(json.loads(manifest.read_rows(folder.root / name)[1][0]["recipe"]))
    except (ManifestError, ValidationError):
        return None
    return None


def _reading(recipe: Recipe) -> Any:
    """Return all that decides what a dataset becomes in the run folder, but the dataset itself."""
    source = _without_path(recipe.source)
    if isinstance(recipe.source, PocketSource):
        source["seed"] = recipe.seed if recipe.source.seed is None else recipe.source.seed
    else:
        source = {name: value for name, value in source.items() if name not in DatasetSource.model_fields}
    labels = [[(value.name, value.labels) for value in values] for values in (recipe.classes, recipe.bias.values)]
    return [recipe.name, source, labels, recipe.bias.known, recipe.groups]


def _without_path(section: BaseModel) -> dict[str, Any]:
    return section.model_dump(mode="json", exclude={"path"})
