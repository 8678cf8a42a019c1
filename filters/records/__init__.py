"""Filters of rows of a table."""
