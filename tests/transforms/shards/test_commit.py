"""The commit: the manifest is the only commit point, and half a commit is none."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fairshards.transforms.shards import commit, storage
from fairshards.transforms.shards.task import ShardTask

ROWS = [{"sample_id": "a", "status": "ok"}, {"sample_id": "b", "status": "reject", "reason": "nan_image"}]


def task(run: Path, hashed: str = "ab" * 32) -> ShardTask:
    return ShardTask("generate", "landbird-water-0001", hashed, str(run), "raw", "plan/p.parquet", 0, 2)


def committed(run: Path, seconds: float = 1.0) -> commit.TaskRecord:
    shard = commit.publish_shard(task(run), b"tar bytes", 1)
    return commit.commit(task(run), commit.Made(ROWS, shard), "f", {"seconds": seconds})


def test_a_committed_task_is_found_with_its_counts(tmp_path: Path) -> None:
    assert commit.find(task(tmp_path)) is None
    record = committed(tmp_path)
    assert commit.find(task(tmp_path)) == record
    assert (record.samples, record.rejects, record.manifest) == (1, 1, "raw/landbird-water-0001-abababababab.parquet")


def test_another_hash_with_the_same_first_digits_is_not_done(tmp_path: Path) -> None:
    committed(tmp_path)
    assert commit.find(task(tmp_path, "ab" * 31 + "cd")) is None


def test_a_tar_without_a_manifest_is_not_done(tmp_path: Path) -> None:
    commit.publish_shard(task(tmp_path), b"tar bytes", 1)
    assert commit.find(task(tmp_path)) is None


@pytest.mark.parametrize("damage", [lambda tar: tar.unlink(), lambda tar: tar.write_bytes(b"short")])
def test_a_manifest_whose_tar_is_gone_or_cut_is_not_done(tmp_path: Path, damage: object) -> None:
    committed(tmp_path)
    damage(next((tmp_path / "raw").glob("*.tar")))  # type: ignore[operator]
    assert commit.find(task(tmp_path)) is None


def test_timings_are_outside_the_content(tmp_path: Path) -> None:
    assert committed(tmp_path / "one", 1.0).content_sha256 == committed(tmp_path / "two", 99.0).content_sha256


def test_a_full_disk_raises_and_leaves_nothing_under_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        storage.publish(str(tmp_path / "raw" / "x.tar"), b"data")
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_disk_that_is_really_full_raises_too() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError) as error, open("/dev/full", "wb") as file:
        file.write(b"x" * 10_000)
        file.flush()
    assert error.value.errno == errno.ENOSPC


def test_rows_of_a_task_are_read_by_range(tmp_path: Path) -> None:
    from fairshards.catalogs.manifests import manifest
    from fairshards.catalogs.manifests.manifest import Head

    rows = [{"sample_id": f"{number}", "task": "t", "replicate": number} for number in range(10)]
    data, _ = manifest.encode(Head("plan", "p", "0" * 64), rows, {}, row_group=3)
    manifest.write_local(tmp_path / "plan/p.parquet", data)
    ranged = replace(task(tmp_path), start=4, stop=8)
    assert [row["replicate"] for row in commit.read_task_rows(ranged)] == [4, 5, 6, 7]
    assert commit.read_task_rows(replace(ranged, start=9, stop=10))[0]["sample_id"] == "9"


def test_a_name_that_goes_up_is_one_path() -> None:
    assert storage.join("/run", "raw", "../edits/x.tar") == "/run/edits/x.tar"
    assert storage.join("../run", "raw", "x.tar") == "../run/raw/x.tar"
