"""The source stage: a dataset becomes checked source shards, an index for trainers, and group counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.markup import escape

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, digest, task_hash
from fairshards.catalogs.manifests.schemas import SCHEMAS
from fairshards.families import SOURCE_READERS
from fairshards.pipeline.pictures.account import (
    check_training_groups,
    commit_ignored,
    said_of,
    same_pictures,
    stated_empty,
)
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import LabelValue, Recipe
from fairshards.pipeline.recipe.source import (
    DatasetSource,
    ImageFolderSource,
    MetadataCsvSource,
    OtherSource,
    PocketSource,
    WebDatasetSource,
)
from fairshards.pipeline.run.committed import CommittedSource, committed_source
from fairshards.pipeline.run.context import Run, SourceRefused
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.jobs import SMALL_JOB
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.run.quota import Group, biased_counts
from fairshards.transforms.shards import commit
from fairshards.transforms.sources import Listing, SourceError, SourceReader, WebDatasetReader
from fairshards.transforms.sources.labels import GroupLabels, Labels
from fairshards.transforms.sources.metadata_csv import NUMBERED
from fairshards.transforms.sources.stage import IngestSource, listing_file, plan_source, write_listing
from fairshards.transforms.sources.webdataset import USUAL_FIELD

Row = dict[str, Any]


@dataclass(frozen=True)
class SourceResult:
    """The source's manifests by name with their content hashes, its index's name, and its training group counts.

    The index is named by its hash, so that another bias ratio stands beside it and replaces nothing. ``rejected`` has
    the keys of rejects by reason, and ``ignored`` counts by rule what is neither a source nor a reject.
    """

    manifests: dict[str, str]
    index: str
    counts: dict[Group, int]
    samples: int
    rejected: Mapping[str, Sequence[str]]
    ignored: Mapping[str, int]

    @property
    def rejects(self) -> int:
        """How many were rejected."""
        return sum(map(len, self.rejected.values()))


def source_line(recipe: Recipe, source: SourceResult) -> str:
    """Return what is said of a source: how many pictures there are, of which training groups, and what was left out."""
    counts = ", ".join(f"{escape(recipe.group_name(*group))} {count}" for group, count in source.counts.items())
    left_out = escape(said_of(source.rejected, source.ignored))
    return f"source: {source.samples} images ({left_out}); training groups: {counts}"


def source_stage(run: Run[Recipe]) -> SourceResult:
    """Read and check the dataset, once; a unit that is done is not read again.

    Where it isn't to be read anew, the dataset isn't looked at where the run before has it; else what that has stands
    in for a dataset that isn't there any more. Either way the recipe must still name the same place: at another one
    there may be another dataset.

    Raises:
        SourceError, LabelError: the dataset isn't there, isn't what the recipe says, or its labels are numbers of which
            each would be a guess.
        RecipeError: the recipe names a group that it lacks.
        SourceRefused: the dataset was read, and a class or group has no usable training image, or the recipe leaves
            open which groups are the majority.
    """
    recipe, folder, report = run.recipe, run.folder, run.report
    stated_aligned(recipe)  # a mistake there is said before anything is read
    stated_empty(recipe)
    known = committed_source(recipe, folder, run.previous)
    at_hand = known if known and known.place == getattr(recipe.source, "path", "") else None
    if at_hand and not run.anew.read:
        return _again(run, at_hand)
    try:
        reader = reader_of(recipe, folder, report)
        listing = reader.listing()
    except (SourceError, OSError) as error:
        if at_hand is None:
            raise
        report.say(
            f"{escape(str(error))}. The run goes on with the {len(at_hand.rows)} files that it has read before "
            "(source/)"
        )
        return _again(run, at_hand)
    labels = labels_of(recipe).decided(listing.class_labels, listing.bias_labels)
    works = plan_source(reader, folder.path, recipe.name, labels, listing)
    todo = [work for work in works if commit.find(work.task) is None]
    if known and known.comparable and {commit.manifest_name(work.task) for work in works} != set(known.units):
        report.say(
            f"the dataset isn't what this run has read before: {len(todo)} of its {len(works)} parts are read "
            "anew, and what was made from others isn't used any more"
        )
    if todo:
        write_listing(listing, folder.path)
    with report.watch("reading the source", len(works), lambda: _done([w.task for w in works])):
        run.launcher.map(todo, IngestSource(reader, labels), small=SMALL_JOB)
    if listing.entries:
        (folder.root / listing_file(listing)).unlink(missing_ok=True)
    units, rows = {}, []
    for work in works:
        name = commit.manifest_name(work.task)
        head, unit_rows = manifest.read_rows(folder.root / name)
        units[name] = head.content_sha256
        rows.extend(unit_rows)
    # the pocket world has a summary beside its tars, and nothing that was somebody's to give
    ignored = {} if isinstance(recipe.source, PocketSource) else listing.ignored
    heads = {**units, **commit_ignored(folder, ignored)}
    left_out = {rule: one.count for rule, one in ignored.items()}
    indexed = _indexed(run, units, heads, rows, left_out, listing)
    for said in same_pictures(rows):
        report.say(f"[yellow]note[/]: {escape(said)}")
    return indexed


def _again(run: Run[Recipe], known: CommittedSource) -> SourceResult:
    """Return the source that is committed already, sub-sampled as the recipe says now."""
    return _indexed(run, known.units, {**known.units, **known.ignored}, known.rows, known.counts)


def _indexed(
    run: Run[Recipe],
    units: Mapping[str, str],
    heads: Mapping[str, str],
    rows: Sequence[Row],
    ignored: Mapping[str, int],
    listing: Listing | None = None,
) -> SourceResult:
    """Commit the index of what can be used of ``rows``, and return the source.

    Raises:
        SourceRefused: the recipe can't go on with that.
    """
    recipe, (good, rejected) = run.recipe, _usable(rows)
    try:
        check_training_groups(recipe, group_counts(recipe, good), rows, listing)
        index = to_bias_ratio(recipe, good)
    except RecipeError as error:
        raise SourceRefused(str(error), heads) from error
    inputs = list(units.values())
    hashed = task_hash("index", "source-index/1", [row["sample_id"] for row in index], inputs)
    file = f"{places.SOURCE}index-{hashed[:TASK_DIGITS]}.parquet"
    head = run.folder.commit(file, "index", "source-index", index, task_hash=hashed, inputs=inputs)
    manifests = {**heads, file: head.content_sha256}
    return SourceResult(manifests, file, group_counts(recipe, index), len(index), rejected, ignored)


def reader_of(recipe: Recipe, folder: RunFolder, report: Reporter) -> SourceReader:
    """Return the recipe's reader; for the pocket world, render it first."""
    source = recipe.source
    if isinstance(source, PocketSource):
        world = str(_render(recipe, source, folder, report))
        return WebDatasetReader(world) if recipe.bias.known else WebDatasetReader(world, bias_field=None)
    reader = SOURCE_READERS[source.reader]
    if isinstance(source, OtherSource):
        return cast("SourceReader", reader(**source.options))
    options = source.model_dump(exclude={"reader", *DatasetSource.model_fields})
    if isinstance(source, ImageFolderSource):
        options["layout"] = source.layout or ("split/class/bias" if recipe.bias.known else "split/class")
    elif not recipe.bias.known:
        options["bias_field"] = None
    if isinstance(source, MetadataCsvSource):
        options["splits"] = {**NUMBERED, **source.splits}
    if isinstance(source, WebDatasetSource):
        named = {"field_first": True} if source.class_field else {"class_field": USUAL_FIELD}
        options.update(named)
    return cast("SourceReader", reader(**options))


