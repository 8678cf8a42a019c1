"""Which tars a dataset has for which split: glob patterns, brace ranges, and lists of both."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence

import braceexpand

from fairshards.transforms.shards import storage
from fairshards.transforms.sources.base import SourceError
from fairshards.transforms.sources.splits import WORDS, known_words, split_named

Patterns = str | Sequence[str]
USUAL = {"train": "train-*.tar", "val": "val-*.tar", "test": "test-*.tar"}
COMPRESSED = ("gz", "tgz", "bz2", "xz", "zst")
_TAR = rf"\.(tar|tgz|tar\.({'|'.join(COMPRESSED)}))"


def shards_of(path: str, splits: Mapping[str, Patterns], files: Sequence[str]) -> dict[str, list[str]]:
    """Return the tars of each split, relative to ``path``; ``files`` are all that lie there.

    The usual patterns find whatever a split is called (``valid-*.tar``) and compressed tars too. Others mean what they
    say, and each must match.

    Raises:
        SourceError: no tar is found, a pattern finds none, a split isn't known, or a tar is in two splits.
    """
    if dict(splits) == USUAL:
        found = {
            split: [name for name in files if re.match(rf"({'|'.join(WORDS[split])})-[^/]*{_TAR}$", name, re.I)]
            for split in USUAL
        }
    else:
        found = {}
        for word, patterns in splits.items():
            split = split_named(word)
            if split is None:
                raise SourceError(f"source.splits names a split {word!r}; known are {known_words()}")
            found.setdefault(split, []).extend(_matching(path, [patterns] if isinstance(patterns, str) else patterns))
    if not any(found.values()):
        tars = [name for name in files if re.search(_TAR + "$", name, re.I)]
        there = f"; there are {', '.join(tars[:4])}{' ...' if len(tars) > 4 else ''}" if tars else "; no tar lies there"
        looked = ", ".join(one if isinstance(one, str) else ", ".join(one) for one in splits.values())
        raise SourceError(
            f"no shard found in {path}: looked for {looked}{there}. "
            "Set source.path to the folder of the tars and source.splits to their patterns"
        )
    found = {split: sorted(dict.fromkeys(names)) for split, names in found.items()}
    _check_disjoint(path, found)
    return found


def _matching(path: str, patterns: Sequence[str]) -> list[str]:
    """Return what patterns match below ``path``, which is no pattern itself; each pattern must match."""
    names: list[str] = []
    for pattern in patterns:
        try:
            plain = list(braceexpand.braceexpand(pattern))
        except ValueError as error:
            raise SourceError(f"source.splits: {error}; write {{00000..00009}} or {{a,b}}") from error
        for one in plain:
            matched = _glob(path, one)
            if not matched:
                named = "" if one == pattern else f", which {pattern} names,"
                raise SourceError(f"no shard found in {path}: nothing matches {one}{named}; mend source.splits")
            names += matched
    return names


def _glob(path: str, pattern: str) -> list[str]:
    if storage.is_local(path):
        found = glob.glob(os.path.expanduser(pattern), root_dir=path, recursive=True)
        return [name.replace(os.sep, "/") for name in found if not os.path.isdir(os.path.join(path, name))]
    return storage.matching_below(path, pattern)


def _check_disjoint(path: str, found: Mapping[str, Sequence[str]]) -> None:
    """Refuse a tar that is in two splits, by its name or a link's: a model would be chosen on what it learned."""
    seen: dict[str, tuple[str, str]] = {}
    for split, names in found.items():
        for name in names:
            where = storage.join(path, name)
            real = os.path.realpath(where) if storage.is_local(path) else where
            first, other = seen.setdefault(real, (split, name))
            if first != split:
                also = "" if other == name else f" (it is the file {other})"
                raise SourceError(f"{name} is in the splits {first} and {split}{also}; mend source.splits")
            if other != name:
                raise SourceError(f"{other} and {name} are one file, and its pictures would count twice; leave one out")
