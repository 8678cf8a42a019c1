"""Phrases collapsed into groups, as ASPIRE does it (docs/methods.md#phrase-groups): normal forms, then bags of words.

Two phrases belong together when the cosine of their bags of words is 0.7 or more, and a phrase belongs to a group when
it belongs to any member. That is taken to its end: the groups are the connected components, so they depend neither on
the order of the phrases nor on how often each occurs.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fairshards.generators.language.caption_text import words
from fairshards.generators.phrases.nouns import normal_form

THRESHOLD = 0.7
EMBEDDING_THRESHOLD = 0.9
Embed = Callable[[Sequence[str]], npt.NDArray[np.floating]]
"""Returns one embedding a phrase, (phrases, dimensions); one that is zero is like none."""
_ARTICLES = frozenset(("a", "an", "the"))
_BLOCK = 1024
_ROUNDING = 1e-12


@dataclass(frozen=True)
class PhraseGroup:
    """Phrases that mean one thing.

    Attributes:
        name: Its most frequent phrase; of equally frequent ones the shortest, then the first by alphabet.
        members: Its phrases, sorted.
        count: How often they occur in all.
    """

    name: str
    members: tuple[str, ...]
    count: int


def normalise(phrase: str) -> tuple[str, ...]:
    """Return a phrase's words in normal form (lemma and Porter stem), in order, without articles.

    Words in other scripts or with other letters than a to z are kept, casefolded; characters count in NFKC form.
    """
    forms = (word.key for word in words(unicodedata.normalize("NFKC", phrase)))
    return tuple(normal_form(key) for key in forms if key not in _ARTICLES)


def cosine(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the cosine of two bags of words, in [0, 1]; an empty bag has 0 with all."""
    first, second = Counter(one), Counter(other)
    dot = sum(first[word] * second[word] for word in first)
    return float(dot / (_square(first) * _square(second)) ** 0.5) if dot else 0.0


def group_phrases(
    counts: Mapping[str, int],
    *,
    threshold: float = THRESHOLD,
    embed: Embed | None = None,
    embedding_threshold: float = EMBEDDING_THRESHOLD,
) -> list[PhraseGroup]:
    """Return the groups of the phrases, the most frequent first, then by name.

    Args:
        counts: How often each phrase occurs, at least 1.
        threshold: Cosine of bags of words from which two phrases are one, in (0, 1].
        embed: Sentence embeddings; with them, phrases whose embeddings' cosine reaches ``embedding_threshold`` are
            merged as well.

    Raises:
        ValueError: a count below 1, or a threshold out of its range.
    """
    for name, value in (("threshold", threshold), ("embedding_threshold", embedding_threshold)):
        if not 0 < value <= 1:
            raise ValueError(f"{name} is {value}; it must be in (0, 1]")
    if few := [phrase for phrase, count in counts.items() if count < 1]:
        raise ValueError(f"phrase {few[0]!r} has the count {counts[few[0]]}; it must be at least 1")
    phrases = sorted(counts)
    pairs = [*_alike(phrases, threshold), *(_embedded_alike(phrases, embed, embedding_threshold) if embed else ())]
    groups = [_group(members, counts) for members in _connected(phrases, pairs)]
    return sorted(groups, key=lambda group: (-group.count, group.name))


def group_names(groups: Sequence[PhraseGroup]) -> dict[str, str]:
    """Return the name of each phrase's group."""
    return {member: group.name for group in groups for member in group.members}


def _connected(phrases: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[list[str]]:
    """Return the connected components of the graph whose edges are ``pairs`` of positions."""
    ends = np.array(pairs, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (ends[0], ends[1])), shape=(len(phrases), len(phrases)))
    parts: dict[int, list[str]] = defaultdict(list)
    for phrase, part in zip(phrases, connected_components(graph, directed=False)[1], strict=True):
        parts[int(part)].append(phrase)
    return list(parts.values())


def _alike(phrases: Sequence[str], threshold: float) -> Iterator[tuple[int, int]]:
    """Yield pairs of phrases to merge: equal bags, and bags whose cosine reaches the threshold."""
    bags: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, phrase in enumerate(phrases):
        bags[tuple(sorted(normalise(phrase))) or ("", phrase)].append(index)
    for same in bags.values():
        yield from ((same[0], other) for other in same[1:])
    for sharing in _candidates([bag for bag in bags if bag[0]], threshold):
        for first, second in combinations(sharing, 2):
            if cosine(first, second) >= threshold - _ROUNDING:
                yield bags[first][0], bags[second][0]


def _candidates(bags: Sequence[tuple[str, ...]], threshold: float) -> Iterator[list[tuple[str, ...]]]:
    """Yield lists of bags, such that two bags whose cosine reaches the threshold are together in one of them.

    With each bag's words in one order, the rarest first: what comes before the first word that two bags share adds
    nothing to their cosine, so the rest of either bag must have a length of at least the threshold (prefix filtering).
    Only such words are looked at, and pairs that share just "with" are never compared.
    """
    frequency = Counter(word for bag in bags for word in set(bag))
    by_word: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for bag in bags:
        counted = Counter(bag)
        rest = whole = _square(counted)
        for word in sorted(counted, key=lambda word: (frequency[word], word)):
            if rest < threshold * threshold * whole - _ROUNDING:
                break
            by_word[word].append(bag)
            rest -= counted[word] ** 2
    yield from by_word.values()


def _embedded_alike(phrases: Sequence[str], embed: Embed, threshold: float) -> Iterator[tuple[int, int]]:
    """Yield pairs whose embeddings' cosine reaches the threshold, a block of rows at a time."""
    vectors = np.asarray(embed(phrases), np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.where(lengths, lengths, 1.0)  # no words, no direction: like nothing
    for start in range(0, len(phrases), _BLOCK):
        near = vectors[start : start + _BLOCK] @ vectors.T >= threshold
        for row, column in zip(*np.nonzero(near), strict=True):
            if start + row < column:
                yield int(start + row), int(column)


def _group(members: Sequence[str], counts: Mapping[str, int]) -> PhraseGroup:
    name = min(members, key=lambda phrase: (-counts[phrase], len(phrase), phrase))
    return PhraseGroup(name, tuple(sorted(members)), sum(counts[member] for member in members))


def _square(bag: Counter[str]) -> int:
    return sum(count * count for count in bag.values())
