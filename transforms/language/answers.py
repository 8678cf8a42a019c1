"""The cache of answers where the run folder lies, local or not."""

from __future__ import annotations

from fairshards.generators.language.answer_cache import AnswerCache
from fairshards.transforms.shards import storage


def answer_cache(folder: str | None) -> AnswerCache | None:
    """Return the cache of answers in a folder that Beam's FileSystems knows; None for no folder."""
    return AnswerCache(folder, _read, storage.publish) if folder else None


def _read(path: str) -> bytes | None:
    try:
        return storage.read(path)
    except FileNotFoundError:
        return None
