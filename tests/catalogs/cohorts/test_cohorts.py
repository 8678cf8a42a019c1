"""Cohorts: what a schema refuses, which rows can be used, the split, SUPPORT2; no message holds a patient's value."""

from __future__ import annotations

import math
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairshards.catalogs.cohorts.checked import Checked, broken_rules, check_cohort
from fairshards.catalogs.cohorts.cohort import SCHEMA_KEY, Cohort, Problem, read_cohort
from fairshards.catalogs.cohorts.readers import CohortFile, Mimic3, Support2
from fairshards.catalogs.cohorts.schema import CohortError, Column, Rule, Schema
from fairshards.catalogs.cohorts.studies.support2 import read_support2, support2

PLANTED, NUMBER = "ZZPLANTED77", 987654321
SCHEMA = Schema(
    "tiny",
    (
        Column("dose", "numeric", 1, 0.0, 100.0, unit="mg"),
        Column("visits", "integer", 0, 0, None),
        Column("ward", "category", categories=("north", "south")),
        Column("sex", "category", categories=("f", "m")),
        Column("died", "category", categories=("no", "yes")),
    ),
    "died",
    ("sex", "ward"),
    (Rule("southern visits", "ward <> 'south' OR visits >= 1"),),
    "made up",
    {"why": "a test"},
)


def table(n: int = 200) -> pd.DataFrame:
    """Return rows that are all usable: 60 of (yes, f) in 200, 20 of (yes, m), 40 of (no, f), 80 of (no, m)."""
    number = np.arange(n)
    died = np.where(number % 10 < 4, "yes", "no")
    sex = np.where(np.isin(number % 10, (0, 1, 2, 4, 5)), "f", "m")
    return pd.DataFrame(
        {
            "dose": number % 50 + 0.5,
            "visits": number % 7 + 1,
            "ward": np.where(number % 3, "north", "south"),
            "sex": sex,
            "died": died,
        }
    )


def cohort(rows: pd.DataFrame | None = None, schema: Schema = SCHEMA, **columns: Any) -> Cohort:
    given = (table() if rows is None else rows).assign(**columns)
    return Cohort(schema, pa.Table.from_pandas(given, preserve_index=False))


def checked(given: Cohort, share: float = 0.2, seed: int = 0) -> Checked:
    return check_cohort(given, "sex", share, seed)


def at(values: pd.Series, changes: dict[int, Any]) -> list[Any]:
    """Return a column with other values in some rows."""
    return [changes.get(number, value) for number, value in enumerate(values)]


def reasons(found: Checked) -> list[tuple[int, str]]:
    return [(problem.row, problem.reason) for problem in found.rejects]


# The schema


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Column("ward", "category"), "'ward' is a category without a value"),
        (
            lambda: replace(
                SCHEMA,
                columns=tuple(replace(one, categories=("f",)) if one.name == "sex" else one for one in SCHEMA.columns),
            ),
            "'sex' has 1 value; as label or protected",
        ),
        (lambda: Column("dose", "numeric", categories=("a", "b")), "'dose' is numeric, but lists categories"),
        (lambda: Column("dose", "numeric", low=3, high=3), "low must be the smaller"),
        (lambda: replace(SCHEMA, columns=(*SCHEMA.columns, SCHEMA.columns[0])), r"a column twice: \['dose'\]"),
        (lambda: replace(SCHEMA, label="age"), "no column 'age'; it has"),
        (lambda: replace(SCHEMA, protected=("age",)), "no column 'age'"),
        (lambda: replace(SCHEMA, protected=("dose",)), "'dose' is numeric; label and protected attributes are"),
        (lambda: replace(SCHEMA, label="visits"), "'visits' is integer"),
        (lambda: replace(SCHEMA, protected=("died",)), "'died' is also protected"),
        (lambda: Schema("x", (Column("y", "category", categories=("a", "b", "c")),), "y", ()), "expected two"),
        (lambda: SCHEMA["age"], "no column 'age'"),
    ],
)
def test_a_schema_that_cannot_be_right_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(CohortError, match=words):
        make()


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(CohortError, match="kind"):
        Column("dose", "float")  # type: ignore[arg-type]


