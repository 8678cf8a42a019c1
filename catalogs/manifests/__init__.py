"""Parquet manifests, their schemas, and the identity of samples and tasks."""
