"""The account of a dataset: what was rejected and why, what was left out by which rule, which groups have nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairshards.catalogs.manifests import places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, task_hash
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.quota import Group
from fairshards.transforms.sources import Ignored, Listing
from fairshards.transforms.sources.labels import shown

KEYS_SHOWN = 3
LONGEST_KEY = 60


def commit_ignored(folder: RunFolder, ignored: Mapping[str, Ignored]) -> dict[str, str]:
    """Commit what is neither a source nor a reject, by rule; return the manifest's name with its content hash."""
    if not ignored:
        return {}
    rows = [{"rule": rule, "n": one.count, "example": one.example} for rule, one in sorted(ignored.items())]
    hashed = task_hash("ignore", "ignored/1", [], [], rows)
    name = f"{places.SOURCE}ignored-{hashed[:TASK_DIGITS]}.parquet"
    return {name: folder.commit(name, "ignore", "ignored", rows, task_hash=hashed).content_sha256}


def said_of(rejected: Mapping[str, Sequence[str]], ignored: Mapping[str, int]) -> str:
    """Return "8 rejected: 8 corrupt (a, b, c, ...); ignored: 3 hidden, 1 index": reasons with their first keys."""
    text = f"{sum(map(len, rejected.values()))} rejected"
    if rejected:
        text += ": " + ", ".join(
            f"{len(keys)} {reason} ({_keys(keys)})" for reason, keys in sorted(rejected.items(), key=_most)
        )
    if ignored:
        text += "; ignored: " + ", ".join(
            f"{count} {rule}" for rule, count in sorted(ignored.items(), key=lambda one: (-one[1], one[0]))
        )
    return text


def same_pictures(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is worth saying of usable pictures that have the same bytes, though their keys differ.

    One that stands in two splits is learned from and measured on; of two labels one is wrong.
    """
    places = defaultdict[str, list[Mapping[str, Any]]](list)
    for row in rows:
        if row["status"] == "ok":
            places[row["image_sha256"]].append(row)
    several = [found for found in places.values() if len(found) > 1]
    if apart := [found for found in several if len({row["split"] for row in found}) > 1]:
        splits = ", ".join(sorted({row["split"] for found in apart for row in found}))
        yield (
            f"pictures that stand in more than one split ({splits}): {len(apart)}, e.g. {_both(apart[0], 'split')}. "
            "What one split teaches or chooses by, another can't measure; leave them out of one of them"
        )
    if differ := [found for found in several if len({row["group_name"] for row in found}) > 1]:
        yield (
            f"pictures that stand there with more than one label: {len(differ)}, e.g. "
            f"{_both(differ[0], 'group_name')}. Which of them is right can't be known here; leave the others out"
        )


def _both(rows: Sequence[Mapping[str, Any]], what: str) -> str:
    """Return the first row and the first that differs from it, with how they differ."""
    other = next(row for row in rows if row[what] != rows[0][what])
    return " and ".join(f"{_short(row['key'])} ({row[what]})" for row in (rows[0], other))


def check_training_groups(
    recipe: Recipe, counts: Mapping[Group, int], rows: Sequence[Mapping[str, Any]], listing: Listing | None = None
) -> None:
    """Refuse a class, or a group that something is made for, without a training image.

    Spurious-free pictures are made by class, so that there a group may be empty. There is no ``listing`` where the
    dataset isn't looked at again.

    Raises:
        RecipeError: names them, the labels that stand in the data, the first reject, and how to mend it.
    """
    by_class = Counter({y: 0 for y, _ in counts})
    for (y, _), count in counts.items():
        by_class[y] += count
    classes = [recipe.classes[y].name for y, count in by_class.items() if not count]
    groups = (
        []
        if recipe.spurious_free or not recipe.bias.known
        else [
            recipe.group_name(*group)
            for group, count in counts.items()
            if not count and by_class[group[0]] and group not in stated_empty(recipe)
        ]
    )
    if not classes and not groups:
        return
    rejects = [row for row in rows if row["status"] == "reject"]
    if len(classes) == len(by_class):
        text = f"the source has no usable training image: {len(rows)} were read, {len(rejects)} of them rejected"
    else:
        lacking = ([f"of class {', '.join(classes)}"] if classes else []) + (
            [f"of group {', '.join(groups)}"] if groups else []
        )
        text = f"the source has no usable training image {', nor '.join(lacking)}"
    fix = "; list the (class, bias) pairs that exist in groups, or one that is empty on purpose in source.empty_groups"
    splits = Counter(row["split"] for row in rows if row["split"])
    if splits and "train" not in splits:
        there = ", ".join(f"{split} {count}" for split, count in sorted(splits.items()))
        text += f". None is of split train ({there}): say in source.splits which are"
    query = ". `fairshards query RUN rejects` lists all rejects"
    raise RecipeError(
        f"{text}. {_seen(recipe, counts, listing)}{_why(rejects)}{_left_out(listing)}. Check the labels of "
        f"classes and of bias.values{fix if groups else ''}{query if rejects else ''}"
    )


def stated_empty(recipe: Recipe) -> set[Group]:
    """Return the groups of ``source.empty_groups``.

    Raises:
        RecipeError: it names one that the recipe lacks.
    """
    groups = {recipe.group_name(*group): group for group in recipe.groups}
    for name in recipe.source.empty_groups:
        if name not in groups:
            raise RecipeError(f"source.empty_groups names {name}; the recipe's groups are {', '.join(groups)}")
    return {groups[name] for name in recipe.source.empty_groups}


def _seen(recipe: Recipe, counts: Mapping[Group, int], listing: Listing | None) -> str:
    said = "Training images: " + ", ".join(f"{recipe.group_name(*group)} {n}" for group, n in counts.items())
    if listing:
        said += f"; class labels in the data: {shown(sorted(listing.class_labels)) or 'none'}"
    if listing and listing.bias_labels and recipe.bias.known:
        said += f"; bias labels: {shown(sorted(listing.bias_labels))}"
    return said


def _why(rejects: Sequence[Mapping[str, Any]]) -> str:
    if not rejects:
        return ""
    reasons = Counter(row["reason"] for row in rejects).most_common(3)
    text = ", ".join(f"{count} {reason}" for reason, count in reasons)
    first = next(row for row in rejects if row["reason"] == reasons[0][0])
    return f". Rejected: {text}; the first of them, {_short(first['key'])}: {first['detail']}"


def _left_out(listing: Listing | None) -> str:
    """Return what no picture was looked for in; pictures may be among it."""
    rules = sorted((listing.ignored if listing else {}).items(), key=lambda one: (-one[1].count, one[0]))
    said = ", ".join(
        f"{one.count} {rule} ({_short(one.example)}{', ...' if one.count > 1 else ''})" for rule, one in rules[:3]
    )
    return f". Ignored: {said}" if said else ""


def _most(one: tuple[str, Sequence[str]]) -> tuple[int, str]:
    return -len(one[1]), one[0]


def _keys(keys: Sequence[str]) -> str:
    return ", ".join(map(_short, keys[:KEYS_SHOWN])) + (", ..." if len(keys) > KEYS_SHOWN else "")


def _short(key: str) -> str:
    """Return the end of a key, on one line and without what would steer a terminal."""
    shown = key if key.isprintable() else repr(key)[1:-1]
    return shown if len(shown) <= LONGEST_KEY else f"...{shown[-LONGEST_KEY:]}"
