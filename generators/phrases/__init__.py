"""Foreground and background phrases of captions: asked for, checked, and merged into groups.

Others use ``extraction.extract`` for the phrases of captions and ``phrases.group_phrases`` to merge them.
"""
