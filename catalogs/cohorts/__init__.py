"""Cohorts: health records and fairness benchmarks, each one table with a schema, a label and protected attributes."""
