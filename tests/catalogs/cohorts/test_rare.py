"""Rare categories are joined, made missing, or refused; nothing that is left names one, and no message does."""

from __future__ import annotations

import pandas as pd
import pytest

from fairshards.catalogs.cohorts.rare import Joined, join_rare, said
from fairshards.catalogs.cohorts.schema import LEAST, CohortError, Column, Rule, Schema

PLANTED = "ZZPLANTED"


def tables(wards: list[str | None], test: list[str | None] | None = None) -> list[pd.DataFrame]:
    """Return training and test rows with these wards."""
    return [
        pd.DataFrame(
            {
                "ward": pd.Series(part, dtype=object),
                "age": range(len(part)),
                "sex": ["f", "m"] * (len(part) // 2) + ["f"] * (len(part) % 2),
                "died": ["no", "no", "yes", "yes"] * (len(part) // 4) + ["no"] * (len(part) % 4),
            }
        )
        for part in (wards, test or wards[:40])
    ]


def schema(*wards: str, rules: tuple[Rule, ...] = ()) -> Schema:
    return Schema(
        "tiny",
        (
            Column("ward", "category", categories=wards),
            Column("age", "integer"),
            Column("sex", "category", categories=("f", "m")),
            Column("died", "category", categories=("no", "yes")),
        ),
        "died",
        ("sex",),
        rules,
    )


COMMON = ["north"] * 50 + ["south"] * 50


@pytest.mark.parametrize("n", [LEAST - 1, LEAST])
def test_a_category_stays_when_enough_training_people_have_it(n: int) -> None:
    wards = [*COMMON, *["west"] * n]
    narrow, (train, _), joined = join_rare(schema("north", "south", "west"), "sex", *tables(wards))
    assert ("west" in narrow["ward"].categories) == (n >= LEAST) == (not joined)
    assert train["ward"].isna().sum() == (n if n < LEAST else 0)


def test_rare_ones_that_are_many_together_become_other_and_test_rows_follow() -> None:
    rare = [f"{PLANTED}{number}" for number in range(4)]
    wards, test = [*COMMON, *rare * 2], [*COMMON, *rare, "only test"]
    given = schema("north", "only test", "south", *rare)
    narrow, (train, held_out), joined = join_rare(given, "sex", *tables(wards, test))
    assert narrow["ward"].categories == ("north", "south", "other")
    assert joined == {"ward": Joined(5, 13, "other")}
    assert (train["ward"] == "other").sum() == 8 and (held_out["ward"] == "other").sum() == 5
    assert train["ward"].notna().all() and train.drop(columns="ward").equals(tables(wards)[0].drop(columns="ward"))
    assert said(joined).endswith("ward: 5 categories of 13 rows joined into 'other'") and PLANTED not in said(joined)


def test_the_joined_ones_are_missing_where_they_are_few_together() -> None:
    narrow, (train, held_out), joined = join_rare(
        schema("north", PLANTED, "south", "only test"), "sex", *tables([*COMMON, PLANTED], [*COMMON, "only test"])
    )
    assert narrow["ward"].categories == ("north", "south") and joined == {"ward": Joined(2, 2, None)}
    assert train["ward"].isna().sum() == 1 == held_out["ward"].isna().sum()


def test_other_never_clashes_with_a_category_of_the_data() -> None:
    wards = [*COMMON, *["other"] * 9, *["a"] * 3, *["b"] * 3]
    narrow, (train, _), joined = join_rare(schema("a", "b", "north", "other", "south"), "sex", *tables(wards))
    assert narrow["ward"].categories == ("north", "other", "south", "other (rare)")
    assert (train["ward"] == "other").sum() == 9 and (train["ward"] == "other (rare)").sum() == 6 and joined


def test_a_category_with_a_type_of_its_own_has_no_other() -> None:
    wards = [*COMMON, *["1"] * 3, *["2"] * 3]
    narrow, (train, _), _ = join_rare(schema("1", "2", "north", "south"), "sex", *tables(wards), typed=("ward",))
    assert narrow["ward"].categories == ("north", "south") and train["ward"].isna().sum() == 6


def test_a_column_that_keeps_one_category_stays_with_what_is_missing() -> None:
    narrow, (train, _), joined = join_rare(schema("north", PLANTED), "sex", *tables(["north"] * 100 + [PLANTED]))
    assert narrow["ward"].categories == ("north",) and train["ward"].isna().sum() == 1 and joined


def test_people_are_counted_where_one_has_several_rows() -> None:
    wards = [*COMMON, *["west"] * 8, *["a"] * 4, *["b"] * 4]
    whose = pd.Series([*range(100), *[100] * 8, *range(101, 109)])
    narrow, _, joined = join_rare(schema("a", "b", "north", "south", "west"), "sex", *tables(wards), people=whose)
    assert narrow["ward"].categories == ("north", "south", "other") and joined == {"ward": Joined(3, 16, "other")}
    alone, _, joined = join_rare(schema("north", "south", "west"), "sex", *tables(wards[:108]), people=whose[:108])
    assert alone["ward"].categories == ("north", "south") and joined == {"ward": Joined(1, 8, None)}


def test_a_column_that_keeps_no_category_is_left_out_and_said() -> None:
    narrow, (train, test), joined = join_rare(schema(PLANTED), "sex", *tables([None] * 100 + [PLANTED], [None] * 9))
    assert narrow.names == ["age", "sex", "died"] == list(train.columns) == list(test.columns)
    assert said(joined).endswith("ward: 1 category of 1 row left out with the column") and PLANTED not in said(joined)


def test_what_nobody_has_is_not_told_from_what_few_have() -> None:
    narrow, _, joined = join_rare(schema("north", "south", "east"), "sex", *tables(COMMON))
    assert narrow["ward"].categories == ("north", "south") and not joined


def test_a_rule_that_names_a_joined_category_goes_too() -> None:
    rules = (Rule("adults", "age >= 0"), Rule("west is old", f"ward <> '{PLANTED}''s' OR age > 80"))
    narrow, _, _ = join_rare(
        schema("north", "south", f"{PLANTED}'s", rules=rules), "sex", *tables([*COMMON, f"{PLANTED}'s"])
    )
    assert [rule.name for rule in narrow.rules] == ["adults"] and PLANTED not in narrow.to_json()


def test_a_schema_without_rare_categories_is_the_same_byte_for_byte() -> None:
    given = schema("north", "south", rules=(Rule("adults", "age >= 0"),))
    same, (train, test), joined = join_rare(given, "sex", *tables([*COMMON, None]))
    assert same.to_json() == given.to_json() and not joined
    for one, other in zip((train, test), tables([*COMMON, None]), strict=True):
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("column", ["sex", "died"])
@pytest.mark.parametrize("part", [0, 1])
def test_label_and_attribute_are_refused_by_name_and_count(column: str, part: int) -> None:
    both = tables(COMMON)
    both[part].loc[:1, column] = PLANTED
    given = schema("north", "south")
    columns = tuple(
        Column(one.name, one.kind, categories=("no", PLANTED) if column == "died" else ("f", "m", PLANTED))
        if one.name == column
        else one
        for one in given.columns
    )
    if column == "died":
        both = [table.assign(died=table["died"].where(table["died"] == PLANTED, "no")) for table in both]
    with pytest.raises(CohortError, match=f"'{column}' has values that fewer than 5") as found:
        join_rare(Schema("tiny", columns, "died", ("sex",)), "sex", *both)
    assert PLANTED not in str(found.value) and ("2 training rows" if part == 0 else "2 test rows") in str(found.value)


def test_a_column_of_nearly_as_many_values_as_rows_is_refused_by_name() -> None:
    wards = [f"{PLANTED}{number // 2 if number < 40 else number}" for number in range(100)]
    with pytest.raises(CohortError, match=r"'ward' has 80 values in 100 training rows") as found:
        join_rare(schema(*sorted(set(wards))), "sex", *tables(wards))
    assert PLANTED not in str(found.value)
