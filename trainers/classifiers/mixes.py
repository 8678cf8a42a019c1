"""Which samples a method trains on: none, USB, ASB, FFR's two stages and ASPIRE's.

The counts are exact: those of docs/methods.md#counts-of-synthetic-samples.
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


def needed(method: str, real: Mapping[Group, int]) -> dict[Group, int]:
    """Return how many synthetic samples ``method`` takes of every group; ``real`` are the train split's counts."""
    if method == "usb":
        return usb_counts(real)
    return asb_counts(real) if method in ("asb", "ffr") else dict.fromkeys(real, 0)


def build_mix(method: str, real: Sequence[Sample], synthetic: Sequence[Sample]) -> tuple[Stage, ...]:
    """Return the stages of ``method`` over the real train split and the curated index's samples.

    Raises:
        MixError: a group is short of the count that the method needs, or what should be balanced isn't.
    """
    if method in ("erm", "aspire-dfr"):
        return (Stage("train", tuple(real)),)
    if method == "balanced-real":
        require_balance("the train split of the balanced real index", real)
        return (Stage("train", tuple(real)),)
    if method == "aspire-erm":
        return (Stage("train", (*real, *equal_classes("aspire-erm", real, synthetic, BALANCED))),)
    usable = [sample for sample in synthetic if sample.split in BALANCED_AND_EXTRA]
    _require_known_bias(method, real, usable)
    counts = group_counts(real, groups=sorted({sample.group for sample in usable}))
    if method == "usb":
        mixed = (*real, *take("USB", synthetic, usb_counts(counts), BALANCED_AND_EXTRA))
        require_balance("the USB mix", mixed, counts)
        return (Stage("train", mixed),)
    if not any(asb_counts(counts).values()):
        raise MixError(f"{method.upper()} has no synthetic sample to add: m = 0 for {_table(real, counts)}; train erm")
    added = take(method.upper(), synthetic, asb_counts(counts), BALANCED)
    require_balance(f"the synthetic part of {method.upper()}", added, counts)
    if method == "asb":
        return (Stage("train", (*real, *added)),)
    return (Stage("stage1", added), Stage("stage2", tuple(real)))


def equal_classes(
    method: str, real: Iterable[Sample], synthetic: Iterable[Sample], splits: Sequence[str]
) -> tuple[Sample, ...]:
    """Return all samples of ``splits`` in index order, as many of every class of ``real``.

    Only classes are looked at, never the bias attribute.

    Raises:
        MixError: there is none, a class is missing or unknown, or the classes have different numbers.
    """
    chosen = tuple(sample for sample in synthetic if sample.split in splits)
    found, wanted = class_counts(chosen), class_counts(real)
    if found.keys() != wanted.keys() or len(set(found.values())) != 1:
        said = ", ".join(f"{name} {found.get(name, 0)}" for name in {**wanted, **found})
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
    found = group_counts(samples)
    wanted = set(groups) if groups is not None else set(product({y for y, _ in found}, {b for _, b in found}))
    if found.keys() != wanted or len(set(found.values())) != 1:
        raise MixError(f"{what} should be balanced over (class, bias); it has {_table(samples, found)}")


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
                "attribute; train aspire-erm or aspire-dfr, or label the bias"
            )


def _table(samples: Sequence[Sample], counts: Mapping[Group, int]) -> str:
    names = group_names(samples)
    return ", ".join(f"{names.get(group, str(group))} {count}" for group, count in counts.items())


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
