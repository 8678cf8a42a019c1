"""The mixes' counts and bits are the published ones; balance and shortage are checked."""

from __future__ import annotations

import pytest

from fairshards.trainers.core.errors import MixError
from fairshards.trainers.core.index import Group, group_counts, without_bias
from fairshards.trainers.evaluation.information import shared_bits
from fairshards.trainers.methods.mixes import asb_counts, shortcut_bits, usb_counts
from tests.trainers.shapes import bare_samples, build_mix

FOUR: tuple[Group, ...] = ((0, 0), (0, 1), (1, 0), (1, 1))

# docs/methods.md#counts-of-synthetic-samples: counts per group, synthetic total, m per group.
PUBLISHED = {
    "celeba-0.90": ((592, 5335, 7797, 866), 16_598, 4_149),
    "celeba-0.95": ((281, 5335, 7797, 411), 17_364, 4_341),
    "celeba-0.97": ((166, 5335, 7797, 242), 17_648, 4_412),
    "celeba-0.99": ((54, 5335, 7797, 79), 17_923, 4_480),
    "celeba-0.999": ((6, 5335, 7797, 8), 18_042, 4_510),
    "utk-0.90": ((103, 934, 5731, 636), 15_520, 3_880),
    "utk-0.95": ((50, 934, 5731, 302), 15_907, 3_976),
    "utk-0.97": ((29, 934, 5731, 178), 16_052, 4_013),
    "utk-0.99": ((10, 934, 5731, 58), 16_191, 4_047),
    "utk-0.999": ((1, 934, 5731, 6), 16_252, 4_063),
    "spuco-0.95": ((10_000, 500) * 4, 38_000, 4_750),
    "spuco-0.97": ((10_000, 310) * 4, 38_760, 4_845),
    "spuco-0.99": ((10_000, 102) * 4, 39_592, 4_949),
    "spuco-0.999": ((10_000, 11) * 4, 39_956, 4_994),
}

# docs/methods.md#shared-bits: real I(Y;B); USB I(Y;B), I(Y;(B,G)); ASB I(Y;B), I(Y;(B,G)).
BITS = {
    "celeba-0.90": (0.515, 0.000, 0.535, 0.101, 0.247),
    "celeba-0.99": (0.895, 0.000, 0.706, 0.127, 0.387),
    "celeba-0.999": (0.963, 0.000, 0.734, 0.129, 0.412),
    "utk-0.999": (0.575, 0.000, 0.541, 0.048, 0.256),
}


