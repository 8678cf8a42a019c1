"""Accuracy by group with intervals, and the utility, fairness, fidelity and privacy of records."""