def test_a_category_that_is_listed_twice_is_refused() -> None:
    with pytest.raises(CohortError, match="twice"):
        Column("died", "category", categories=("yes", "yes"))


def test_a_schema_survives_json() -> None:
    again = Schema.from_json(SCHEMA.to_json())
    assert again == SCHEMA and again.to_json() == SCHEMA.to_json() and again["ward"].categories == ("north", "south")
    assert again.names == ["dose", "visits", "ward", "sex", "died"] and again.features == again.names[:-1]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"columns": [{"name": "a"}], "rules": []}', *(pytest.param(text) for text in ("3", "null"))],
)
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(CohortError, match="schema can't be read"):
        Schema.from_json(text)


def test_a_schema_without_a_column_is_without_its_rules_and_its_protection() -> None:
    less = SCHEMA.without(["ward"])
    assert less.names == ["dose", "visits", "sex", "died"] and less.rules == () and less.protected == ("sex",)
    assert SCHEMA.without(["dose"]).rules == SCHEMA.rules
    with pytest.raises(CohortError, match="'died'"):
        SCHEMA.without(["died"])


# Files


def test_a_cohort_is_read_as_it_was_written(tmp_path: Path) -> None:
    given = cohort(split=["train", "test"] * 100)
    given.write(tmp_path / "tiny.parquet")
    for again in (read_cohort(tmp_path / "tiny.parquet"), CohortFile().read(tmp_path / "tiny.parquet")):
        assert again.schema == SCHEMA and again.rows.equals(given.rows.replace_schema_metadata(None))
        assert again.rows.schema.metadata is None


def test_files_that_are_no_cohort_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no cohort at"):
        read_cohort(tmp_path / "missing.parquet")
    with pytest.raises(CohortError, match="no cohort at"):
        read_cohort(tmp_path)
    (tmp_path / "rubbish").write_bytes(b"PAR1 rubbish PAR1")
    with pytest.raises(CohortError, match="no readable Parquet"):
        read_cohort(tmp_path / "rubbish")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "plain.parquet")
    with pytest.raises(CohortError, match="without a cohort's schema"):
        read_cohort(tmp_path / "plain.parquet")
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({SCHEMA_KEY: b"{}"}), tmp_path / "torn.parquet")
    with pytest.raises(CohortError, match="schema can't be read"):
        read_cohort(tmp_path / "torn.parquet")


# Which rows can be used


def test_usable_rows_keep_their_values_and_get_the_schemas_types() -> None:
    found = checked(cohort())
    both = pd.concat([found.train, found.test])
    assert found.rejects == () and found.cleared == {} and len(both) == 200 and found.schema is SCHEMA
    assert list(both.columns) == SCHEMA.names
    assert [str(kind) for kind in both.dtypes[:2]] == ["float64", "Int64"]
    assert Counter(map(tuple, both.to_numpy().tolist())) == Counter(map(tuple, table().to_numpy().tolist()))
    assert found.train.index.tolist() == list(range(len(found.train)))


def test_rows_that_cannot_be_used_are_named_by_number_and_reason() -> None:
    rows = table()
    given = cohort(
        rows,
        died=at(rows["died"], {3: None, 4: "maybe"}),
        sex=at(rows["sex"], {7: None}),
        ward=at(rows["ward"], {11: "east", 12: None, 15: "south", 18: "south"}),
        visits=at(rows["visits"].astype(object), {15: 0, 18: None, 20: 0}),
    )
    found = checked(given)
    assert reasons(found) == [
        (3, "missing"),
        (4, "unknown_category"),
        (7, "missing"),
        (11, "unknown_category"),
        (15, "rule"),
    ]
    assert len(found.train) + len(found.test) == 195  # 12, 18 and 20 stay: unknown, or no row of the south
    assert found.rejects[4].detail == "breaks the rule: southern visits"
    assert found.rejects[3].detail == "ward is none of its 2 categories"
    assert found.rejects[0].detail == "died is missing"


def test_a_row_has_one_reason_and_earlier_rejects_stay() -> None:
    before = Problem(9, "unreadable", "it has 4 columns")
    rows = table()
    given = cohort(rows, died=at(rows["died"], {0: None}), ward=at(rows["ward"], {0: "east"}))
    found = checked(Cohort(SCHEMA, given.rows, (before,)))
    assert found.rejects[0] is before and reasons(found)[1:] == [(0, "missing")]


