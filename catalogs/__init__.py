"""Manifests, the DuckDB catalog over them, and cohorts. Imports neither torch nor Beam."""
