"""Ranking phrases by how much a classifier leans on them (docs/methods.md#ranking-of-phrases), and which are spurious.

ASPIRE's score of a phrase group in a class is the sum over its phrases of hits / occurrences. It edits every
occurrence; we edit a sample of them, and count only edits that succeeded. So ``score`` sums the shares hits /
successes, which estimate the same; ``aspire_score`` is the published quotient. Both agree where every occurrence
was edited with success.

A phrase is *reported as spurious* when three things hold, none of which asks for a bias label:

1. enough evidence: at least ``min_count`` edits of it succeeded;
2. the classifier leans on it: the lower end of the hit rate's Wilson interval is above ``floor``. Editing itself
   changes some predictions, by its artefacts; so the hit rate has also to exceed that over the class's *innocent*
   phrases, those that occur no more in the class than elsewhere (Newcombe's interval of the difference, above 0),
   where enough edits of these succeeded to say it;
3. it goes together with the class: the lower end of the lift's interval is above ``min_lift``. In a set
   without a planted cue no phrase does, whatever the classifier answers, and nothing is reported. That interval is
   the wider one (99.9%), since every phrase of every class is tried.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fairshards.pipeline.discovery.association import CaptionedImage, Lift, Presence, bits, lift, presences
from fairshards.trainers.evaluation.intervals import Z95, wilson

Z999 = 3.290526731491894


@dataclass(frozen=True)
class EditOutcome:
    """One tested edit: the change of the true class's probability in ``shift``, and what ``SuccessRule`` says of it."""

    source_id: str
    y: int
    phrase: str
    group: str
    hit: bool
    shift: float
    succeeded: bool = True


@dataclass(frozen=True)
class RankRule:
    """How phrases are ranked and when one is reported; see the module.

    Attributes:
        top_k: Phrases that are kept a class (ASPIRE shows 10).
        min_count: Successful edits that a report needs.
        floor: The hit rate that the lower end of its interval has to exceed, at least.
        min_lift: The lift that the lower end of its interval has to exceed.
        z, lift_z: Of the intervals: 95% for the hit rate, 99.9% for the lift.
    """

    top_k: int = 10
    min_count: int = 10
    floor: float = 0.1
    min_lift: float = 1.0
    z: float = Z95
    lift_z: float = Z999


@dataclass(frozen=True)
class RankedPhrase:
    """One phrase group of a class.

    Attributes:
        y, phrase, kind: The class, the group's name, and the kind of most of its phrases.
        rank: From 1, by (score, occurrences).
        spurious: Whether it is reported.
        score, aspire_score: See the module.
        occurrences: Images of the class that hold it and that the reference gets right.
        edits, successes, hits: Edits tested, those that succeeded, and those of them that changed the prediction.
        rate, low, high: hits / successes with its interval; 0 and [0, 1] without a success.
        excess_low: Lower end of the interval of what ``rate`` exceeds the innocent phrases' by; None where nothing
            is known of either.
        mean_shift: Mean change of the true class's probability over successful edits; 0 without any.
        lift: Over all images, whatever the reference says of them.
        bits: I(phrase; class), over all classes.
    """

    y: int
    phrase: str
    kind: str
    rank: int
    spurious: bool
    score: float
    aspire_score: float
    occurrences: int
    edits: int
    successes: int
    hits: int
    rate: float
    low: float
    high: float
    excess_low: float | None
    mean_shift: float
    lift: Lift
    bits: float


def rank(
    images: Sequence[CaptionedImage], edits: Sequence[EditOutcome], rule: RankRule | None = None
) -> list[RankedPhrase]:
    """Return the top phrases of every class, by class and rank; the same input in any order gives the same.

    Args:
        images: All captioned training images.
        edits: The tested edits of images that the reference gets right.

    Raises:
        ValueError: an edit is of a phrase that no correctly predicted image of its class has.
    """
    rule = rule or RankRule()
    counted, found = presences(images), []
    for y in sorted({image.y for image in images}):
        right = [image for image in images if image.y == y and image.correct]
        own = [edit for edit in edits if edit.y == y]
        _check(y, right, own)
        phrases = [_measure(y, group, right, own, counted[group], rule) for group in _groups(right)]
        innocent = innocents(phrases)
        ordered = sorted(phrases, key=lambda phrase: (-phrase.score, -phrase.occurrences, phrase.phrase))
        top = enumerate(ordered[: rule.top_k], start=1)
        found += [_decided(phrase, number, innocent, rule) for number, phrase in top]
    return found


