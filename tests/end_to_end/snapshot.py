"""What a finished run folder holds, in hashes: files, manifests, the catalog, run.json, the report and the card."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import yaml

Snapshot = dict[str, Any]
HEAD = b"fairshards"
ROWS, ROW_DIGITS = 100, 4
"""Of so many rows a hash is kept, so that a message can name the first that differs; columns are hashed whole."""
RUN = "run-*.parquet"
"""The run's own manifest: a new key of the recipe gives it another name, and nothing is made again for that."""
NOT_HASHED = (
    ".driver.lock",  # the process's number
    "catalog.duckdb", "report.html", "README.md", "croissant.json", "run.json", "recipe.yaml",  # read in their own ways
)  # fmt: skip
TIMED = "evaluate"
"""The stage whose manifest has its seconds among its settings, so that its content hash is another each time."""
NOT_COMPARED = {
    "catalog_info": {"schema_version"},  # a hash of the SQL files, whose comments it covers
    "task_attempts": {"host", "pid", "started", "seconds", "details"},  # of the attempt, not of what it made
    "cost_per_kept": {"generate_seconds", "score_seconds", "seconds_per_generated", "seconds_per_kept"},
    "evaluations": {"manifest"},  # see TIMED
    "runs": {"run_id", "recipe", "versions", "manifest"},  # see RUN; the recipe is compared key by key
}
"""Columns of the catalog that differ from run to run, or that the recipe's growth may change."""


def snapshot(folder: Path) -> Snapshot:
    """Return the hashes of a run; equal ones mean that the same was made under the same names."""
    said = json.loads((folder / "run.json").read_text())
    listed = [name for name in said["manifests"] if not name.startswith("run-")]
    manifests = {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet") if is_manifest(path)}
    (run,) = (name for name in manifests if name.startswith("run-"))
    others = sorted(manifests - {*listed, run})
    return {
        "recipe": json.loads(pq.read_table(folder / run)["recipe"][0].as_py()),
        "run.json": {**said, "working_folder": "", "manifests": [RUN, *listed]},
        "files": {
            path.relative_to(folder).as_posix(): short(path.read_bytes())
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in NOT_HASHED and path.relative_to(folder).as_posix() not in manifests
        },
        "manifests": {name: _manifest(folder / name) for name in [*listed, *others]},
        "catalog": {name: table for name, table in _catalog(folder / "catalog.duckdb")},
        "report": re.findall(r"<(h[1-4])[^>]*>\s*([^<]*?)\s*<", (folder / "report.html").read_text()),
        "card": _card((folder / "README.md").read_text()),
        "croissant": sorted(set(_keys(json.loads((folder / "croissant.json").read_text())))),
    }


def is_manifest(path: Path) -> bool:
    """Return whether a Parquet file is a manifest; else it is a shard of rows."""
    return HEAD in (pq.read_metadata(path).metadata or {})


def short(content: bytes) -> str:
    """Return the first digits of SHA-256: enough to see a change."""
    return hashlib.sha256(content).hexdigest()[:12]


def cells(rows: Sequence[Mapping[str, Any]], column: str) -> str:
    """Return the hash of one column."""
    return short("\n".join(text(row[column]) for row in rows).encode())


def text(value: Any) -> str:
    """Return a value as JSON; floats to their last bit, times and NaN as Python writes them."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _manifest(path: Path) -> Snapshot:
    """Return a manifest's head and rows; the attempt that wrote it (host, seconds, threads) stays out."""
    table = pq.read_table(path)
    head = json.loads(table.schema.metadata[HEAD])
    if head["stage"] == TIMED:
        del head["settings"]["seconds"], head["content_sha256"]
    types = {field.name: str(field.type) for field in table.schema}
    return {
        "head": {key: short(text(value).encode()) for key, value in head.items()},
        **_table(table.to_pylist(), types),
    }


def _catalog(path: Path) -> Iterator[tuple[str, Snapshot]]:
    """Yield every table and view; rows in the order of their text, since a table has none of its own."""
    with duckdb.connect(str(path), read_only=True, config={"threads": 1}) as con:
        names = con.execute("SELECT table_name FROM information_schema.tables ORDER BY table_name").fetchall()
        for (name,) in names:
            answer = con.execute(f'SELECT * FROM "{name}"')
            types = {column[0]: str(column[1]) for column in answer.description}
            rows = [dict(zip(types, row, strict=True)) for row in answer.fetchall()]
            kept = [row for row in rows if row.get("stage") not in ("run", TIMED)]
            yield name, _table(kept, types, NOT_COMPARED.get(name, set()), ordered=False)


def _table(
    rows: Sequence[Mapping[str, Any]], types: Mapping[str, str], without: set[str] | None = None, ordered: bool = True
) -> Snapshot:
    columns = [name for name in types if name not in (without or ())]
    compared = [{name: row[name] for name in columns} for row in rows]
    if not ordered:
        compared.sort(key=text)
    return {
        "types": dict(types),
        "columns": {name: cells(compared, name) for name in columns},
        "count": len(compared),
        "rows": "".join(short(text(row).encode())[:ROW_DIGITS] for row in compared[:ROWS]),
    }


def _card(card: str) -> list[str]:
    """Return the keys of the card's front matter, and its headings."""
    _, front, body = card.split("---\n", 2)
    return [*_keys(yaml.safe_load(front)), *re.findall(r"^#+ .*$", body, re.MULTILINE)]


def _keys(value: Any, where: str = "") -> Iterator[str]:
    """Yield the paths of all keys in nested data; a list's items count as one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{where}/{key}"
            yield from _keys(inner, f"{where}/{key}")
    elif isinstance(value, list):
        yield from dict.fromkeys(path for inner in value for path in _keys(inner, where))
