"""Scores of generated samples and the decisions over them: one score, one file."""
