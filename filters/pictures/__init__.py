"""Filters of pictures.

Others find them in the registry, and use the scores' names. What takes more than a score has functions beside its
filter: ``near_duplicates`` and ``silhouette`` compare pictures, ``spurious_absence`` says how CLIP is asked for a
phrase, ``preview`` holds the limits of half-finished pictures.
"""
