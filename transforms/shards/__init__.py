"""Shard tasks, their commits, and the tars and stores that hold them.

Start at ``task.ShardTask`` and ``commit.commit``. Others use ``tars`` to write and read samples, ``storage`` for
files wherever they are, and ``embeddings`` for what scoring left beside its manifests.
"""