def real_counts(name: str) -> dict[Group, int]:
    """The published counts by (y, b); SpuCo's four classes have two backgrounds each."""
    counts = PUBLISHED[name][0]
    groups = FOUR if len(counts) == 4 else tuple((number // 2, number % 2) for number in range(8))
    return dict(zip(groups, counts, strict=True))


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_the_published_ones(name: str) -> None:
    _, total, m = PUBLISHED[name]
    assert sum(usb_counts(real_counts(name)).values()) == total
    assert asb_counts(real_counts(name)) == dict.fromkeys(real_counts(name), m)


@pytest.mark.parametrize("name", BITS)
def test_bits_are_those_of_the_methods_page(name: str) -> None:
    real = real_counts(name)
    found = [shared_bits(real)]
    for synthetic in (usb_counts(real), asb_counts(real)):
        mixed = {group: real[group] + synthetic[group] for group in real}
        apart = {(y, (b, g)): part[y, b] for y, b in real for g, part in enumerate((real, synthetic))}
        found += [shared_bits(mixed), shared_bits(apart)]
    assert found == pytest.approx(BITS[name], abs=6e-4)


def test_bits_of_samples_tell_the_source_shortcut_of_usb_and_ffr_has_none() -> None:
    real = bare_samples(REAL)
    stages = [build_mix(method, real, BALANCED + EXTRA)[0] for method in ("erm", "usb", "ffr")]
    erm, usb, ffr = (shortcut_bits(stage.samples) for stage in stages)
    assert erm["I(Y;B)"] == erm["I(Y;(B,G))"] == pytest.approx(0.805608)
    assert usb["I(Y;B)"] == 0.0 and usb["I(Y;(B,G))"] > 0.6
    assert ffr == {"I(Y;B)": 0.0, "I(Y;(B,G))": 0.0}


def test_mutual_information_of_known_tables() -> None:
    assert shared_bits({(0, 0): 5, (1, 1): 5, (0, 1): 0}) == pytest.approx(1.0)
    assert shared_bits(dict.fromkeys(FOUR, 3)) == 0.0
    assert shared_bits({(0, "a"): 1, (1, "b"): 1, (2, "c"): 1, (3, "d"): 1}) == pytest.approx(2.0)


REAL: dict[Group, int] = {(0, 0): 97, (0, 1): 3, (1, 0): 3, (1, 1): 97}
BALANCED = bare_samples(dict.fromkeys(FOUR, 47), "balanced", 1)
EXTRA = bare_samples({(0, 1): 47, (1, 0): 47}, "extra", 1)


def test_usb_fills_every_group_to_the_largest_out_of_both_splits() -> None:
    (stage,) = build_mix("usb", bare_samples(REAL), BALANCED + EXTRA)
    assert group_counts(stage.samples) == dict.fromkeys(FOUR, 97)
    synthetic = [sample for sample in stage.samples if sample.g]
    assert group_counts(synthetic) == {(0, 1): 94, (1, 0): 94}
    assert {sample.split for sample in synthetic} == {"balanced", "extra"}


def test_asb_and_ffr_take_the_same_samples_of_the_balanced_split() -> None:
    real = bare_samples(REAL)
    (asb,) = build_mix("asb", real, BALANCED + EXTRA)
    first, second = build_mix("ffr", real, BALANCED + EXTRA)
    assert tuple(sample for sample in asb.samples if sample.g) == first.samples
    assert group_counts(first.samples) == dict.fromkeys(FOUR, 47)
    assert {sample.split for sample in first.samples} == {"balanced"}
    assert second.samples == tuple(real) and (first.name, second.name) == ("stage1", "stage2")


def test_samples_beyond_the_count_are_left_in_index_order() -> None:
    real = bare_samples({(0, 0): 5, (0, 1): 1, (1, 0): 1, (1, 1): 5})
    synthetic = bare_samples(dict.fromkeys(FOUR, 10), "balanced", 1)
    first, _ = build_mix("ffr", real, synthetic)
    numbers = [sample.sample_id for sample in first.samples if sample.group == (1, 0)]
    assert numbers == ["1-balanced-10-0", "1-balanced-10-1"]


def test_datasets_may_lack_pairs_by_design() -> None:
    groups = [(y, 2 * (y // 2) + b) for y in range(4) for b in range(2)]  # SpuCo: birds and dogs have their own places
    real = bare_samples({group: (9, 3)[number % 2] for number, group in enumerate(groups)})
    synthetic = bare_samples(dict.fromkeys(groups, 6), "balanced", 1)
    assert group_counts(build_mix("ffr", real, synthetic)[0].samples) == dict.fromkeys(groups, 3)
    assert group_counts(build_mix("usb", real, synthetic)[0].samples) == dict.fromkeys(groups, 9)


def test_a_group_without_real_samples_counts_as_zero() -> None:
    real = bare_samples({(0, 0): 50, (1, 0): 2, (1, 1): 50})
    (usb,) = build_mix("usb", real, BALANCED + EXTRA)
    assert group_counts(usb.samples) == dict.fromkeys(FOUR, 50)


@pytest.mark.parametrize("method", ["asb", "ffr"])
def test_a_short_mix_says_got_expected_and_how_to_fix_it(method: str) -> None:
    message = (
        rf"{method.upper()} needs more .* class0\|bias0: got 47, expected 47; .*"
        r"class1\|bias0: got 46, expected 47 \(short\); .* Raise the quota"
    )
    short = [sample for sample in BALANCED if sample.sample_id != "1-balanced-10-0"]
    with pytest.raises(MixError, match=message):
        build_mix(method, bare_samples(REAL), short + EXTRA)


def test_usb_without_the_extra_split_is_short() -> None:
    with pytest.raises(MixError, match=r"USB needs .* class0\|bias1: got 47, expected 94 \(short\)"):
        build_mix("usb", bare_samples(REAL), BALANCED)


@pytest.mark.parametrize("method", ["asb", "ffr"])
def test_a_balanced_real_set_leaves_nothing_to_add(method: str) -> None:
    with pytest.raises(MixError, match=r"no synthetic sample to add: m = 0 for class0\|bias0 25"):
        build_mix(method, bare_samples(dict.fromkeys(FOUR, 25)), BALANCED)


def test_balanced_real_must_be_balanced() -> None:
    even = bare_samples(dict.fromkeys(FOUR, 25))
    assert build_mix("balanced-real", even, ())[0].samples == tuple(even)
    with pytest.raises(MixError, match=r"should be balanced.*class0\|bias0 24, class0\|bias1 25"):
        build_mix("balanced-real", even[1:], ())
    with pytest.raises(MixError, match="should be balanced"):
        build_mix("balanced-real", bare_samples({(0, 0): 9, (1, 1): 9}), ())


def test_aspire_adds_every_spurious_free_sample_and_looks_at_classes_alone() -> None:
    real = bare_samples({(0, 0): 9, (0, 1): 1, (1, 1): 5})
    added = without_bias(bare_samples({(0, 0): 4, (1, 0): 1, (1, 1): 3}, "balanced", g=1))
    held_out = bare_samples({(0, 0): 2, (1, 1): 1}, "validation", g=1)
    (stage,) = build_mix("aspire-erm", real, (*held_out, *added))
    assert stage.name == "train" and stage.samples == (*real, *added)
    (stage,) = build_mix("aspire-dfr", real, added)
    assert stage.samples == tuple(real)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({(0, 0): 4, (1, 0): 3}, "class0 4, class1 3"),
        ({(0, 0): 4}, "class0 4, class1 0"),
        ({(0, 0): 4, (1, 1): 4, (2, 0): 4}, "class0 4, class1 4, class2 4"),
        ({}, "class0 0, class1 0"),
    ],
)
def test_aspire_refuses_classes_of_different_numbers(counts: dict[Group, int], said: str) -> None:
    real, added = bare_samples({(0, 0): 9, (1, 1): 5}), bare_samples(counts, "balanced", g=1)
    with pytest.raises(MixError, match=f"as many synthetic samples of every class .* it has {said}. Run curation"):
        build_mix("aspire-erm", real, added)


@pytest.mark.parametrize("method", ["usb", "asb", "ffr"])
def test_methods_that_balance_bias_refuse_what_has_none(method: str) -> None:
    real, added = bare_samples({(0, 0): 2, (1, 1): 2}), bare_samples({(0, 0): 2, (1, 1): 2}, "balanced", g=1)
    with pytest.raises(MixError, match=f"{method} balances .* 4 samples of the real train split have an unknown bias"):
        build_mix(method, without_bias(real), added)
    with pytest.raises(MixError, match="4 samples of the curated index have an unknown bias"):
        build_mix(method, real, without_bias(added))


def test_a_generated_validation_set_is_no_part_of_a_mix() -> None:
    real = bare_samples({(0, 0): 3, (0, 1): 1, (1, 0): 1, (1, 1): 3})
    added = bare_samples({(0, 0): 1, (0, 1): 1, (1, 0): 1, (1, 1): 1}, "balanced", g=1)
    held_out = without_bias(bare_samples({(0, 0): 2, (1, 1): 2}, "validation", g=1))
    assert build_mix("asb", real, (*added, *held_out)) == build_mix("asb", real, added)