def labels_of(recipe: Recipe) -> GroupLabels:
    """Return how the dataset's class and bias labels are looked up, and which groups there are."""
    bias = _labels(recipe.bias.values) if recipe.bias.known else None
    return GroupLabels(_labels(recipe.classes), bias, tuple(recipe.groups))


def _labels(values: Sequence[LabelValue]) -> Labels:
    spelled = any(value.labels for value in values)
    return Labels(tuple(v.name for v in values), tuple(v.labels for v in values) if spelled else ())


def group_counts(recipe: Recipe, index: Sequence[Row], split: str = "train") -> dict[Group, int]:
    """Return n_(y,b) of a split for every group of the recipe, zeros included."""
    counts = Counter((row["y"], row["b"]) for row in index if row["split"] == split)
    return {group: counts[group] for group in recipe.groups}


def _render(recipe: Recipe, source: PocketSource, folder: RunFolder, report: Reporter) -> Path:
    from fairshards.pocket.world import RENDER_VERSION, write_world

    ratio = 0.95 if source.bias_ratio is None else source.bias_ratio
    seed = recipe.seed if source.seed is None else source.seed
    settings: dict[str, Any] = {
        "n_train": source.n_train,
        "bias_ratio": ratio,
        "seed": seed,
        "n_test_per_group": source.test_per_group,
        "val_min_group": source.val_min_group,
    }
    if source.objects:  # a world without them keeps its place
        settings["object_rates"] = {name: dict(rates) for name, rates in source.objects.items()}
    place = folder.root / "world" / digest({**settings, "version": RENDER_VERSION})[:12]
    if not (place / "world.json").exists():
        report.say(f"rendering Pocket Waterbirds: {source.n_train} training pictures at r = {ratio}")
        write_world(place, **settings)
    return place


def _done(tasks: Sequence[Any]) -> int:
    return sum((Path(task.run) / commit.manifest_name(task)).exists() for task in tasks)


