"""An index manifest as samples: who each one is, and where its image lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests.identity import UNKNOWN, UNKNOWN_BIAS
from fairshards.catalogs.manifests.manifest import read_head, read_rows
from fairshards.trainers.core.errors import TrainerError

Group = tuple[int, int]
"""A group (y, b): class and bias attribute."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of an index; its image is ``size`` bytes at ``offset`` of the tar ``shard`` (absolute).

    Where the bias attribute is unknown (``b`` -1; null or no column in the manifest), the group is the class:
    "<class>|unknown".
    """

    sample_id: str
    split: str
    y: int
    class_name: str
    b: int
    bias_name: str
    group_name: str
    g: int
    shard: Path
    offset: int
    size: int
    image_sha256: str

    @property
    def group(self) -> Group:
        """The sample's (y, b)."""
        return self.y, self.b


@dataclass(frozen=True)
class Index:
    """The samples of one index manifest in the manifest's order, and the hash of its content."""

    path: Path
    content_sha256: str
    samples: tuple[Sample, ...]

    def of(self, *splits: str) -> tuple[Sample, ...]:
        """Return the samples of the named splits in index order.

        Raises:
            TrainerError: there is none.
        """
        found = tuple(sample for sample in self.samples if sample.split in splits)
        if not found:
            have = sorted({sample.split for sample in self.samples})
            wanted = " or ".join(splits)
            raise TrainerError(f"index {self.path} has no sample of split {wanted}; it has {have}")
        return found


def read_index(path: Path, g: int) -> Index:
    """Return the index at ``path`` (a manifest of stage "index", or its folder), checked against its hash.

    ``g`` says what it must hold: 0 real samples, 1 synthetic ones.

    Raises:
        TrainerError: it is no index, an id stands in it twice, or a sample is of the other source.
    """
    file = index_file(path)
    head, rows = read_rows(file)
    if head.stage != "index":
        raise TrainerError(f"{file} is a manifest of stage {head.stage!r}; trainers read stage 'index'")
    samples = tuple(_sample(row, file.parent) for row in rows)
    _check(file, samples, g)
    return Index(file, head.content_sha256, samples)


def index_file(path: Path) -> Path:
    """Return the manifest's path: ``path`` itself, or ``index.parquet`` in the folder ``path``."""
    file = path / "index.parquet" if path.is_dir() else path
    if not file.is_file():
        raise TrainerError(f"no index at {file}; run the stage that writes it (source or curate) first")
    return file.absolute()


def index_hash(path: Path) -> str:
    """Return the content hash that the index at ``path`` was committed with, without reading its rows."""
    return read_head(index_file(path)).content_sha256


def group_counts(samples: Iterable[Sample], groups: Sequence[Group] = ()) -> dict[Group, int]:
    """Return the number of samples per (y, b), in that order; 0 for those of ``groups`` with none."""
    counts = Counter(sample.group for sample in samples)
    return {group: counts[group] for group in sorted(counts.keys() | set(groups))}


def group_names(samples: Iterable[Sample]) -> dict[Group, str]:
    """Return "<class>|<bias>" per (y, b)."""
    return dict(sorted({sample.group: sample.group_name for sample in samples}.items()))


def without_bias(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """Return the samples as if nobody had labelled their bias attribute: their groups are their classes."""
    return tuple(replace(sample, **_unknown(sample.class_name)) for sample in samples)


def class_counts(samples: Iterable[Sample]) -> dict[str, int]:
    """Return the number of samples per class name, in the order of y."""
    counts = Counter((sample.y, sample.class_name) for sample in samples)
    return {name: count for (_, name), count in sorted(counts.items())}


def class_names(samples: Iterable[Sample]) -> tuple[str, ...]:
    """Return the class names in the order of y.

    Raises:
        TrainerError: the labels aren't 0 .. number of classes - 1.
    """
    names = {sample.y: sample.class_name for sample in samples}
    if sorted(names) != list(range(len(names))):
        raise TrainerError(f"classes are numbered {sorted(names)}; expected 0 to {len(names) - 1}, no gap")
    return tuple(names[y] for y in range(len(names)))


def _sample(row: Mapping[str, Any], folder: Path) -> Sample:
    given = {"b": None, "bias_name": None, "group_name": None, **row}
    values = {name: given[name] for name in Sample.__slots__}
    if values["b"] in (None, UNKNOWN_BIAS):
        values |= _unknown(values["class_name"])
    return Sample(**{**values, "shard": (folder / row["shard"]).resolve()})


def _unknown(class_name: str) -> dict[str, Any]:
    return {"b": UNKNOWN_BIAS, "bias_name": UNKNOWN, "group_name": f"{class_name}|{UNKNOWN}"}


def _check(file: Path, samples: Sequence[Sample], g: int) -> None:
    if not samples:
        raise TrainerError(f"index {file} has no samples")
    twice = [name for name, times in Counter(sample.sample_id for sample in samples).items() if times > 1]
    if twice:
        raise TrainerError(f"index {file} has {len(twice)} sample ids twice, first {twice[0]}")
    wrong = [sample.sample_id for sample in samples if sample.g != g]
    if wrong:
        word = ("real", "synthetic")
        raise TrainerError(
            f"index {file} should hold only {word[g]} samples (g = {g}), but {len(wrong)} are {word[1 - g]}, "
            f"first {wrong[0]}; were the two indexes swapped?"
        )
