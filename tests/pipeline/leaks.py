"""The search for patients' values: in every file that a run leaves, decoded, and in all that an exception says."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

PLANTED = "ZZPLANTED77"
"""A word of one patient."""
NUMBER = 987654321.5
"""A number of one patient."""
VALUES = (PLANTED, str(NUMBER), str(int(NUMBER)), "ZZ PLANTED LINE")


def leaks(root: Path, besides: Collection[Path] = (), values: Iterable[str] = VALUES) -> list[str]:
    """Return where a file below ``root`` holds one of the values: its bytes, and what Parquet and DuckDB decode to."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and path not in besides:
            texts = [path.read_bytes().decode("latin-1"), *_decoded(path)]
            found += [f"{path.relative_to(root)}: {value}" for value in values if any(value in one for one in texts)]
    return found


def open_to_others(root: Path) -> list[str]:
    """Return what below ``root``, itself included, is not its owner's alone."""
    return [
        f"{path} {path.stat().st_mode & 0o777:o}" for path in (root, *root.rglob("*")) if path.stat().st_mode & 0o077
    ]


def spoken(error: BaseException | None) -> str:
    """Return all that an exception says: text, arguments and notes, its own and those of its causes and contexts."""
    said, seen = [], set()
    todo = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        said += [str(one), repr(one.args), *getattr(one, "__notes__", ())]
        todo += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return "\n".join(said)


def _decoded(path: Path) -> Iterator[str]:
    """Yield what a compressed file says once it is read; a temporary one too, whatever its name."""
    head = path.read_bytes()[:12]
    if head[:4] == b"PAR1" and path.read_bytes()[-4:] == b"PAR1":
        table = pq.read_table(path)
        yield json.dumps(table.to_pylist(), default=str)
        yield json.dumps([*map(bytes.decode, (table.schema.metadata or {}).values())], ensure_ascii=False)
    elif head[8:12] == b"DUCK" and not path.name.endswith(".wal"):
        with duckdb.connect(str(path), read_only=True) as con:
            for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                yield json.dumps(con.execute(f'FROM "{name}"').fetchall(), default=str)
