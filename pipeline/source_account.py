"""The account of a dataset: what was rejected and why, what was left out by which rule, which groups have nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from catalogs.identity import TASK_DIGITS, task_hash
from pipeline.quota import Group
from pipeline.recipe import Recipe, RecipeError
from pipeline.runfolder import RunFolder
from transforms.labels import shown
from transforms.sources import Ignored, Listing

KEYS_SHOWN = 3
LONGEST_KEY = 60


def commit_ignored(folder: RunFolder, ignored: Mapping[str, Ignored]) -> dict[str, str]:
    """Commit what is neither a source nor a reject, by rule; return the manifest's name with its content hash."""
    if not ignored:
        return {}
    rows = [{"rule": rule, "n": one.count, "example": one.example} for rule, one in sorted(ignored.items())]
    hashed = task_hash("ignore", "ignored/1", [], [], rows)
    name = f"source/ignored-{hashed[:TASK_DIGITS]}.parquet"
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
    groups = [] if recipe.spurious_free or not recipe.bias.known else [
        recipe.group_name(*group) for group, count in counts.items()
        if not count and by_class[group[0]] and group not in stated_empty(recipe)
    ]  # fmt: skip
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
    raise RecipeError(
        f"{text}. {_seen(recipe, counts, listing)}{_why(rejects)}. Check the labels of classes and of "
        f"bias.values{fix if groups else ''}{'. `fairshards query RUN rejects` lists all rejects' if rejects else ''}"
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


def _most(one: tuple[str, Sequence[str]]) -> tuple[int, str]:
    return -len(one[1]), one[0]


def _keys(keys: Sequence[str]) -> str:
    return ", ".join(map(_short, keys[:KEYS_SHOWN])) + (", ..." if len(keys) > KEYS_SHOWN else "")


def _short(key: str) -> str:
    return key if len(key) <= LONGEST_KEY else f"...{key[-LONGEST_KEY:]}"
