"""Shard tasks, their commits, and the tars and stores that hold them. Start at ``task`` and ``commit``."""
