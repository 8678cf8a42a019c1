"""The table encoding where tables are odd: rare values, few rows, other dtypes, categories that only training lacks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairshards.catalogs.cohorts.schema import LEAST, CohortError, Column, Schema
from fairshards.generators.tables.encoding import Encoded, TableEncoding
from tests.generators.tables.test_table_encoding import SCHEMA, rows

PLANTED, NUMBER = "ZZPLANTED77", 987654321


def fitted(given: pd.DataFrame | None = None, **columns: Any) -> TableEncoding:
    return TableEncoding.fit(SCHEMA, "sex", (rows() if given is None else given).assign(**columns))


def back(encoding: TableEncoding, given: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    encoded = encoding.encode(given)
    return encoding.decode(encoding.scores(encoded, np.random.default_rng(seed)), encoded.y, encoded.s)


def everything(encoding: TableEncoding, name: str) -> set[float]:
    """Return every value that a column of generated rows can have."""
    x = np.zeros((4001, encoding.width), np.float32)
    x[:, : len(encoding.numerics)] = np.linspace(-6, 6, 4001)[:, None]
    return set(encoding.decode(x, np.zeros(4001, np.int64), np.zeros(4001, np.int64))[name].dropna().astype(float))


# What nobody else has


@pytest.mark.parametrize("others", [LEAST, 40])
def test_a_value_that_enough_people_share_is_told(others: int) -> None:
    encoding = fitted(visits=pd.array([NUMBER if number < others else number % 3 for number in range(600)], "Int64"))
    assert NUMBER in everything(encoding, "visits")


@pytest.mark.parametrize("known", [pytest.param(known) for known in range(1, LEAST)])
def test_a_column_known_of_few_people_gives_none_of_them_away(known: int) -> None:
    """A test that one patient in 600 had: neither the model's file nor a generated row may hold its result."""
    visits = pd.array([NUMBER if number < known else None for number in range(600)], "Int64")
    encoding = fitted(visits=visits)
    assert str(NUMBER) not in json.dumps(encoding.to_json()) and NUMBER not in everything(encoding, "visits")


def test_the_models_file_holds_no_extreme_of_one_patient() -> None:
    """Most have 0, 1 or 2 visits, one has very many: to_json says that it holds no value of one patient alone."""
    encoding = fitted(visits=pd.array([NUMBER if not number else number % 3 for number in range(600)], "Int64"))
    assert str(NUMBER) not in json.dumps(encoding.to_json()) and NUMBER not in everything(encoding, "visits")


def test_no_message_of_encoding_holds_a_value() -> None:
    encoding = fitted()
    wrong = {"ward": PLANTED, "sex": PLANTED, "died": PLANTED}
    for name, value in wrong.items():
        with pytest.raises(CohortError, match=f"column '{name}'") as found:
            encoding.encode(rows().assign(**{name: value}))
        assert PLANTED not in str(found.value) + repr(found.value) and found.value.__context__ is None


@pytest.mark.parametrize("name", ["ward", *(pytest.param(name) for name in ("sex", "died"))])
def test_training_rows_with_a_value_that_the_schema_lacks_are_refused_without_it(name: str) -> None:
    with pytest.raises(CohortError, match=f"column '{name}' has 1 values that its schema lacks") as found:
        fitted(**{name: [PLANTED, *rows()[name][1:]]})
    assert PLANTED not in str(found.value) + repr(found.value)


# Columns that don't vary, and what only training lacks


def test_constants_and_columns_that_nobody_has_come_back_with_their_types() -> None:
    found = back(fitted(), rows())
    assert str(found["always"].dtype) == "Int64" and set(found["always"]) == {7}
    assert str(found["never"].dtype) == "float64" and found["never"].isna().all()
    assert found["ward"].dtype == object and found["sex"].dtype == object
    one = fitted(ward="north", dose=1.5)
    assert one.constants["ward"] == "north" and one.constants["dose"] == 1.5
    again = back(one, rows().assign(ward="north", dose=1.5))
    assert set(again["ward"]) == {"north"} and set(again["dose"]) == {1.5}


def test_a_constant_with_gaps_is_a_state_and_keeps_them() -> None:
    gaps = np.arange(600) % 3 == 0
    given = rows().assign(
        always=pd.array([None if gap else 7 for gap in gaps], "Int64"), ward=[None if gap else "north" for gap in gaps]
    )
    encoding = TableEncoding.fit(SCHEMA, "sex", given)
    assert "always" in encoding.numerics and {"always", "ward"} <= {block.column for block in encoding.blocks}
    found = back(encoding, given)
    assert found["always"].isna().tolist() == gaps.tolist() == found["ward"].isna().tolist()
    assert set(found["always"].dropna()) == {7} and set(found["ward"].dropna()) == {"north"}


def test_a_number_that_training_always_had_may_be_missing_later() -> None:
    encoding = fitted()
    given = rows().assign(visits=pd.array([None] * 600, "Int64"))
    encoded = encoding.encode(given)
    assert not encoded.present[:, 1].any() and (encoding.scores(encoded, np.random.default_rng(0))[:, 1] == 0).all()


