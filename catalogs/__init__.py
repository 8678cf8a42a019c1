"""Manifests, the DuckDB catalog made from them, what is asked of it, and cohorts of records.

Imports neither torch nor Beam. Others use ``manifests`` to write and read what is committed, ``database`` to open a
catalog, ``questions`` to ask it, ``cohorts`` for tables of people, and ``errors.CatalogError``.
"""
