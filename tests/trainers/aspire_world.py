"""What ASPIRE's trainings read, small: spurious-free samples, discovered groups, an index without bias labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests.identity import digest
from fairshards.catalogs.manifests.manifest import Head, encode, read_rows, write_local
from fairshards.trainers.core.index import Group
from tests.trainers.shapes import CLASSES, shape_pictures, write_index

PHRASES: dict[str, str | None] = {"square": "red light", "cross": "green light"}
"""The top spurious phrase of every class; it holds of the pictures whose bias attribute goes with the class."""
SPURIOUS_FREE: dict[Group, int] = {(0, 0): 10, (0, 1): 10, (1, 0): 10, (1, 1): 10}
VALIDATION: dict[Group, int] = dict.fromkeys(SPURIOUS_FREE, 3)

Row = dict[str, Any]


def rewrite(index: Path, name: str, change: Callable[[Row], Row | None]) -> Path:
    """Write another manifest beside ``index``, over the same shards; rows that change to None are left out."""
    head, rows = read_rows(index)
    changed = [new for row in rows if (new := change(dict(row))) is not None]
    data, _ = encode(Head("index", head.task, digest([head.task_hash, name])), changed, {})
    write_local(index.with_name(name), data)
    return index.with_name(name)


def unknown(row: Row) -> Row:
    """The row as a dataset without bias labels has it."""
    return {**row, "b": -1, "bias_name": "unknown", "group_name": f"{row['class_name']}|unknown"}


def without_columns(row: Row) -> Row:
    """The row where the manifest's bias columns are null."""
    return {**row, "b": None, "bias_name": None, "group_name": None}


def spurious_free_index(folder: Path, counts: Mapping[str, Mapping[Group, int]] | None = None) -> Path:
    """Write a curated index of samples with an unknown bias: 20 a class, and 6 a class to choose an epoch by."""
    pictures = shape_pictures(counts or {"balanced": SPURIOUS_FREE, "validation": VALIDATION}, g=1, seed=5)
    return rewrite(write_index(folder, pictures, 50), "curated.parquet", unknown)


def write_groups(
    path: Path,
    real: Path,
    phrases: Mapping[str, str | None] = PHRASES,
    change: Callable[[Row], Row | None] = lambda row: row,
) -> Path:
    """Write the discovered groups of a real index of shapes as a manifest of stage "groups"."""
    rows = []
    for row in read_rows(real)[1]:
        if row["split"] not in ("train", "val"):
            continue
        phrase, present = phrases[row["class_name"]], row["b"] == CLASSES.index(row["class_name"])
        group = {
            "phrase": phrase,
            "present": present and phrase is not None,
            "group_name": f"{row['class_name']}|{'' if present else 'no '}{phrase}",
        }
        changed = change({"source_id": row["sample_id"], **{n: row[n] for n in ("split", "y", "class_name")}, **group})
        rows += [changed] if changed else []
    data, _ = encode(Head("groups", "test", "g" * 64), rows, {})
    write_local(path, data)
    return path
