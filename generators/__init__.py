"""Models that make data, and the statistics followed while they sample: pictures, edits, texts, and rows of tables.

No Beam, no recipe and no database: of catalogs they use identities, files and cohorts' schemas. Others use ``images``
to read and write encoded pictures, and the rooms: ``diffusion``, ``editing``, ``language``, ``phrases``, ``tables``,
and ``checkpoints`` for what is known of a model before it is loaded.
"""
