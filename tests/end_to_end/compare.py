"""What differs between a recorded run and one of today, in words; and what of a run no processor may move."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from typing import Any

from tests.end_to_end.snapshot import ROW_DIGITS, ROWS, Snapshot

WHOLE = ("world/*", "source/*", "cohort/*", "calibration/plan-*")
"""Files that no model has a part in: the same bytes and rows on every processor."""
COLUMNS = {
    "pocket-waterbirds": {
        "plan/round-0-*": None,  # drawn before any picture is there
        "raw/*-0000-*.parquet": ("sample_id", "width", "height", "status"),  # each group's first task, of round 0
    },
    "pocket-aspire": {"captions/source-*": ("source_id", "captioner")},
    "btgan_support2": {  # sample ids hold the trained weights' hash
        "plan/round-0-*": ("kind", "round", "task", "replicate", "y", "b", "group_name", "prompt", "steps")
    },
}
"""Of further manifests, the columns that hold for every processor; None: all, the head included."""
TABLES = ("sources", "ignored", "cohort_groups", "calibration_set", "real_counts")
"""Tables and views of the catalog that hold nothing else."""


def differences(recorded: Snapshot, now: Snapshot) -> list[str]:
    """Return a line for everything that isn't as recorded, by stage; the first is likely the cause."""
    lines = [f"recipe: {line}" for line in _recipe(recorded["recipe"], now["recipe"])]
    lines += _named("manifest", recorded["manifests"], now["manifests"], _table)
    lines += _named("file", recorded["files"], now["files"], lambda old, new: ["other bytes"] if old != new else [])
    lines += _named("run.json", recorded["run.json"], now["run.json"], _plain)
    lines += _named("catalog", recorded["catalog"], now["catalog"], _table)
    for part in ("report", "card", "croissant"):
        old, new = ([str(item) for item in side[part]] for side in (recorded, now))
        lines += [f"{part}: {line}" for line in _plain(old, new)]
    return lines


def portable(run: Snapshot, recipe: str) -> Snapshot:
    """Return what of a snapshot every processor must give: names, counts and rows that no model decides, and types."""
    columns = {**dict.fromkeys(WHOLE), **COLUMNS[recipe]}
    manifests: Snapshot = {}
    for name, manifest in run["manifests"].items():
        pattern = next((pattern for pattern in columns if fnmatch(name, pattern)), "")
        if pattern and columns[pattern] is None:
            manifests[name] = manifest
            continue
        if fnmatch(name, "plan/round-[1-9]*"):  # whether there is a second round is the pictures' matter
            continue
        kept = {column: manifest["columns"][column] for column in (columns.get(pattern) or ())}
        manifests[name if name.startswith(("raw/", "captions/")) and kept else masked(name)] = {
            "head": {"stage": manifest["head"]["stage"]}, "types": manifest["types"], "columns": kept,
        }  # fmt: skip
    return {
        "recipe": run["recipe"],
        "run.json": {**run["run.json"], "manifests": []},
        "manifests": dict(sorted(manifests.items())),
        "files": {name: sha for name, sha in run["files"].items() if any(fnmatch(name, pattern) for pattern in WHOLE)},
        "catalog": {
            name: table if name in TABLES else {"types": table["types"], "columns": {}}
            for name, table in run["catalog"].items()
        },
        "report": [heading for heading in run["report"] if heading[0] in ("h1", "h2")],
        "card": run["card"],
        "croissant": run["croissant"],
    }  # fmt: skip


def masked(name: str) -> str:
    """Return a manifest's name without its hashes and numbers; of raw shards and scores without the group's, too."""
    name = re.sub(r"^(raw|scores|captions|phrases|edits|edit_scores)/(?!plan-).*\.parquet$", r"\1/*.parquet", name)
    return re.sub(r"-\d{3,6}\b", "-*", re.sub(r"\b[0-9a-f]{12}\b", "*", name))


def _named(what: str, old: Snapshot, new: Snapshot, compare: Any) -> Iterator[str]:
    """Yield what differs between two sets of named things; a name whose hash moved is compared all the same."""
    renamed = dict(_renamed([name for name in old if name not in new], [name for name in new if name not in old]))
    for name, thing in old.items():
        other = renamed.get(name, name)
        if other not in new:
            yield f"{what} {name}: missing now"
            continue
        if other != name:
            yield f"{what} {name}: its name is now {other}"
        yield from (f"{what} {name}: {line}" for line in compare(thing, new[other]))
    yield from (f"{what} {name}: new" for name in new if name not in old and name not in renamed.values())


def _renamed(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str]]:
    hashes = re.compile(r"\b[0-9a-f]{12}\b")
    for pattern in dict.fromkeys(hashes.sub("*", name) for name in old):
        yield from zip(
            *([name for name in side if hashes.sub("*", name) == pattern] for side in (old, new)), strict=False
        )


def _table(old: Snapshot, new: Snapshot) -> Iterator[str]:
    """Yield what differs between two tables: the columns with their types, the first row, the head's keys."""
    if list(old["types"].items()) != list(new["types"].items()):
        gone = [f"{name} {kind}" for name, kind in old["types"].items() if new["types"].get(name) != kind]
        come = [f"{name} {kind}" for name, kind in new["types"].items() if old["types"].get(name) != kind]
        yield f"columns {', '.join(gone) or 'in another order'} recorded, now {', '.join(come) or 'without them'}"
    moved = [name for name, sha in old["columns"].items() if new["columns"].get(name, sha) != sha]
    if moved:
        yield f"column {', '.join(moved)} differs, {_first_row(old, new)}"
    if old.get("count") != new.get("count"):
        yield f"{old['count']} rows recorded, now {new['count']}"
    heads = old.get("head", {}), new.get("head", {})
    if keys := [key for key in sorted({*heads[0], *heads[1]}) if heads[0].get(key) != heads[1].get(key)]:
        yield f"{', '.join(keys)} of its head differs"


def _first_row(old: Snapshot, new: Snapshot) -> str:
    rows = [re.findall("." * ROW_DIGITS, side.get("rows", "")) for side in (old, new)]
    first = next((number for number, (one, other) in enumerate(zip(*rows, strict=False)) if one != other), None)
    return f"beyond row {ROWS - 1}, or in the rows' number" if first is None else f"first in row {first}"


def _recipe(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield recorded keys that are gone or have another value; a key may be new."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            yield from _recipe(value, new[key], f"{where}.{key}") if key in new else [f"{where}.{key} is gone"]
    elif old != new:
        yield f"{where} was {old!r}, now {new!r}"


def _plain(old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, list) and isinstance(new, list) and old != new:
        gone, come = [item for item in old if item not in new], [item for item in new if item not in old]
        yield f"recorded alone {gone[:3]}, now alone {come[:3]}" if gone or come else "in another order, or more often"
    elif old != new:
        yield f"was {old!r}, now {new!r}"
