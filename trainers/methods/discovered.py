"""Which group every real image is in, by name: a class with or without its top spurious phrase, or a true group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests.identity import UNKNOWN_BIAS
from fairshards.catalogs.manifests.manifest import read_head, read_rows
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Sample


@dataclass(frozen=True)
class DiscoveredGroups:
    """A manifest of stage "groups": class x top phrase of every captioned real image.

    ``phrases`` has the phrase of every class, None where discovery found none; ``group`` the group's name by
    sample id.
    """

    path: Path
    phrases: Mapping[str, str | None]
    group: Mapping[str, str]


def groups_hash(path: Path) -> str:
    """Return the content hash that the manifest of discovered groups was committed with.

    Raises:
        TrainerError: there is none.
    """
    if not path.is_file():
        raise TrainerError(f"no discovered groups at {path}; run the discovery first, or set dfr_groups to 'true'")
    return read_head(path).content_sha256


def read_groups(path: Path) -> DiscoveredGroups:
    """Return the discovered groups at ``path``, checked against their hash.

    A class whose phrase is null is one group, named for the class.

    Raises:
        TrainerError: it is a manifest of another stage, or a class has two phrases.
    """
    head, rows = read_rows(path)
    if head.stage != "groups":
        raise TrainerError(f"{path} is a manifest of stage {head.stage!r}; discovered groups are stage 'groups'")
    phrases: dict[str, str | None] = {}
    for row in rows:
        if phrases.setdefault(row["class_name"], row["phrase"]) != row["phrase"]:
            both = sorted(map(str, (phrases[row["class_name"]], row["phrase"])))
            raise TrainerError(f"{path}: class {row['class_name']!r} has two phrases, {both}; it must have one")
    return DiscoveredGroups(path, phrases, {row["source_id"]: _name(row) for row in rows})


def discovered_name(class_name: str, phrase: str | None, present: bool) -> str:
    """Return "<class>|<phrase>" or "<class>|no <phrase>"; a class without a phrase is one group."""
    if not phrase:
        return class_name
    return f"{class_name}|{phrase}" if present else f"{class_name}|no {phrase}"


def discovered_groups(groups: DiscoveredGroups, samples: Sequence[Sample]) -> dict[str, str]:
    """Return the group's name by sample id. A sample without a caption has none, and is left out.

    Where its class has no phrase there is nothing to tell, so such a class's samples are all in.

    Raises:
        TrainerError: the groups don't know a class, or don't place a single sample of one.
    """
    found = {}
    for sample in samples:
        whole = sample.class_name if _phrase(groups, sample) is None else None
        name = groups.group.get(sample.sample_id, whole)
        if name is not None:
            found[sample.sample_id] = name
    _require_every_class(groups.path, samples, found)
    return found


def groups_without_phrase(groups: DiscoveredGroups, samples: Sequence[Sample]) -> dict[str, str]:
    """Return the group by sample id of samples that are free of their class's phrase: that of the real ones without it.

    Raises:
        TrainerError: the groups don't know a class.
    """
    return {
        sample.sample_id: discovered_name(sample.class_name, _phrase(groups, sample), present=False)
        for sample in samples
    }


def true_groups(samples: Sequence[Sample]) -> dict[str, str]:
    """Return "<class>|<bias>" by sample id.

    Raises:
        TrainerError: a sample's bias attribute is unknown.
    """
    unknown = sum(sample.b == UNKNOWN_BIAS for sample in samples)
    if unknown:
        raise TrainerError(
            f"dfr_groups is 'true', but {unknown} of {len(samples)} real train and val samples have no bias label; "
            "use 'discovered'"
        )
    return {sample.sample_id: sample.group_name for sample in samples}


def _phrase(groups: DiscoveredGroups, sample: Sample) -> str | None:
    if sample.class_name not in groups.phrases:
        known = ", ".join(sorted(groups.phrases)) or "none"
        raise TrainerError(f"{groups.path} has no group of class {sample.class_name!r}; it has classes {known}")
    return groups.phrases[sample.class_name]


def _name(row: Mapping[str, Any]) -> str:
    return str(row["class_name"] if row["phrase"] is None else row["group_name"])


def _require_every_class(path: Path, samples: Sequence[Sample], found: Mapping[str, str]) -> None:
    for split in sorted({sample.split for sample in samples}):
        mine = [sample for sample in samples if sample.split == split]
        placed = {sample.class_name for sample in mine if sample.sample_id in found}
        lost = sorted({sample.class_name for sample in mine} - placed)
        if lost:
            raise TrainerError(
                f"{path} places no {split} sample of class {lost[0]!r}; were its groups discovered in another "
                "dataset, or its images of this split never captioned?"
            )
