"""Accuracy by group with intervals, and the utility, fairness, fidelity and privacy of records.

Of pictures ``evaluate`` measures a classifier. Of records ``cohort_learners`` are trained on one table and asked of
another; ``fairness.fairness``, ``fidelity`` and ``privacy.privacy`` take predictions or tables. ``intervals`` are for
everybody and import no torch.
"""
