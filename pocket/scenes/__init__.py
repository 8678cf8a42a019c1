"""What the pocket world shows: drawn scenes, their captions and prompts.

Others use ``render`` for the pictures of a split and ``scene`` for what may stand in them.
"""