def innocents(phrases: Iterable[RankedPhrase]) -> tuple[int, int]:
    """Return hits and successful edits of a class's phrases that don't go together with it.

    These edits measure what editing itself does to the prediction.
    """
    innocent = [phrase for phrase in phrases if phrase.lift.low <= 1]
    return sum(phrase.hits for phrase in innocent), sum(phrase.successes for phrase in innocent)


def excess_low(hits: int, n: int, innocent_hits: int, innocent_n: int, z: float = Z95) -> float:
    """Return the lower end of Newcombe's interval of the difference of two hit rates; both n are above 0."""
    rate, innocent = hits / n, innocent_hits / innocent_n
    below, above = rate - wilson(hits, n, z)[0], wilson(innocent_hits, innocent_n, z)[1] - innocent
    return rate - innocent - math.hypot(below, above)


def _measure(
    y: int,
    group: str,
    right: Sequence[CaptionedImage],
    edits: Sequence[EditOutcome],
    presence: Presence,
    rule: RankRule,
) -> RankedPhrase:
    """Return the measures of one phrase group, not ranked yet."""
    tested = [edit for edit in edits if edit.group == group]
    good = [edit for edit in tested if edit.succeeded]
    hits = sum(edit.hit for edit in good)
    low, high = wilson(hits, len(good), rule.z) if good else (0.0, 1.0)
    return RankedPhrase(
        y=y,
        phrase=group,
        kind=_kind(right, group),
        rank=0,
        spurious=False,
        score=sum(_shares(good, Counter(edit.phrase for edit in good)).values()),
        aspire_score=sum(_shares(good, _occurrences(right, group)).values()),
        occurrences=sum(group in image.groups for image in right),
        edits=len(tested),
        successes=len(good),
        hits=hits,
        rate=hits / len(good) if good else 0.0,
        low=low,
        high=high,
        excess_low=None,
        mean_shift=sum(edit.shift for edit in good) / len(good) if good else 0.0,
        lift=lift(presence, y, rule.lift_z),
        bits=bits(presence),
    )


def _decided(phrase: RankedPhrase, number: int, innocent: tuple[int, int], rule: RankRule) -> RankedPhrase:
    known = phrase.successes and innocent[1] >= rule.min_count
    excess = excess_low(phrase.hits, phrase.successes, *innocent, rule.z) if known else None
    leans = phrase.low > rule.floor and (excess is None or excess > 0)
    spurious = phrase.successes >= rule.min_count and leans and phrase.lift.low > rule.min_lift
    return replace(phrase, rank=number, excess_low=excess, spurious=spurious)


def _shares(edits: Iterable[EditOutcome], of: Mapping[str, int]) -> dict[str, float]:
    """Return each phrase's hits as a share of its count in ``of``; every edit's phrase is in there."""
    hits = Counter(edit.phrase for edit in edits if edit.hit)
    return {phrase: hits[phrase] / of[phrase] for phrase in sorted(hits)}


def _occurrences(images: Iterable[CaptionedImage], group: str) -> Counter[str]:
    """Return in how many images each phrase of a group occurs."""
    return Counter(text for image in images for text in {own.text for own in image.phrases if own.group == group})


def _groups(images: Iterable[CaptionedImage]) -> list[str]:
    return sorted({group for image in images for group in image.groups})


def _kind(images: Iterable[CaptionedImage], group: str) -> str:
    """Return the kind of most of a group's phrases, the alphabet deciding between equals."""
    kinds = Counter(phrase.kind for image in images for phrase in image.phrases if phrase.group == group)
    return min(kinds, key=lambda kind: (-kinds[kind], kind))


def _check(y: int, images: Sequence[CaptionedImage], edits: Iterable[EditOutcome]) -> None:
    """Refuse edits whose phrase was never counted: their share of its occurrences would have no meaning."""
    known = {(phrase.group, phrase.text) for image in images for phrase in image.phrases}
    for edit in edits:
        if (edit.group, edit.phrase) not in known:
            raise ValueError(
                f"an edit of {edit.phrase!r} (group {edit.group!r}) in source {edit.source_id} is of a "
                f"phrase that no correctly predicted image of class {y} has; plan edits of such images "
                "only"
            )
