"""Which phrases of captions are spurious (ASPIRE), and the pictures that are made without them.

Others use ``stage.discovery_stage``, then ``spurious_free.spurious_free_making`` and ``adoption.adopted``.
``ranking`` and ``association`` are plain functions over counts.
"""