def _usable(rows: Sequence[Row]) -> tuple[list[Row], dict[str, list[str]]]:
    """Return the index rows of the usable images, one of each id, and the keys of all others by reason."""
    names = set(SCHEMAS["index"].names)
    good: dict[str, Row] = {}
    rejected = defaultdict[str, list[str]](list)
    for row in rows:
        if row["status"] != "ok":
            rejected[row["reason"]].append(row["key"])
        elif row["source_id"] in good:
            rejected["duplicate_key"].append(row["key"])
        else:
            kept = {name: row[name] for name in row if name in names}
            good[row["source_id"]] = {**kept, "sample_id": row["source_id"], "g": 0}
    return list(good.values()), dict(rejected)


def to_bias_ratio(recipe: Recipe, rows: list[Row]) -> list[Row]:
    """Sub-sample train and val so that each class's bias-aligned group is its majority (docs/methods.md#bias-ratio).

    Training groups are cut to the published counts where there are some for r and the dataset holds as many,
    else by FFR's rule; val groups by the rule, with its lower bound. The test split stays whole.

    Raises:
        RecipeError: as ``aligned_values``, or a class's bias-aligned group has no training image.
    """
    ratio = recipe.source.bias_ratio
    if ratio is None or isinstance(recipe.source, PocketSource):
        return rows
    train, val = (group_counts(recipe, rows, split) for split in ("train", "val"))
    aligned = aligned_values(recipe, train, ratio)
    _check_majorities(recipe, train, aligned)
    kept = {
        "train": _published_counts(recipe, train, ratio) or biased_counts(train, aligned, ratio),
        "val": biased_counts(val, aligned, ratio, recipe.source.val_min_group),
    }
    members: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for row in rows:
        members[row["split"], row["y"], row["b"]].append(row["sample_id"])
    keep: set[str] = set()
    for (split, y, b), ids in members.items():
        wanted = kept[split][y, b] if split in kept else len(ids)
        keep.update(sorted(ids, key=lambda i: digest([recipe.seed, i]))[:wanted])
    return [row for row in rows if row["sample_id"] in keep]


def aligned_values(recipe: Recipe, train: Mapping[Group, int], ratio: float) -> dict[int, int]:
    """Return the bias value b of each class's majority: {y: b}.

    ``source.aligned`` says it, else the most biased row of the published counts, else the counts ``train``.

    Raises:
        RecipeError: the largest groups of a class are equal, and ``source.aligned`` names none of them.
    """
    published, stated = recipe.source.published_counts, stated_aligned(recipe)
    counts = dict(zip(recipe.groups, published[max(published, key=float)], strict=True)) if published else train
    return {y: stated[y] if y in stated else _majority(recipe, counts, y, ratio) for y, _ in recipe.groups}


def stated_aligned(recipe: Recipe) -> dict[int, int]:
    """Return ``source.aligned`` as {y: b}.

    Raises:
        RecipeError: it names a group that the recipe lacks.
    """
    groups = {recipe.group_name(*group): group for group in recipe.groups}
    stated = [f"{class_name}|{value}" for class_name, value in recipe.source.aligned.items()]
    for name in stated:
        if name not in groups:
            raise RecipeError(f"source.aligned names the group {name}; the recipe's groups are {', '.join(groups)}")
    return dict(groups[name] for name in stated)


def _majority(recipe: Recipe, counts: Mapping[Group, int], y: int, ratio: float) -> int:
    of_class = {b: count for (c, b), count in counts.items() if c == y}
    largest = [b for b, count in of_class.items() if count == max(of_class.values())]
    if len(largest) > 1 and of_class[largest[0]] and ratio > 0.5:
        name, values = recipe.classes[y].name, [recipe.bias.values[b].name for b in largest]
        raise RecipeError(
            f"class {name!r} has {of_class[largest[0]]} training images with each of {values}; which is its majority "
            f"at source.bias_ratio {ratio}? Set source.aligned, e.g. source.aligned.{name}={values[0]}"
        )
    return largest[0]


def _check_majorities(recipe: Recipe, train: Mapping[Group, int], aligned: Mapping[int, int]) -> None:
    for y, b in aligned.items():
        others = sum(count for group, count in train.items() if group[0] == y)
        if others and not train[y, b]:
            raise RecipeError(
                f"the dataset has no training image of {recipe.group_name(y, b)}, but {others} others of its class; "
                "with source.bias_ratio it must be the majority: is source.aligned right?"
            )


def _published_counts(recipe: Recipe, train: Mapping[Group, int], ratio: float) -> dict[Group, int] | None:
    """Return the published training counts at r, where there are some and no group of the dataset has fewer."""
    known = {float(key): counts for key, counts in recipe.source.published_counts.items()}
    found = dict(zip(recipe.groups, known.get(ratio, ()), strict=False))
    return found if found and all(train[group] >= count for group, count in found.items()) else None
