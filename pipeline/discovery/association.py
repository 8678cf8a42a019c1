"""How strongly phrases go together with classes: lift with its interval, and mutual information in bits.

It asks nothing of a bias label: what is counted is which phrases a caption has. The same functions answer before
and after augmentation, over the real images, or over these and the synthetic ones that are added.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fairshards.trainers.evaluation.information import shared_bits
from fairshards.trainers.evaluation.intervals import Z95


@dataclass(frozen=True)
class Phrase:
    """A phrase of a caption: its text, the group it was merged into, and "foreground" or "background"."""

    text: str
    group: str
    kind: str


@dataclass(frozen=True)
class CaptionedImage:
    """One training image. ``correct`` tells whether the reference classifier gets it right."""

    source_id: str
    y: int
    phrases: tuple[Phrase, ...]
    correct: bool = True

    @property
    def groups(self) -> frozenset[str]:
        """The phrase groups that its caption holds."""
        return frozenset(phrase.group for phrase in self.phrases)


@dataclass(frozen=True)
class Presence:
    """In how many images of each class a phrase group occurs: ``holding[y]`` of ``images[y]``."""

    images: Mapping[int, int]
    holding: Mapping[int, int]


@dataclass(frozen=True)
class Lift:
    """P(phrase | class) / P(phrase) with its interval [low, high]; 1 means that they don't go together."""

    value: float
    low: float
    high: float


def presences(images: Iterable[CaptionedImage]) -> dict[str, Presence]:
    """Return the presence of every phrase group, by its name, in sorted order."""
    sizes: Counter[int] = Counter()
    holding: dict[str, Counter[int]] = {}
    for image in images:
        sizes[image.y] += 1
        for group in image.groups:
            holding.setdefault(group, Counter())[image.y] += 1
    return {group: Presence(sizes, holding[group]) for group in sorted(holding)}


def lift(presence: Presence, y: int, z: float = Z95) -> Lift:
    """Return the lift of a phrase group in class ``y``; ``z`` sets the interval's confidence.

    The interval is that of the ratio of two independent shares, inside the class and outside it (log-normal, half
    an occurrence added to each), brought to the lift, which grows with that ratio.

    Raises:
        ValueError: the class has no image, or the group occurs nowhere.
    """
    inside, outside = presence.images.get(y, 0), sum(presence.images.values()) - presence.images.get(y, 0)
    a, everywhere = presence.holding.get(y, 0), sum(presence.holding.values())
    if not inside or not everywhere:
        raise ValueError(f"class {y} has {inside} images and the phrase {everywhere} occurrences; lift needs both")
    share = inside / (inside + outside)
    value = a / inside / (everywhere / (inside + outside))
    if not outside:
        return Lift(value, value, value)
    b = everywhere - a
    ratio = math.log((a + 0.5) / (inside + 1)) - math.log((b + 0.5) / (outside + 1))
    error = math.sqrt(1 / (a + 0.5) - 1 / (inside + 1) + 1 / (b + 0.5) - 1 / (outside + 1))
    low, high = (_lift_of(math.exp(ratio + side * z * error), share) for side in (-1, 1))
    return Lift(value, min(low, value), max(high, value))


def bits(presence: Presence) -> float:
    """Return I(phrase present; class) in bits, the exact plug-in estimate (docs/methods.md#shared-bits); >= 0."""
    joint: dict[tuple[int, bool], int] = {}
    for y, size in presence.images.items():
        holding = presence.holding.get(y, 0)
        joint[y, True], joint[y, False] = holding, size - holding
    return shared_bits(joint)


def audit(images: Iterable[CaptionedImage]) -> dict[str, float]:
    """Return each phrase group's bits of mutual information with the class."""
    return {group: bits(presence) for group, presence in presences(images).items()}


def _lift_of(ratio: float, share: float) -> float:
    """Return the lift for a ratio of the shares inside and outside a class that holds ``share`` of the images."""
    return ratio / (share * ratio + 1 - share)
