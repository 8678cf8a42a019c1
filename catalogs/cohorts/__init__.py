"""Cohorts: health records and fairness benchmarks, each one table with a schema, a label and protected attributes.

Others read one by a name of COHORT_READERS (fairshards/families.py), get a ``cohort.Cohort`` with its
``schema.Schema``, and hold it to ``checked.check_cohort`` and ``rare.join_rare`` before anything learns from it.
Functions that touch people's rows are decorated with ``unquoted.unquoted``: no error holds a value of a row.
"""
