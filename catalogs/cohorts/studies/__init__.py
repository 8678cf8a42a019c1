"""Tables whose meaning is known: MIMIC-III, SUPPORT2, Adult, COMPAS.

Each module has one reader; others reach it through the readers' table of cohorts.
"""
