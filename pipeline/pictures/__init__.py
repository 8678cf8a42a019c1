"""What is particular to pictures: their source, their models, the checks before them, the trainings after.

Others use ``source.source_stage`` and ``judge.training_stage``, and ``models`` for what workers need to load.
"""
