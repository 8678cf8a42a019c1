"""What is made from patients is its owner's alone: files 0600 and folders 0700, whoever of the process makes them.

Beam, DuckDB and torch write files of their own, temporary ones too, and a killed process leaves them behind; so the
permissions are taken from the process itself and from the run's folder, and not from each file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

OTHERS = 0o077
"""The permissions of everybody but the owner."""


@contextlib.contextmanager
def own_files() -> Iterator[None]:
    """Make what this process and its children create meanwhile readable to their owner alone."""
    before = os.umask(OTHERS)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def own_folder(root: Path) -> Iterator[bool]:
    """Close a folder to others, so that nobody reads what an earlier version left in it, and do as ``own_files``.

    Yields:
        Whether it is closed; a file system without permissions, or a folder that is somebody else's, stays open.
    """
    root.mkdir(parents=True, exist_ok=True)
    with own_files():
        if root.stat().st_mode & OTHERS:
            with contextlib.suppress(OSError):
                root.chmod(root.stat().st_mode & ~OTHERS)
        yield not root.stat().st_mode & OTHERS
