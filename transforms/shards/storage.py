"""Reading and publishing files where the run folder lies, local or not, through Beam's FileSystems."""

from __future__ import annotations

import os
import re
from pathlib import Path

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from fairshards.catalogs.manifests.manifest import write_local


def is_local(path: str) -> bool:
    """Tell whether ``path`` is on this machine's file system (it has no ``scheme://``)."""
    return "://" not in path


def join(root: str, *parts: str) -> str:
    """Return ``root`` and ``parts`` as one path of the root's file system; a part may go up, as ``../edits/x.tar``."""
    joined = str(FileSystems.join(root, *parts)) if parts else root
    return re.sub(r"(?<![^/])(?!\.\./)[^/]+/\.\./", "", joined)  # an object store takes ".." for a name


def exists(path: str) -> bool:
    """Tell whether a file is there."""
    return os.path.exists(path) if is_local(path) else bool(FileSystems.exists(path))


def read(path: str) -> bytes:
    """Return a file's bytes.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if is_local(path):
        return Path(path).read_bytes()
    if not FileSystems.exists(path):
        raise FileNotFoundError(path)
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return bytes(file.read())


def publish(path: str, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing.

    On a file system: a temporary name, fsync, rename. On an object store an object appears when its
    upload is closed, which is the same promise.

    Raises:
        OSError: the disk is full or can't be written; nothing is left under the final name.
    """
    if not is_local(path):
        with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(data)
        return
    write_local(Path(path), data)


def matching_below(root: str, pattern: str) -> list[str]:
    """Return the paths below ``root`` that match a glob pattern, relative to it and sorted; ``root`` is no pattern."""
    prefix = root.rstrip("/") + "/"
    (found,) = FileSystems.match([re.sub(r"[*?[]", "?", prefix) + pattern])  # Beam's patterns can't quote a sign
    paths = sorted(entry.path for entry in found.metadata_list)
    return [path.removeprefix(prefix) for path in paths if path.startswith(prefix)]
