"""A catalog that is what run.json lists: the run's own file, or a snapshot where that file can't be had.

The catalog is derived from the manifests. So whoever holds it keeps nobody from an answer, and nothing that is wrong
with the file ends what only reads it.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fairshards.catalogs.database import connection
from fairshards.catalogs.database.catalog import CATALOG, RUN_JSON, Catalog, current_manifests
from fairshards.catalogs.database.sync import Progress
from fairshards.catalogs.errors import CatalogBusy, CatalogError, CatalogMissing, CatalogOutdated

WAIT = 2.0
"""Seconds to wait for a catalog that somebody holds: a sync of ours is done by then, a person's look at it isn't."""

Say = Callable[[str], None]


def open_current(
    run_dir: str | Path, wait: float = WAIT, progress: Progress | None = None, say: Say | None = None
) -> Catalog:
    """Open the catalog for reading, made first where it is missing or outdated, synced where it is behind.

    Where that can't be done, since somebody holds the file, it is damaged, or the folder can't be written, the answer
    comes from a snapshot that is made from the manifests; ``say`` gets a line with the reason. A folder with a
    catalog and no run.json is taken as it is.

    Raises:
        CatalogMissing: there is neither a catalog nor run.json.
        ManifestError: as ``Catalog.sync``.
        CatalogError: a catalog without run.json can't be opened, or there is no room for a snapshot.
    """
    if _stands_alone(Path(run_dir)):
        return Catalog.open(run_dir, "read", wait)
    names = current_manifests(run_dir)
    try:
        return _open_in_place(run_dir, names, wait, progress)
    except CatalogError as error:
        if say:
            say(f"{why(error)}; this answer comes from the run's manifests")
        return _snapshot(Path(run_dir).resolve(), names, progress)


def ensure_current(run_dir: str | Path, wait: float = WAIT, progress: Progress | None = None) -> None:
    """Make the catalog reflect run.json and leave it closed.

    Raises:
        CatalogError, ManifestError: as ``Catalog.open`` and ``Catalog.sync``.
    """
    if not _stands_alone(Path(run_dir)):
        _open_in_place(run_dir, current_manifests(run_dir), wait, progress).close()


def why(error: CatalogError) -> str:
    """Return what keeps the catalog, without the advice to wait: nobody has to."""
    return str(error).partition(";")[0] if isinstance(error, CatalogBusy) else str(error)


def _stands_alone(run_dir: Path) -> bool:
    return (run_dir / CATALOG).exists() and not (run_dir / RUN_JSON).exists()


def _open_in_place(run_dir: str | Path, names: Sequence[str], wait: float, progress: Progress | None) -> Catalog:
    with contextlib.suppress(CatalogMissing, CatalogOutdated):
        catalog = Catalog.open(run_dir, "read", wait)
        if catalog.is_current(names):
            return catalog
        catalog.close()
    with Catalog.open(run_dir, "write", wait) as catalog:
        catalog.sync(names, progress)
    return Catalog.open(run_dir, "read", wait)


def _snapshot(root: Path, names: Sequence[str], progress: Progress | None) -> Catalog:
    """Return a catalog of this process's own: a copy of the run's where that can be read, brought up to date.

    Its file has no name any more when it is returned, so that nothing is left of it, however this process ends.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="fairshards-") as folder:
            own = Path(folder) / CATALOG
            with contextlib.suppress(CatalogError), Catalog.open(root, "read"):  # a reader keeps writers out meanwhile
                connection.copy(root / CATALOG, own)
            if not own.exists():
                connection.create(own)
            with Catalog(root, "write", connection.connect(own, read_only=False), own) as catalog:
                catalog.sync(names, progress)
            return Catalog(root, "read", connection.connect(own, read_only=True), own)
    except OSError as error:
        raise CatalogError(
            f"can't make a snapshot of the catalog in {tempfile.gettempdir()}: {error}; set TMPDIR to a "
            "folder with room"
        ) from error
