"""Filters of pictures."""