def test_a_protected_attribute_that_is_not_asked_for_may_be_missing() -> None:
    rows = table()
    given = cohort(rows, ward=at(rows["ward"], {0: None}))
    assert checked(given).rejects == ()
    assert [problem.detail for problem in check_cohort(given, "ward", 0.2, 0).rejects] == ["ward is missing"]


def test_values_out_of_range_are_cleared_and_counted_and_their_row_is_used() -> None:
    rows = table()
    dose = at(rows["dose"], {0: -0.1, 1: 100.1, 2: 0.0, 4: 100.0, 5: 1e9})
    visits = at(rows["visits"], {7: -1, 8: 10**6})
    found = checked(cohort(rows, dose=dose, visits=visits))
    both = pd.concat([found.train, found.test])
    assert found.cleared == {"dose": 3, "visits": 1} and found.rejects == () and len(both) == 200
    assert both["dose"].isna().sum() == 3 and both["dose"].min() == 0 and both["dose"].max() == 100
    assert both["visits"].isna().sum() == 1 and both["visits"].max() == 10**6  # it has no upper bound


def test_numbers_are_rounded_to_their_precision_and_nan_is_missing() -> None:
    rows = table()
    found = checked(cohort(rows, dose=at(rows["dose"], {0: 3.14159, 1: math.nan, 2: 3.1499})))
    both = pd.concat([found.train, found.test])
    assert both["dose"].isna().sum() == 1 and (both["dose"] == 3.1).sum() == 2 and found.cleared == {}


def test_an_infinite_number_is_counted_as_out_of_range() -> None:
    rows = table()
    found = checked(cohort(rows, dose=at(rows["dose"], {0: math.inf, 1: -math.inf})))
    assert pd.concat([found.train, found.test])["dose"].isna().sum() == 2 and found.cleared == {"dose": 2}


@pytest.mark.parametrize(
    ("column", "values", "kept"),
    [
        ("visits", pa.array([1.0, None] * 100), "Int64"),
        ("visits", pa.array(["1", None] * 100), "Int64"),
        ("dose", pa.array([1, 2] * 100), "float64"),
        ("visits", pa.array([1, 2] * 100, pa.uint8()), "Int64"),
        ("dose", pa.nulls(200), "float64"),
        ("visits", pa.nulls(200), "Int64"),
    ],
)
def test_columns_of_a_like_type_are_taken(column: str, values: pa.Array, kept: str) -> None:
    rows = cohort().rows
    found = checked(Cohort(SCHEMA, rows.set_column(rows.column_names.index(column), column, values)))
    assert str(found.train[column].dtype) == kept
    assert found.train[column].isna().sum() + found.test[column].isna().sum() == values.null_count


def test_categories_may_be_dictionary_encoded() -> None:
    rows = cohort().rows
    found = checked(Cohort(SCHEMA, rows.set_column(3, "sex", rows["sex"].combine_chunks().dictionary_encode())))
    pd.testing.assert_frame_equal(found.train, checked(cohort()).train)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"dose": ["a lot"] * 200}, "'dose' is (large_)?string, expected numeric"),
        ({"visits": [0.5] * 200}, "'visits' is double, expected integer"),
        ({"visits": [[1]] * 200}, "'visits' is list"),
        ({"died": [None] * 200}, r"no usable row; 200 were read, rejected for \[\('missing', 200\)\]"),
        ({"sex": ["x"] * 200}, "no usable row.*unknown_category"),
        ({"split": ["train"] * 200}, "no test row of 200; check the column split"),
        ({"split": ["train", "validation"] * 100}, "neither train nor test in 100 rows"),
        ({"split": ["test", None] * 100}, "neither train nor test in 100 rows"),
    ],
)
def test_a_cohort_that_cannot_be_used_is_refused(columns: dict[str, Any], words: str) -> None:
    with pytest.raises(CohortError, match=words):
        checked(cohort(**columns))


