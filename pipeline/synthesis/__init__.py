"""Rounds of plan, generate, score and decide until each group has its quota; then curated shards.

Others give a ``making.Making`` to ``rounds.synthesis_stage``, then use ``curate.curation_stage``. ``decide`` is a
plain function over scores; ``calibrate`` and ``compare`` make what it needs of real pictures.
"""
