"""What trainings share: the index of samples, loaders, samplers, seeds and checkpoints.

Others use ``index.read_index`` and ``index.Sample``, ``loaders.load_pictures``, ``seeding.part_seed``, and
``errors.TrainerError``.
"""
