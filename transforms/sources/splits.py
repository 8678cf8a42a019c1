"""What datasets call their splits: one table for every reader."""

from __future__ import annotations

SPLITS = ("train", "val", "test")
WORDS = {
    "train": ("train", "training", "trainset", "trn"),
    "val": ("val", "valid", "validation", "valset", "dev", "devel", "development"),
    "test": ("test", "testing", "testset", "tst"),
}
_MEANING = {word: split for split, words in WORDS.items() for word in words}


def split_named(word: str) -> str | None:
    """Return "train", "val" or "test" for what a dataset calls it in any case, or None for another word."""
    return _MEANING.get(word.strip().casefold())


def known_words() -> str:
    """Return the words that are known, for messages."""
    return ", ".join(word for words in WORDS.values() for word in words)
