"""Any table: its format, its lines, and what each of its columns is.

Others use ``inferred.read_table`` for a file and ``inferred.cohort_of`` for a data frame, and
``settings.TableSettings`` for what a recipe may say of it.
"""
