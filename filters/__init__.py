"""Scores of samples and the decisions over them: one score, one file."""