def test_columns_that_are_missing_and_an_attribute_that_is_not_protected_are_named() -> None:
    with pytest.raises(CohortError, match=r"lacks the columns \['dose', 'died'\] among its 3$"):
        checked(cohort(table().drop(columns=["dose", "died"])))
    with pytest.raises(CohortError, match="'died' is no protected attribute of 'tiny'"):
        check_cohort(cohort(), "died", 0.2, 0)
    with pytest.raises(CohortError, match=r"no test row of 200.*it is 0\.0"):
        checked(cohort(), share=0.0)
    with pytest.raises(CohortError, match="no usable row; 0 were read"):
        checked(cohort(table().head(0).astype(table().dtypes)))


def test_a_rule_that_is_no_sql_is_refused_by_its_name() -> None:
    with pytest.raises(CohortError, match=r"the rule 'odd' of 'tiny' can't be asked of its rows: dose >>> 'x'"):
        checked(cohort(schema=replace(SCHEMA, rules=(Rule("odd", "dose >>> 'x'"),))))


def test_broken_rules_stand_beside_every_row_by_rule() -> None:
    rows = table(6).assign(visits=pd.array([0, 1, None, 0, 2, 3], "Int64"))  # rows 0 and 3 are of the south
    found = broken_rules(SCHEMA, rows)
    assert list(found) == ["southern visits"]
    assert found["southern visits"].tolist() == [True, False, False, True, False, False]
    assert broken_rules(SCHEMA, rows.head(0))["southern visits"].tolist() == []
    assert broken_rules(replace(SCHEMA, rules=()), rows) == {}


# The split


def test_every_sub_group_gives_its_share_to_test() -> None:
    found = checked(cohort(table(1000)), 0.3)
    for part, share in ((found.test, 0.3), (found.train, 0.7)):
        sizes = part.groupby(["died", "sex"]).size().to_dict()
        whole = {("no", "f"): 200, ("no", "m"): 400, ("yes", "f"): 300, ("yes", "m"): 100}
        assert sizes == {key: round(share * size) for key, size in whole.items()}


def test_the_split_depends_on_its_seed_alone() -> None:
    unique = table().assign(visits=np.arange(1, 201))
    one, again, other = (checked(cohort(unique), seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one.test, again.test)
    pd.testing.assert_frame_equal(one.train, again.train)
    assert set(one.test["visits"]) != set(other.test["visits"])
    assert not set(one.test["visits"]) & set(one.train["visits"])


def test_a_given_split_is_respected_also_beside_rejects() -> None:
    rows = table().assign(visits=np.arange(1, 201))
    given = cohort(
        rows,
        split=["test" if number < 50 else "train" for number in range(200)],
        died=at(rows["died"], {0: None, 60: None}),
    )
    found = checked(given, share=0.9, seed=5)
    assert set(found.test["visits"]) == set(range(2, 51)) and set(found.train["visits"]) == set(range(51, 201)) - {61}
    assert "split" not in found.train


# Privacy


def told(given: Cohort) -> str:
    """Return all that checking a cohort says: the error with its whole traceback, or rejects, cleared, and counts."""
    try:
        found = checked(given)
    except Exception as error:
        return "".join(traceback.format_exception(error, limit=0)) + repr(error)
    return repr(found.rejects) + repr(dict(found.cleared)) + repr(given.counts)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("ward", PLANTED),
        ("died", PLANTED),
        ("sex", PLANTED),
        ("dose", PLANTED),
        ("visits", PLANTED),
        ("split", PLANTED),
        ("dose", NUMBER),
        ("visits", -NUMBER),
        ("visits", f"{NUMBER}.5"),
        ("ward", str(NUMBER)),
        ("visits", NUMBER + 0.5),
    ],
)
@pytest.mark.parametrize("everywhere", [False, True])
def test_no_message_holds_a_patients_value(column: str, value: Any, everywhere: bool) -> None:
    rows = table().assign(split=["train", "test"] * 100)
    values = [value] * 200 if everywhere else at(rows[column].astype(object), {5: value})
    if isinstance(value, str) and column in ("dose", "visits"):  # a column that was read as text
        values = [str(one) for one in values]
    said = told(cohort(rows, **{column: values}))
    assert said != "(){}{}" and PLANTED not in said and str(NUMBER) not in said


