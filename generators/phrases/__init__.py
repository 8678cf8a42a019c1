"""Foreground and background phrases of captions: asked for, checked, and merged into groups."""
