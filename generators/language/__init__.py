"""Captioners and language models, local or behind an endpoint, and the cache of their answers."""
