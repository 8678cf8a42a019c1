"""The DuckDB catalog: made from manifests, synced, and written by one process at a time.

Others use ``current.open_current`` to ask it, which brings it up to date or answers from a snapshot,
``catalog.Catalog`` to sync it, and ``statements`` for the SQL files.
"""
