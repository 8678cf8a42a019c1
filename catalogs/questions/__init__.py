"""What is asked of a catalog: SQL and queries by name, read-only, and the story of a sample.

Others use ``query.run_query``, ``explain.life_story`` with ``story.render``, and ``formats.write_result``.
"""
