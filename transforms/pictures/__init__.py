"""Pictures: generated, scored, and copied into curated shards.

Others use ``generate.Generate``, ``score.Score``, ``score_real.ScoreReal`` and ``curate.WriteCurated`` with the specs
in ``specs``.
"""
