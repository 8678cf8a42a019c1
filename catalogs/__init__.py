"""DuckDB catalog, Parquet manifests and sample identity. Imports neither torch nor Beam."""
