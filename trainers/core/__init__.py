"""What trainings share: the index of samples, loaders, seeds and checkpoints."""
