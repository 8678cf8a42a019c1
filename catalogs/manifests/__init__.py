"""Parquet manifests, their schemas, and the identity of samples and tasks.

Others use ``manifest`` to write and read them, ``identity`` for ids, seeds and hashes, and ``schemas.SCHEMAS``, where
the columns of every stage are declared.
"""
