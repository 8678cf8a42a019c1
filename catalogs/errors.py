"""What can go wrong with a catalog, as errors whose message says what to do."""

from __future__ import annotations


class CatalogError(Exception):
    """The catalog can't do what was asked; the message says why and how to go on."""


class CatalogBusy(CatalogError):
    """Another process, or another connection of this one, holds the catalog. ``pid`` is the holder's."""

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class CatalogMissing(CatalogError):
    """The run folder has no catalog yet, or no run.json to make one from."""


class CatalogUnreadable(CatalogError):
    """The catalog file is damaged, or isn't ours. It may be deleted: it is rebuilt from the manifests."""


class CatalogOutdated(CatalogError):
    """The catalog was made by another version of the SQL files; a writer makes it again."""


class QueryError(CatalogError):
    """A query is unknown, wrong, or tries to write."""


class SampleError(CatalogError):
    """No sample, or more than one, has the id that was asked for."""
