"""The manifest: what is written is read back, a changed row is found, timings don't count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalogs.manifest import (
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


@pytest.mark.parametrize("row_group", [1, 2, 3, 4096])
def test_a_range_of_rows(row_group: int) -> None:
    data, _ = encode(HEAD, ROWS, {}, row_group)
    for start in range(6):
        for stop in range(start, 6):
            found = [row["sample_id"] for row in read_range(data, start, stop)]
            assert found == [row["sample_id"] for row in ROWS[start:stop]]


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
