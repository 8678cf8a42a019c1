"""Cohorts: health records (and the field's fairness tables) as one table with a schema, a label and protected attributes."""
