"""The DuckDB catalog: made from manifests, synced, and opened by one process at a time."""
