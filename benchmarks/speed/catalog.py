"""How fast does the catalog ingest manifests, against a bare INSERT ... SELECT FROM read_parquet?

    python -m benchmarks.speed.catalog                        1,000,000 rows in 20 manifests, about half a minute
    python -m benchmarks.speed.catalog --manifests 2000       many small ones: what a transaction each costs

Both read the same files into a fresh DuckDB file. The catalog also keeps each row's manifest, commits one
transaction a manifest, and checks that ids are unique. Then: a sync that finds nothing new, and the view
of group balance over a plan of as many rows. Of --repeat runs, the one with the least CPU time counts; the
ratio is of CPU times, which other work on the machine moves less.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from fairshards.catalogs.database.catalog import CATALOG, Catalog, SyncReport
from fairshards.catalogs.manifests.identity import canonical_json, digest
from fairshards.catalogs.manifests.manifest import ATTEMPT_KEY, FORMAT, HEAD_KEY, Head
from fairshards.catalogs.manifests.schemas import SCHEMAS
from fairshards.pipeline.run.progress import Reporter

ROWS = {
    "plan": """SELECT md5(i::VARCHAR) AS sample_id, i AS noise_seed, 'text-to-image' AS kind, 0 AS round,
        't' || i // 256 AS task, i AS replicate, i % 2 AS y, 'class' || i % 2 AS class_name, i // 2 % 2 AS b,
        'bias' || i // 2 % 2 AS bias_name, 'class' || i % 2 || '|bias' || i // 2 % 2 AS group_name,
        'a photo of a class' || i % 2 AS prompt, '' AS negative_prompt, 7.5 AS guidance_scale, 20 AS steps,
        64 AS height, 64 AS width, 0.0 AS eta, 'pocket' AS generator,
        repeat('f', 64) AS generator_fingerprint, '{}' AS settings, NULL AS negatives, NULL AS spurious""",
    "generate": """SELECT md5(i::VARCHAR) AS sample_id, 'shard.tar' AS shard, i * 1536 AS "offset",
        900 AS size, sha256(i::VARCHAR) AS image_sha256, 64 AS width, 64 AS height, random() AS trajectory_variance,
        'ok' AS status, NULL AS reason, NULL AS detail, NULL AS preview_step, NULL AS preview_clip_alignment,
        NULL AS preview_judge_class, NULL AS preview_judge_bias""",
    "score": """SELECT md5(i::VARCHAR) AS sample_id, 'clip_alignment' AS score, random() AS value,
        NULL AS label, 'ok' AS status, NULL AS reason, NULL AS detail""",
}


def main() -> None:
    """Make the manifests, time both ways, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--manifests", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    table = Table(title=f"{options.rows:,} rows in {options.manifests} manifests; seconds: wall (CPU)")
    columns = ("stage", "bare INSERT", "catalog sync", "rows/s", "ratio of CPU", "sync again", "balance")
    for column in columns:
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage in ROWS:
        Reporter().say(f"{stage}: {options.rows:,} rows, {options.repeat} repeats")
        with tempfile.TemporaryDirectory() as folder:
            table.add_row(*measure(stage, Path(folder), options.rows, options.manifests, options.repeat))
    Console().print(table)


def measure(stage: str, folder: Path, rows: int, manifests: int, repeat: int) -> list[str]:
    """Return the table's row of one stage."""
    names = [write(stage, folder, part, rows, manifests) for part in range(manifests)]
    bare = min(timed(lambda: insert_bare(folder, names)) for _ in range(repeat))
    full = min(timed(lambda: sync_new(folder, names)) for _ in range(repeat))
    again = timed(lambda: sync(folder, names))
    balance = _said(timed(lambda: balance_of(folder))) if stage == "plan" else ""
    rate = f"{rows / full[1]:,.0f}"
    return [stage, _said(bare), _said(full), rate, f"{full[0] / bare[0]:.2f}", _said(again), balance]


def write(stage: str, folder: Path, part: int, rows: int, manifests: int) -> str:
    """Write one manifest without hashing its rows, which the catalog doesn't check, and return its name."""
    start, stop = rows * part // manifests, rows * (part + 1) // manifests
    found = duckdb.sql(f"{ROWS[stage]} FROM range({start}, {stop}) AS r(i)").to_arrow_table()
    head = Head(stage, f"part-{part}", digest(part), content_sha256=digest([stage, part, rows]))
    metadata = {
        HEAD_KEY: canonical_json({**asdict(head), "format": FORMAT}).encode(),
        ATTEMPT_KEY: json.dumps({"seconds": 1.0}).encode(),
    }
    cast = found.select(SCHEMAS[stage].names).cast(SCHEMAS[stage]).replace_schema_metadata(metadata)
    pq.write_table(cast, folder / f"part-{part}.parquet", compression="zstd")
    return f"part-{part}.parquet"


def insert_bare(folder: Path, names: list[str]) -> None:
    """Insert all columns of the files into one table, a statement a file."""
    (folder / "bare.duckdb").unlink(missing_ok=True)
    with duckdb.connect(str(folder / "bare.duckdb")) as con:
        con.execute(f"CREATE TABLE t AS SELECT * FROM read_parquet('{folder / names[0]}') LIMIT 0")
        for name in names:
            con.execute(f"INSERT INTO t SELECT * FROM read_parquet('{folder / name}')")


def sync_new(folder: Path, names: list[str]) -> SyncReport:
    """Ingest the manifests into a new catalog."""
    (folder / CATALOG).unlink(missing_ok=True)
    return sync(folder, names)


def sync(folder: Path, names: list[str]) -> SyncReport:
    """Sync the catalog with the manifests."""
    with Catalog.open(folder, "write") as catalog:
        return catalog.sync(names)


def balance_of(folder: Path) -> None:
    """Ask for the group balance."""
    with Catalog.open(folder) as catalog:
        catalog.con.execute("FROM group_balance").fetchall()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU seconds and the wall seconds that ``work`` takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _said(seconds: tuple[float, float]) -> str:
    return f"{seconds[1]:.2f} ({seconds[0]:.2f})"


if __name__ == "__main__":
    main()
