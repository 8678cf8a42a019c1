"""What mixes of real and curated samples are made with: exact counts, and checks that say got and expected.

The counts are those of docs/methods.md#counts-of-synthetic-samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from fairshards.catalogs.manifests.identity import UNKNOWN_BIAS
from fairshards.trainers.core.errors import MixError
from fairshards.trainers.core.index import Group, Sample, class_counts, group_counts, group_names
from fairshards.trainers.evaluation.information import shared_bits

BALANCED = ("balanced",)
BALANCED_AND_EXTRA = ("balanced", "extra")
VALIDATION = ("validation",)


@dataclass(frozen=True)
class Stage:
    """One stage of training: its name ("train", or FFR's "stage1" and "stage2") and its samples in order."""

    name: str
    samples: tuple[Sample, ...]


def usb_counts(real: Mapping[Group, int]) -> dict[Group, int]:
    """Return the synthetic samples per group of USB: M - n, so that every (y, b) has M samples in all."""
    largest = max(real.values())
    return {group: largest - count for group, count in real.items()}


def asb_counts(real: Mapping[Group, int]) -> dict[Group, int]:
    """Return the synthetic samples per group of ASB and of FFR's stage 1: m = floor(sum(M - n) / K) each."""
    m = sum(usb_counts(real).values()) // len(real)
    return dict.fromkeys(real, m)


def counts_with_synthetic(method: str, real: Sequence[Sample], synthetic: Sequence[Sample]) -> dict[Group, int]:
    """Return the real samples per group, 0 for those of the curated index's groups that have none.

    Raises:
        MixError: the bias attribute of some sample is unknown.
    """
    usable = [sample for sample in synthetic if sample.split in BALANCED_AND_EXTRA]
    _require_known_bias(method, real, usable)
    return group_counts(real, groups=sorted({sample.group for sample in usable}))


def equal_classes(
    method: str, real: Iterable[Sample], synthetic: Iterable[Sample], splits: Sequence[str]
) -> tuple[Sample, ...]:
    """Return all samples of ``splits`` in index order, as many of every class of ``real``.

    Only classes are looked at, never the bias attribute.

    Raises:
        MixError: there is none, a class is missing or unknown, or the classes have different numbers.
    """
    chosen = tuple(sample for sample in synthetic if sample.split in splits)
    got, wanted = class_counts(chosen), class_counts(real)
    if got.keys() != wanted.keys() or len(set(got.values())) != 1:
        said = ", ".join(f"{name} {got.get(name, 0)}" for name in {**wanted, **got})
        raise MixError(
            f"{method} needs as many synthetic samples of every class in the curated index's split "
            f"{' or '.join(splits)}; it has {said}. Run curation again with a quota that it can fill"
        )
    return chosen


def take(
    name: str, synthetic: Iterable[Sample], counts: Mapping[Group, int], splits: Sequence[str]
) -> tuple[Sample, ...]:
    """Return the first ``counts[group]`` samples of every group in index order, out of ``splits``.

    Raises:
        MixError: a group has fewer; the message has got and expected for all groups.
    """
    left, chosen = dict(counts), []
    usable = [sample for sample in synthetic if sample.split in splits]
    for sample in usable:
        if left.get(sample.group, 0) > 0:
            left[sample.group] -= 1
            chosen.append(sample)
    if any(left.values()):
        raise MixError(_short(name, usable, counts))
    return tuple(chosen)


def require_balance(what: str, samples: Sequence[Sample], groups: Iterable[Group] | None = None) -> None:
    """Raise MixError unless every group has the same number of ``samples``.

    ``groups`` are those that must be there; by default every class with every bias value. Some datasets lack
    pairs by design (SpuCo Animals has 8 of its 16).
    """
    counts = group_counts(samples)
    wanted = set(groups) if groups is not None else set(product({y for y, _ in counts}, {b for _, b in counts}))
    if counts.keys() != wanted or len(set(counts.values())) != 1:
        raise MixError(f"{what} should be balanced over (class, bias); it has {table(samples, counts)}")


def table(samples: Sequence[Sample], counts: Mapping[Group, int]) -> str:
    """Return the counts by the groups' names, as part of a sentence."""
    names = group_names(samples)
    return ", ".join(f"{names.get(group, str(group))} {count}" for group, count in counts.items())


def shortcut_bits(samples: Sequence[Sample]) -> dict[str, float]:
    """Return I(Y;B) and I(Y;(B,G)) of a stage's samples in bits, rounded to 1e-6."""
    return {
        "I(Y;B)": round(shared_bits(Counter((s.y, s.b) for s in samples)), 6),
        "I(Y;(B,G))": round(shared_bits(Counter((s.y, (s.b, s.g)) for s in samples)), 6),
    }


def _require_known_bias(method: str, real: Iterable[Sample], synthetic: Iterable[Sample]) -> None:
    for what, samples in (("real train split", real), ("curated index", synthetic)):
        unknown = sum(sample.b == UNKNOWN_BIAS for sample in samples)
        if unknown:
            raise MixError(
                f"{method} balances (class, bias) groups, but {unknown} samples of the {what} have an unknown bias "
                "attribute; train a method that asks for no bias label, such as aspire-erm, or label the bias"
            )


def _short(name: str, usable: Sequence[Sample], counts: Mapping[Group, int]) -> str:
    got, names = group_counts(usable), group_names(usable)
    lines = [
        f"{names.get(group, str(group))}: got {got.get(group, 0)}, expected {count}"
        + (" (short)" if got.get(group, 0) < count else "")
        for group, count in counts.items()
    ]
    return (
        f"{name} needs more synthetic samples than the curated index holds: {'; '.join(lines)}. "
        "Raise the quota (or the number of refill rounds) in the recipe and run curation again"
    )
