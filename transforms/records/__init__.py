"""Rows of a table: sampled, scored, and copied into curated shards.

Others use ``sample.SampleRows``, ``score.ScoreRows`` and ``curate.WriteCuratedRows``.
"""
