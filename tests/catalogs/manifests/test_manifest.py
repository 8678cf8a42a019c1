"""The manifest: what is written is read back, a changed row is found, timings don't count."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairshards.catalogs.manifests.manifest import (
    HEAD_KEY,
    Head,
    ManifestError,
    Shard,
    encode,
    read_attempt,
    read_head,
    read_range,
    read_rows,
    write_local,
)
from fairshards.catalogs.manifests.schemas import SCHEMAS
from fairshards.transforms.shards import commit, storage
from fairshards.transforms.shards.task import ShardTask
from tests.catalogs.small_run import plan_rows, raw_rows

HEAD = Head("generate", "g-0", "h" * 64, "f", ("i1", "i2"), Shard("g-0.tar", "s" * 64, 10, 2), {"k": [1]})
ROWS = raw_rows(plan_rows(0, 0, 5), "g-0.tar", bad=2)


def test_head_rows_and_attempt_come_back() -> None:
    data, sealed = encode(HEAD, ROWS, {"seconds": 1.5})
    head, rows = read_rows(data)
    assert head == sealed == read_head(data)
    assert replace(head, content_sha256="") == HEAD
    assert [row["sample_id"] for row in rows] == [row["sample_id"] for row in ROWS]
    assert rows[2]["shard"] is None and rows[2]["reason"] == "nan_image"
    assert read_attempt(data) == {"seconds": 1.5}


def test_the_content_hash_covers_rows_and_head_but_no_timings() -> None:
    _, sealed = encode(HEAD, ROWS, {"seconds": 1.5})
    assert encode(HEAD, ROWS, {"seconds": 9.0}, row_group=2)[1] == sealed
    assert encode(replace(HEAD, task="other"), ROWS, {})[1].content_sha256 != sealed.content_sha256
    assert encode(HEAD, ROWS[:-1], {})[1].content_sha256 != sealed.content_sha256


def test_a_changed_row_is_found(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    write_local(path, encode(HEAD, ROWS, {})[0])
    table = pq.read_table(path)
    column = pa.array([1.0] * len(ROWS))
    pq.write_table(
        table.set_column(table.schema.get_field_index("trajectory_variance"), "trajectory_variance", column), path
    )
    with pytest.raises(ManifestError, match="changed after its commit"):
        read_rows(path)


def test_one_flipped_byte_is_harmless_or_named(tmp_path: Path) -> None:
    """Every read of a damaged file equals the original's or is a ManifestError with the file's name."""
    data, _ = encode(HEAD, ROWS, {"seconds": 1.5}, row_group=2)
    intact, path, rng = read_rows(data), tmp_path / "hurt.parquet", random.Random(0)
    for place in [*range(len(data) - 40, len(data), 4), *rng.sample(range(len(data)), 40)]:
        hurt = bytearray(data)
        hurt[place] ^= rng.randrange(1, 256)
        path.write_bytes(hurt)
        for read in (read_rows, read_head, read_attempt, lambda file: read_range(file, 0, 3)):
            try:
                found = read(path)
            except ManifestError as error:
                assert "hurt.parquet" in str(error)
            else:
                assert read is not read_rows or found == intact


def test_a_missing_file_is_told_as_before(tmp_path: Path) -> None:
    for read in (read_rows, read_head, read_attempt):
        with pytest.raises(ManifestError, match=r"gone\.parquet"):
            read(tmp_path / "gone.parquet")
    with pytest.raises(FileNotFoundError):
        read_range(tmp_path / "gone.parquet", 0, 1)


@pytest.mark.parametrize("row_group", [1, 2, 3, 4096])
def test_a_range_of_rows(row_group: int, tmp_path: Path) -> None:
    data, _ = encode(HEAD, ROWS, {}, row_group)
    write_local(tmp_path / "m.parquet", data)
    for start in range(6):
        for stop in range(start, 6):
            found = [row["sample_id"] for row in read_range(data, start, stop)]
            assert found == [row["sample_id"] for row in ROWS[start:stop]]
            assert read_range(tmp_path / "m.parquet", start, stop) == read_range(data, start, stop)


@pytest.mark.parametrize("local", [True, False])
def test_a_task_on_this_file_system_does_not_read_the_whole_plan(
    local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, _ = encode(HEAD, ROWS, {}, row_group=1)
    write_local(tmp_path / "plan.parquet", data)
    read_whole: list[str] = []
    monkeypatch.setattr(storage, "is_local", lambda path: local)
    monkeypatch.setattr(storage, "read", lambda path: read_whole.append(path) or data)
    task = ShardTask("generate", "g-0", "0" * 64, str(tmp_path), "raw", "plan.parquet", 1, 3)
    assert [row["sample_id"] for row in commit.read_task_rows(task)] == [row["sample_id"] for row in ROWS[1:3]]
    assert len(read_whole) == (0 if local else 1)


def test_a_column_that_came_later_is_none_in_an_older_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    today = SCHEMAS["generate"]
    older = pa.schema([field for field in today if field.name != "trajectory_variance"])
    rows = [{name: value for name, value in row.items() if name != "trajectory_variance"} for row in ROWS]
    with monkeypatch.context() as then:
        then.setitem(SCHEMAS, "generate", older)
        data, sealed = encode(HEAD, rows, {})
    head, found = read_rows(data)
    assert head == sealed and {row["trajectory_variance"] for row in found} == {None}
    assert [row["sample_id"] for row in found] == [row["sample_id"] for row in ROWS]
    table = pq.read_table(pa.BufferReader(data))
    hurt = table.set_column(0, "sample_id", pa.array(["x"] * len(rows)))
    sink = pa.BufferOutputStream()
    pq.write_table(hurt, sink)
    with pytest.raises(ManifestError, match="changed after its commit"):
        read_rows(sink.getvalue().to_pybytes())


def test_no_rows() -> None:
    assert read_rows(encode(HEAD, [], {})[0])[1] == []


def test_an_unknown_column_and_another_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no column \['colour'\]"):
        encode(HEAD, [{"sample_id": "a", "colour": "red"}], {})
    data, _ = encode(HEAD, ROWS, {})
    table = pq.read_table(pa.BufferReader(data))
    meta = {HEAD_KEY: json.dumps({"format": 99}).encode()}
    pq.write_table(table.replace_schema_metadata(meta), tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match="another manifest format"):
        read_head(tmp_path / "m.parquet")


def test_a_local_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_local(tmp_path / "new" / "m.parquet", b"x")
    write_local(tmp_path / "new" / "m.parquet", b"y")
    assert [(file.name, file.read_bytes()) for file in (tmp_path / "new").iterdir()] == [("m.parquet", b"y")]


def test_a_private_file_is_private_from_its_first_byte_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed between writing and renaming leaves nothing that others can read."""
    modes: list[int] = []
    plain = os.replace

    def spied(one: Path, other: Path) -> None:
        modes.append(one.stat().st_mode & 0o777)
        plain(one, other)

    monkeypatch.setattr(os, "replace", spied)
    write_local(tmp_path / "rows.parquet", b"patients", 0o600)
    assert modes == [0o600] == [(tmp_path / "rows.parquet").stat().st_mode & 0o777]
    write_local(tmp_path / "manifest.parquet", b"counts")
    assert (tmp_path / "manifest.parquet").stat().st_mode & 0o600 == 0o600
