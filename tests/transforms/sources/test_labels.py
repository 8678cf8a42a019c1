"""Labels: names, spellings, and when a number may count as the place of a value."""

from __future__ import annotations

import pytest

from fairshards.transforms.sources.labels import GroupLabels, LabelError, Labels, plain_label

BIRDS = Labels(("landbird", "waterbird"))


def decided(labels: Labels, *seen: str) -> Labels:
    return labels.decided(seen, "class labels")


@pytest.mark.parametrize(
    ("label", "plain"),
    [
        ("1.0", "1"),
        (" 1 ", "1"),
        ("1.000", "1"),
        ("1.", "1"),
        ("-1.0", "-1"),
        ("1.5", "1.5"),
        ("v1.0", "v1.0"),
        ("007", "007"),
        ("cafe\u0301", "caf\u00e9"),
        ("1.000000000000000000e+00", "1"),
        ("1.0e+01", "10"),
        ("1.5e+00", "1.5e+00"),
        ("1.0e+99", "1.0e+99"),
        ("1e5", "1e5"),
    ],
)
def test_floats_spaces_and_accents_are_written_in_one_way(label: str, plain: str) -> None:
    assert plain_label(label) == plain


def test_numbers_count_where_they_are_the_only_labels_and_none_goes_beyond() -> None:
    assert [decided(BIRDS, "0", "1.0").number(label) for label in ("0", "1.0", " 1 ", "2")] == [0, 1, 1, None]


def test_a_number_is_no_index_where_a_name_is_a_number() -> None:
    digits = decided(Labels(("1", "7")), "0", "1", "2", "7")
    assert [digits.number(label) for label in ("0", "1", "2", "7", "1.0", "7.0")] == [None, 0, None, 1, 0, 1]


def test_a_number_is_no_index_beside_names() -> None:
    assert [decided(BIRDS, "landbird", "0").number(label) for label in ("landbird", "0", "1")] == [0, None, None]


@pytest.mark.parametrize("seen", [("1", "2"), ("0", "1", "2"), ("-1", "0", "1"), ("0", "1.5"), ("1", "2.0")])
def test_numbers_beyond_the_values_are_refused_with_what_was_seen(seen: tuple[str, ...]) -> None:
    with pytest.raises(LabelError, match=r"class labels are the numbers .*2 values .* 0 to 1.*classes: \[\{name: land"):
        decided(BIRDS, *seen)


def test_a_number_beyond_beside_names_is_a_reject_and_no_number_an_index() -> None:
    labels = decided(BIRDS, "landbird", "waterbird", "0", "7")
    assert [labels.number(label) for label in ("waterbird", "0", "7")] == [1, None, None]
    assert "say with `labels`" in labels.unknown("0") and "`labels`" not in labels.unknown("gull")


def test_the_recipe_may_write_names_and_spellings_in_another_way_than_the_dataset() -> None:
    accents = decided(Labels(("e\u0301t", "hiver")), "\u00e9t", "hiver")
    assert [accents.number(label) for label in ("\u00e9t", "e\u0301t", "hiver")] == [0, 0, 1]
    floats = decided(Labels(("land", "water"), (("1.0",), ("2.0",))), "1", "2")
    assert [floats.number(label) for label in ("1", "2.00", "0")] == [0, 1, None]
    twins = decided(Labels(("1", "1.0")), "1", "1.0", "1.00")
    assert [twins.number(label) for label in ("1", "1.0", "1.00")] == [0, 1, None]


def test_spellings_are_taken_as_they_are_and_numbers_else_mean_nothing() -> None:
    spelled = decided(Labels(("land", "water"), (("1",), ("2",))), "1.0", "2.0", "0", "3")
    assert [spelled.number(label) for label in ("1.0", "2", "0", "3")] == [0, 1, None, None]


def test_bias_values_are_decided_by_the_same_rule() -> None:
    both = GroupLabels(BIRDS, Labels(("0", "1"))).decided(["landbird"], ["0", "1", "2"])
    assert both.bias and both.bias.number("2") is None
    with pytest.raises(LabelError, match=r"bias labels are the numbers 1, 2.*bias\.values:"):
        GroupLabels(BIRDS, Labels(("land", "water"))).decided(["landbird"], ["1", "2"])


def test_what_was_always_right_keeps_its_hash() -> None:
    plain = GroupLabels(BIRDS, None).decided(["landbird", "waterbird"], [])
    assert plain.identity()["classes"] == {"names": ("landbird", "waterbird"), "spellings": ()}
    assert GroupLabels(BIRDS, None).decided(["0", "1"], []).identity() == plain.identity()
    digits = GroupLabels(Labels(("1", "7")), None)
    assert digits.decided(["1", "7"], []).identity() != digits.decided(["0", "1"], []).identity()
