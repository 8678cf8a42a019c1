"""Decisions over stored scores: a filter is one small class in one file, which keeps a sample or says why not.

Nothing here but ``scorers`` loads a model. Others derive from ``base.Filter`` or ``base.CalibratedFilter``, find a
filter by its key in a recipe (``registry.filter_class``), and store limits that were measured as ``limits.Threshold``.
"""
