"""Filters of rows of a table: is a row valid, like real ones, and not too near a person?

Others find them in the registry, and use the scores' names.
"""
