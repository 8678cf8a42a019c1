"""Captions of pictures, and the phrases that are extracted from captions."""