def test_a_category_missing_for_the_first_time_is_refused() -> None:
    encoding = fitted(ward="north", dose=rows()["dose"])
    assert "ward" in encoding.constants
    full = fitted(ward=np.where(np.arange(600) % 2, "north", "south"))
    with pytest.raises(CohortError, match=r"'ward' has a value in 2 rows that no training row has"):
        full.encode(rows().assign(ward=[None, None, *["north"] * 598]))


def test_groups_that_training_lacks_are_no_groups() -> None:
    schema = replace(
        SCHEMA,
        columns=tuple(
            Column("sex", "category", categories=("x", "f", "m")) if column.name == "sex" else column
            for column in SCHEMA.columns
        ),
    )
    encoding = TableEncoding.fit(schema, "sex", rows())
    assert encoding.groups == ("f", "m")
    assert back(encoding, rows())["sex"].tolist() == rows()["sex"].tolist()
    with pytest.raises(CohortError, match="'sex' has a value in 600 rows"):
        encoding.encode(rows().assign(sex="x"))


@pytest.mark.parametrize("name", ["died", "sex"])
def test_label_and_attribute_must_vary_and_be_known(name: str) -> None:
    states = SCHEMA[name].categories
    with pytest.raises(CohortError, match=f"'{name}' has one value in all 600 training rows"):
        fitted(**{name: states[0]})
    with pytest.raises(CohortError, match=f"'{name}' is missing in 600 of 600"):
        fitted(**{name: [None] * 600})
    with pytest.raises(CohortError, match=f"'{name}' is missing in 2 of 600"):
        fitted(**{name: [None, None, *[states[number % 2] for number in range(598)]]})
    with pytest.raises(CohortError, match="'ward' is no protected attribute of 'tiny', which has"):
        TableEncoding.fit(SCHEMA, "ward", rows())


# Scores


@pytest.mark.parametrize("count", [1, 2, 10])
def test_a_rows_score_does_not_depend_on_how_many_are_encoded_with_it(count: int) -> None:
    """The encoding learned from 600 rows; asked of a few, an extreme dose must stay extreme."""
    encoding, lowest = fitted(), rows().sort_values("dose").head(1)
    among = pd.concat([lowest, rows()])
    alone, together = (
        encoding.scores(encoding.encode(given), np.random.default_rng(0))[0, 0]
        for given in (pd.concat([lowest] * count), among)
    )
    assert alone == pytest.approx(together, abs=1e-5)


def test_a_seed_gives_the_same_scores_and_another_one_others_inside_the_same_interval() -> None:
    encoding = fitted()
    encoded = encoding.encode(rows())
    one, again, other = (encoding.scores(encoded, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    decoded = [encoding.decode(x, encoded.y, encoded.s) for x in (one, other)]
    assert (decoded[0]["visits"] == decoded[1]["visits"]).mean() > 0.99  # point masses, whatever the draw


def test_dtypes_of_pandas_and_arrow_encode_alike() -> None:
    given = rows()
    encoding, encoded = fitted(), fitted().encode(given)
    others = [
        given.astype({"ward": "category", "sex": "category", "died": "category"}),
        given.assign(dose=given["dose"].astype("Float64"), visits=given["visits"].astype("float64")),
        given.assign(ward=given["ward"].astype("string")),
        given.set_axis(np.arange(600)[::-1] * 2),
    ]
    for number, other in enumerate(others):
        found = encoding.encode(other)
        assert all(np.array_equal(getattr(found, name), getattr(encoded, name)) for name in vars(encoded)), number


def test_encoded_rows_have_the_promised_types() -> None:
    found = fitted().encode(rows())
    assert isinstance(found, Encoded)
    kinds = [value.dtype.name for value in (found.low, found.high, found.present, found.states, found.y, found.s)]
    assert kinds == ["float32", "float32", "bool", "int64", "int64", "int64"]
    assert (found.low[~found.present] == 0.5).all() and (found.high[~found.present] == 0.5).all()
    assert (found.low <= found.high).all() and found.low.min() >= 0 and found.high.max() <= 1


def test_a_cohort_of_numbers_alone_and_one_of_categories_alone_are_encoded() -> None:
    for names in (["visits"], ["ward"]):
        kept = tuple(column for column in SCHEMA.columns if column.name in (*names, "sex", "died"))
        encoding = TableEncoding.fit(Schema("few", kept, "died", ("sex",)), "sex", rows())
        found = back(encoding, rows())
        assert list(found.columns) == [*names, "sex", "died"] and encoding.width in (1, 3)
        one, other = ([None if pd.isna(value) else value for value in table[names[0]]] for table in (found, rows()))
        assert np.mean([left == right for left, right in zip(one, other, strict=True)]) > 0.99


def test_json_is_exact_and_decodes_alike() -> None:
    encoding = fitted()
    said = encoding.to_json()
    again = TableEncoding.from_json(json.loads(json.dumps(said)))
    assert again.to_json() == said and again.blocks == encoding.blocks and again.schema == SCHEMA
    pd.testing.assert_frame_equal(back(again, rows()), back(encoding, rows()))
