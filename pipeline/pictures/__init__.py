"""What is particular to pictures: their source, their models, the checks before them, the trainings after."""
