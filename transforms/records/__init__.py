"""Rows of a table: sampled, scored, and copied into curated shards.

Others use ``stages.SampleRows``, ``stages.ScoreRows`` and ``stages.WriteCuratedRows``.
"""