def test_no_message_holds_an_integer_that_a_float_cannot() -> None:
    """An id that was read as a number, say: whether it is taken, cleared or refused, it isn't told."""
    said = told(cohort(visits=at(table()["visits"], {5: NUMBER * 10**9 + 1})))
    assert str(NUMBER) not in said and "ArrowInvalid" not in said


def test_no_message_of_a_rule_holds_a_patients_value() -> None:
    """A rule whose SQL fails on a value: DuckDB's own message quotes it."""
    schema = replace(
        SCHEMA,
        rules=(Rule("odd", "ward::INTEGER > 3"),),
        columns=(*SCHEMA.columns[:2], Column("ward", "category", categories=("north", PLANTED)), *SCHEMA.columns[3:]),
    )
    said = told(cohort(table().assign(ward=PLANTED), schema=schema))
    assert "the rule 'odd'" in said and PLANTED not in said


# SUPPORT2


@pytest.fixture(scope="module")
def support() -> Checked:
    return check_cohort(support2(), "race", 0.3, 0)


def test_support2_is_9105_people_of_whom_a_quarter_died_in_hospital(support: Checked) -> None:
    both = pd.concat([support.train, support.test])
    assert len(both) == 9105 and support2().rows.num_rows == 9105
    assert round((both["hospital_death"] == "yes").mean(), 3) == 0.259
    assert len(both.columns) == 27 and support.schema.label == "hospital_death"
    assert both["age"].min() >= 18 and (both["sex"] == "male").mean() == pytest.approx(0.5625, abs=1e-3)


def test_support2_keeps_its_own_rules_ranges_and_categories(support: Checked) -> None:
    rows = support2().rows
    given = {name: rows[name].null_count for name in rows.column_names}
    both = pd.concat([support.train, support.test])
    assert support.rejects == () and support.cleared == {}
    assert {name: int(both[name].isna().sum()) for name in both} == given
    assert len(support.schema.rules) == 3
    for column in support.schema.columns:
        known = both[column.name].dropna()
        if column.kind == "category":
            assert set(known) == set(column.categories), column.name  # each category has somebody
        else:
            assert column.low is not None and column.high is not None and known.between(column.low, column.high).all()
            assert np.allclose(known.astype(float), known.astype(float).round(column.decimals), rtol=0, atol=1e-9)


def test_support2_breaks_every_rule_when_a_row_is_changed(support: Checked) -> None:
    broken = [
        {"disease_group": "Lung Cancer", "cancer": "no"},
        {"disease_group": "MOSF w/Malig", "cancer": "no"},
        {"dementia": "yes", "comorbidities": 0},
    ]
    for rule, change in zip(support.schema.rules, broken, strict=True):
        assert broken_rules(support.schema, support.train.head(1).assign(**change))[rule.name].all(), rule.name


def test_support2_has_no_column_that_tells_the_outcome() -> None:
    leaks = {
        "death",
        "slos",
        "d.time",
        "charges",
        "totcst",
        "totmcst",
        "avtisst",
        "sfdm2",
        "dnr",
        "dnrday",
        "surv2m",
        "surv6m",
        "prg2m",
        "prg6m",
        "hospdead",
        "sno",
        "id",
    }
    assert not leaks & {name.lower() for name in support2().rows.column_names}
    rows = support2().rows.to_pandas()
    died = rows["hospital_death"] == "yes"
    for name in rows.drop(columns="hospital_death"):
        codes = rows[name].rank() if rows[name].dtype.kind in "if" else rows[name].astype("category").cat.codes
        assert abs(np.corrcoef(codes.fillna(codes.mean()), died)[0, 1]) < 0.6, name


def test_what_is_not_support2s_csv_is_refused_without_its_values(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(f"a,b\n{PLANTED},{NUMBER}\n")
    with pytest.raises(CohortError, match=r"isn't SUPPORT2's CSV: \w+") as found:
        read_support2(tmp_path / "other.csv")
    said = "".join(traceback.format_exception(found.value, limit=0))
    assert PLANTED not in said and str(NUMBER) not in said
    with pytest.raises(CohortError, match="isn't SUPPORT2's CSV"):
        Support2().read(tmp_path / "missing.csv")
    with pytest.raises(CohortError, match="needs the folder"):
        Mimic3().read(None)
