"""Captions of pictures, and the phrases that are extracted from captions.

Others use ``caption.Caption`` and ``extract.Extract`` with the specs in ``specs``.
"""
