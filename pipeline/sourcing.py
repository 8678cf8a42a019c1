"""The source stage: a dataset becomes checked source shards, an index for trainers, and group counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalogs import manifest
from catalogs.identity import digest, task_hash
from catalogs.schemas import SCHEMAS
from pipeline.jobs import Launcher
from pipeline.progress import Reporter
from pipeline.quota import Group, minority_kept
from pipeline.recipe import PocketSource, Recipe, RecipeError
from pipeline.runfolder import RunFolder
from transforms import commit
from transforms.source import IngestSource, Labels, plan_source
from transforms.sources import READERS, SourceReader, WebDatasetReader

Row = dict[str, Any]
INDEX = "source/index.parquet"
SMALL_JOB = 16


@dataclass(frozen=True)
class SourceResult:
    """The source's manifests by name with their content hashes, its index, and its training group counts."""

    manifests: dict[str, str]
    counts: dict[Group, int]
    samples: int
    rejects: int


def source_stage(recipe: Recipe, folder: RunFolder, launcher: Launcher, report: Reporter) -> SourceResult:
    """Read and check the dataset, once; a unit that is done is not read again."""
    reader, classes, bias = reader_of(recipe, folder, report), *labels_of(recipe)
    works = plan_source(reader, folder.path, recipe.name, classes, bias)
    todo = [work for work in works if commit.find(work.task) is None]
    with report.watch("reading the source", len(works), lambda: _done([w.task for w in works])):
        launcher.map(todo, IngestSource(reader, classes, bias), small=SMALL_JOB)
    heads, rows = {}, []
    for work in works:
        name = commit.manifest_name(work.task)
        head, unit_rows = manifest.read_rows(folder.root / name)
        heads[name] = head.content_sha256
        rows.extend(unit_rows)
    index = _index_rows(recipe, rows)
    if not any(row["split"] == "train" for row in index):
        reasons = Counter(row["reason"] for row in rows if row["status"] == "reject").most_common(3)
        raise RecipeError(f"the source has no usable training image; {len(rows)} were read, rejected for {reasons}")
    hashed = task_hash("index", "source-index/1", [row["sample_id"] for row in index], list(heads.values()))
    head = folder.commit(INDEX, "index", "source-index", index, task_hash=hashed, inputs=list(heads.values()))
    heads[INDEX] = head.content_sha256
    rejects = sum(row["status"] == "reject" for row in rows)
    return SourceResult(heads, train_counts(recipe, index), len(index), rejects)


def reader_of(recipe: Recipe, folder: RunFolder, report: Reporter) -> SourceReader:
    """Return the recipe's reader; for the pocket world, render it first."""
    source = recipe.source
    if isinstance(source, PocketSource):
        return WebDatasetReader(str(_render(recipe, source, folder, report)))
    options = source.model_dump(exclude={"reader", "bias_ratio", "val_min_group", "published_counts"})
    return READERS[source.reader](**options)


def labels_of(recipe: Recipe) -> tuple[Labels, Labels]:
    """Return how the dataset's class and bias labels are looked up."""
    both = []
    for values in (recipe.classes, recipe.bias.values):
        spelled = any(value.labels for value in values)
        both.append(Labels(tuple(v.name for v in values), tuple(v.labels for v in values) if spelled else ()))
    return both[0], both[1]


def train_counts(recipe: Recipe, index: Sequence[Row]) -> dict[Group, int]:
    """Return n_(y,b) of the training split for every group of the recipe, zeros included."""
    counts = Counter((row["y"], row["b"]) for row in index if row["split"] == "train")
    return {group: counts[group] for group in recipe.groups}


def _render(recipe: Recipe, source: PocketSource, folder: RunFolder, report: Reporter) -> Path:
    from pocket.world import write_world

    ratio = 0.95 if source.bias_ratio is None else source.bias_ratio
    seed = recipe.seed if source.seed is None else source.seed
    settings: dict[str, Any] = {
        "n_train": source.n_train,
        "bias_ratio": ratio,
        "seed": seed,
        "n_test_per_group": source.test_per_group,
        "val_min_group": source.val_min_group,
    }
    place = folder.root / "world" / digest(settings)[:12]
    if not (place / "world.json").exists():
        report.say(f"rendering Pocket Waterbirds: {source.n_train} training pictures at r = {ratio}")
        write_world(place, **settings)
    return place


def _done(tasks: Sequence[Any]) -> int:
    return sum((Path(task.run) / commit.manifest_name(task)).exists() for task in tasks)


def _index_rows(recipe: Recipe, rows: Sequence[Row]) -> list[Row]:
    """Return the index rows of the usable images: no rejects, one of each id, sub-sampled to the bias ratio."""
    names = set(SCHEMAS["index"].names)
    good: dict[str, Row] = {}
    for row in rows:
        if row["status"] == "ok":
            good.setdefault(
                row["source_id"],
                {**{name: row[name] for name in row if name in names}, "sample_id": row["source_id"], "g": 0},
            )
    return _to_bias_ratio(recipe, list(good.values()))


def _to_bias_ratio(recipe: Recipe, rows: list[Row]) -> list[Row]:
    """Sub-sample train and val minority groups to FFR's rule; the test split stays whole (methods 1.4)."""
    ratio = recipe.source.bias_ratio
    if ratio is None or isinstance(recipe.source, PocketSource):
        return rows
    members: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for row in rows:
        members[row["split"], row["y"], row["b"]].append(row["sample_id"])
    keep: set[str] = set()
    for (split, y, _), ids in members.items():
        majority = max(len(other) for (s, c, _), other in members.items() if (s, c) == (split, y))
        wanted = len(ids) if split == "test" or len(ids) == majority else minority_kept(majority, ratio)
        floor = recipe.source.val_min_group if split == "val" else 0
        keep.update(sorted(ids, key=lambda i: digest([recipe.seed, i]))[: max(wanted, floor)])
    return [row for row in rows if row["sample_id"] in keep]
