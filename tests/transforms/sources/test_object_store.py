"""Datasets in an object store: the readers give what they give for the same files on a disk."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from apache_beam.io.filesystem import FileMetadata, FileSystem

from fairshards.transforms.sources import ImageFolderReader, MetadataCsvReader, SourceReader, WebDatasetReader
from tests.transforms.dataset import TABLE, Read, bird, tar_of, tree

OBJECTS: dict[str, bytes] = {}
STORE = "heldinmemory://bucket"


class Store(FileSystem):  # type: ignore[misc]
    """As little of an object store as reading needs."""

    copy = create = delete = mkdirs = rename = checksum = last_updated = split = None

    @classmethod
    def scheme(cls) -> str:
        return STORE.partition(":")[0]

    def join(self, base: str, *parts: str) -> str:
        return "/".join([base.rstrip("/"), *parts])

    def has_dirs(self) -> bool:
        return False

    def exists(self, path: str) -> bool:
        return path in OBJECTS

    def open(self, path: str, *args: Any, **kwargs: Any) -> BinaryIO:
        return io.BytesIO(OBJECTS[path])

    def size(self, path: str) -> int:
        return len(OBJECTS[path])

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path))

    def _list(self, begin: str) -> Iterator[FileMetadata]:
        return (self.metadata(path) for path in OBJECTS if path.startswith(begin))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Datasets on a disk, which are in the store too."""
    disk = tmp_path_factory.mktemp("datasets")
    tree(disk / "tree [1]", [f"train/{y}/land/{n}.png" for y in ("landbird", "waterbird") for n in (0, 1)])
    tree(disk / "tree [1]", {"train/.hidden/0.png": b"", "train/gull/land/0.PNG": b"x", "notes.txt": b""})
    tree(disk / "table", ["a/0.png", "a/1.png", "b.png"])
    tree(disk / "table", {"metadata.csv": f"{TABLE}a/0.png,0,0,0,x\na\\1.png,1,0,1,x\ngone.png,1,0,1,z\n".encode()})
    tar_of(disk / "tars" / "train-0.tar", bird("a"))
    tar_of(disk / "tars" / "sub" / "b-1.tar", bird("a"))
    files = (path for path in disk.rglob("*") if path.is_file())
    OBJECTS.update({f"{STORE}/{path.relative_to(disk).as_posix()}": path.read_bytes() for path in files})
    yield disk
    OBJECTS.clear()


@pytest.mark.parametrize(
    ("kind", "name", "options", "keys"),
    [
        (ImageFolderReader, "tree [1]", {}, 4),
        (MetadataCsvReader, "table", {}, 2),
        (WebDatasetReader, "tars", {}, 1),
        (WebDatasetReader, "tars", {"splits": {"train": ["train-{0..0}.tar", "sub/*.tar"]}}, 2),
    ],
)
def test_an_object_store_is_read_as_a_disk_is(
    disk: Path, tmp_path: Path, kind: type[SourceReader], name: str, options: dict[str, Any], keys: int
) -> None:
    near, far = (
        Read(kind(f"{place}/{name}", **options), tmp_path / str(number))  # type: ignore[call-arg]
        for number, place in enumerate((disk, STORE))
    )
    assert (far.good, far.reasons, far.ignored) == (near.good, near.reasons, near.ignored)
    assert [work.task.task_hash for work in far.works] == [work.task.task_hash for work in near.works]
    assert len(far.good) == keys
