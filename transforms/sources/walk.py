"""Every file below a dataset's folder, once: links are followed, loops and hidden files left out by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from fairshards.transforms.shards import storage

SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")
"""Folders that systems leave in datasets, with copies or thumbnails of pictures in them."""
RUN_LOCK = ".driver.lock"
"""A folder that holds this is a run's, not part of the dataset."""
LONGEST_LINK = 1024

_Folders = frozenset[tuple[int, int]]


@dataclass
class Found:
    """The files below a folder, relative to it and sorted, and what else is there.

    Attributes:
        files: What may be part of the dataset; a broken link counts as a file, which then can't be read.
        hidden: Files with a name, or in a folder, that begins with a dot or is a system's own.
        ignored: (rule, name) of what is no file: links that lead back to a folder around them, devices, a run folder
            with all that is in it, links that are written as text, of which the folder is read.
        broken: Links to nothing.
        unlisted: Folders that can't be read, with the reason.
        elsewhere: Where a file lies that is reached through a link written as text, relative to the folder.
    """

    files: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    unlisted: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)


def is_hidden(name: str) -> bool:
    """Tell whether a file or a folder on its path is hidden, or a system's own."""
    return any((part.startswith(".") and part not in (".", "..")) or part in SYSTEM_FOLDERS for part in name.split("/"))


def walk(root: str) -> Found:
    """Return what lies below ``root``, a folder or a prefix of an object store."""
    found = Found()
    if storage.is_local(root):
        for name in _local(root, found):
            (found.hidden if is_hidden(name) else found.files).append(name)
    else:
        for name in storage.matching_below(root, "**"):
            (found.hidden if is_hidden(name) else found.files).append(name)
    found.files.sort()
    return found


def _local(root: str, found: Found) -> Iterator[str]:
    """Yield the files below ``root``. A folder that stands among those around it is a loop and isn't entered."""
    waiting: list[tuple[str, str, _Folders]] = [("", root, frozenset())]
    while waiting:
        name, path, around = waiting.pop()
        try:
            status = os.stat(path)
            entries = list(os.scandir(path))
        except OSError as error:
            found.unlisted[name] = error.strerror or type(error).__name__
            continue
        if (status.st_dev, status.st_ino) in around:
            found.ignored.append(("link_loop", name))
            continue
        if name and any(entry.name == RUN_LOCK for entry in entries):
            found.ignored.append(("run_folder", name))
            continue
        inside = around | {(status.st_dev, status.st_ino)}
        for entry in entries:
            below = f"{name}/{entry.name}" if name else entry.name
            kind = _kind(entry)
            if kind == "folder":
                waiting.append((below, entry.path, inside))
            elif kind == "file":
                target = _link_text(entry)
                if target:
                    found.ignored.append(("link_text", below))
                    waiting.append((below, target, inside))
                else:
                    if entry.path != os.path.join(root, below):
                        found.elsewhere[below] = os.path.relpath(entry.path, root)
                    yield below
            elif kind == "broken":
                found.broken.add(below)
                yield below
            else:
                found.ignored.append(("no_file", below))


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError:  # a link to itself
        return "broken"
    return "broken" if entry.is_symlink() else "other"


def _link_text(entry: os.DirEntry[str]) -> str | None:
    """Return the folder that a link leads to which Git or an archive has written as a small text file, else None."""
    if "." in entry.name or entry.stat().st_size > LONGEST_LINK:
        return None
    try:
        with open(entry.path, encoding="utf-8") as file:
            text = file.read().strip()
    except (OSError, UnicodeError):
        return None
    target = os.path.join(os.path.dirname(entry.path), text)
    return target if "/" in text and "\n" not in text and "\0" not in text and os.path.isdir(target) else None
