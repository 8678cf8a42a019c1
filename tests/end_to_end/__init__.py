"""Whole runs by the command line alone, held against what earlier code made; no module of the product is imported."""
