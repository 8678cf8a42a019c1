"""Tables without a schema: what a column is taken for, the label's event, ids, and refusals without a value."""

from __future__ import annotations

import datetime
import decimal
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairshards.catalogs.cohorts.checked import check_cohort
from fairshards.catalogs.cohorts.cohort import frame_of
from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.cohorts.tables.decimals import decimals_of
from fairshards.catalogs.cohorts.tables.event import event_of
from fairshards.catalogs.cohorts.tables.identifiers import is_id
from fairshards.catalogs.cohorts.tables.inferred import cohort_of, infer_schema
from fairshards.catalogs.cohorts.tables.settings import ColumnSetting, TableSettings
from fairshards.catalogs.cohorts.tables.typed_columns import raw_of_frame
from tests.catalogs.tables import PLANTED, ROWS, labs, of, people, read, read_rows, read_text, told

# Numbers


@pytest.mark.parametrize(
    "word",
    [
        "",
        " ",
        ".",
        "..",
        ".A",
        "NA",
        "n/a",
        "N.A.",
        "#N/A",
        "#DIV/0!",
        "#VALUE!",
        "NaN",
        "null",
        "NULL",
        "\\N",
        "?",
        "None",
        "-",
        "--",
        "unknown",
        "missing",
        "Not Done",
        "ND",
        "*",
    ],
)
@pytest.mark.parametrize("count", [1, 60])
def test_spellings_of_missing_are_missing_among_numbers_however_many(tmp_path: Path, word: str, count: int) -> None:
    cohort = read_rows(tmp_path, people(lab=labs(word, count)))
    assert of(cohort) == ("numeric", 1, count) and cohort.remarks == ()


@pytest.mark.parametrize(
    ("written", "decimals", "first"),
    [
        (lambda x: f"{x:.1f}".replace(".", ","), 1, 1.1),
        (lambda x: f"{1000 * x:,.1f}", 0, 1100),
        (lambda x: f"{1000 * x + 0.5:,.1f}".replace(",", " ").replace(".", ","), 1, 1100.5),
        (lambda x: f"{1000 * x + 0.5:,.1f}".replace(",", "'"), 1, 1100.5),
        (lambda x: f" {x:.1f} ", 1, 1.1),
        (lambda x: f"{x:.1f}%", 1, 1.1),
        (lambda x: f"{x:.1f}".removeprefix("0"), 1, 1.1),
        (lambda x: f"+{x:.1f}", 1, 1.1),
        (lambda x: f"{x:.1e}", 1, 1.1),
        (lambda x: f"{x:.1f}".replace(".", ",") + "E2", 0, 110),
        (lambda x: f"{x * 1e-7:.2e}", 8, 1.1e-7),
        (lambda x: f"{x * 1e15:.0f}", 0, 1.1e15),
        (lambda x: repr(x / 3), 6, 0.366667),
        (lambda x: repr(x + 1e-15), 1, 1.1),
        (lambda x: f"{x * 1e20:.3e}", 0, 1.1e20),
    ],
)
def test_numbers_are_read_in_the_notation_of_their_column(
    tmp_path: Path, written: Any, decimals: int, first: float
) -> None:
    values = [1.1 + number % 17 / 10 for number in range(ROWS)]
    cohort = read_text(tmp_path, people(lab=[written(x) for x in values]).to_csv(index=False, sep=";"))
    column = cohort.schema["lab"]
    assert (column.kind != "category", column.decimals, cohort.rows["lab"].null_count) == (True, decimals, 0)
    assert cohort.rows["lab"][0].as_py() == pytest.approx(first, rel=1e-6)
    checked = check_cohort(cohort, "sex", 0.3, 0)
    assert float(checked.train["lab"].min()) == pytest.approx(min(first, *cohort.rows["lab"].to_pylist()), rel=1e-4)


def test_one_sign_before_three_digits_is_decided_by_the_table_and_said(tmp_path: Path) -> None:
    thousands = [f"{1 + number % 9},{number % 90 + 100}" for number in range(ROWS)]
    cohort = read_rows(tmp_path, people(lab=thousands))
    assert cohort.rows["lab"][0].as_py() == 1100 and "lab: a sign before three digits" in cohort.remarks[0]
    said = {"lab": ColumnSetting(decimal=",")}
    assert read_rows(tmp_path, people(lab=thousands), columns=said).rows["lab"][0].as_py() == 1.1
    commas = [one.replace(".", ",") for one in people()["lab"]]
    cohort = read_rows(tmp_path, people(lab=thousands, other=commas))  # the table writes decimals with commas
    assert cohort.rows["lab"][0].as_py() == 1.1 and cohort.schema["other"].kind == "numeric"


@pytest.mark.parametrize("bound", ["<0.1", "< 0.1", "≤0.1", "<=0.1", ">100", "≥ 100", "100+"])
def test_bounds_are_taken_or_made_missing_and_counted(tmp_path: Path, bound: str) -> None:
    rows = people(lab=labs(bound, 60))
    cohort = read_rows(tmp_path, rows)
    assert of(cohort) == ("numeric", 1, 0) and cohort.rows["lab"][0].as_py() in (0.1, 100)
    (said,) = cohort.remarks
    assert said.startswith("lab: 60 of 300 cells are a bound") and "bound is taken" in said
    assert of(read_rows(tmp_path, rows, censored="missing")) == ("numeric", 1, 60)


def test_groups_of_ages_are_no_bounds(tmp_path: Path) -> None:
    two = [("<65", ">=65")[number % 2] for number in range(ROWS)]
    three = [("<18", "18-65", ">65")[number % 3] for number in range(ROWS)]
    schema = read_rows(tmp_path, people(two=two, three=three)).schema
    assert schema["two"].categories == ("<65", ">=65") and schema["three"].kind == "category"


@pytest.mark.parametrize("word", ["inf", "-Infinity", "1e999"])
def test_infinite_numbers_are_made_missing_and_counted(tmp_path: Path, word: str) -> None:
    cohort = read_rows(tmp_path, people(lab=labs(word)))
    assert of(cohort) == ("numeric", 1, 5) and cohort.remarks == ("lab: 5 of 300 cells are infinite (made missing)",)


def test_few_odd_cells_are_made_missing_and_counted_without_being_shown(tmp_path: Path) -> None:
    cohort = read_rows(tmp_path, people(lab=["1.0", "1.5", PLANTED, *people()["lab"][3:]]))
    assert of(cohort) == ("numeric", 1, 1) and PLANTED not in repr(cohort.remarks) + repr(cohort.notes)
    assert cohort.remarks == ("lab: 1 of 300 cells is no number (made missing; the first is in row 3)",)


def test_many_odd_cells_among_measurements_are_refused_with_the_settings_that_mend_it(tmp_path: Path) -> None:
    rows = people(lab=labs(PLANTED, 60))
    with pytest.raises(CohortError, match=r"'lab' has 240 cells that are numbers and 60 that are neither") as found:
        read_rows(tmp_path, rows)
    assert PLANTED not in told(found.value)
    assert of(read_rows(tmp_path, rows, columns={"lab": ColumnSetting(kind="numeric")})) == ("numeric", 1, 60)
    assert of(read_rows(tmp_path, rows, missing=(PLANTED,))) == ("numeric", 1, 60)
    assert of(read_rows(tmp_path, rows, columns={"lab": ColumnSetting(kind="category")}))[0] == "category"
    assert "lab" not in read_rows(tmp_path, rows, leave_out=("lab",)).schema.names


def test_codes_are_categories(tmp_path: Path) -> None:
    stage = [("1", "2", "3A", "3B")[number % 4] for number in range(ROWS)]
    code = [f"{number % 30:04d}" for number in range(ROWS)]
    schema = read_rows(tmp_path, people(stage=stage, code=code)).schema
    assert schema["stage"].categories == ("1", "2", "3A", "3B") and schema["code"].categories[0] == "0000"


@pytest.mark.parametrize("written", ["{} mg", "{}mg/dL", "€ {}", "${}", "{}/80"])
def test_numbers_with_units_are_refused_by_name_and_count(tmp_path: Path, written: str) -> None:
    with pytest.raises(CohortError, match=r"'lab' has numbers with a unit, .*, or two numbers, in 300 of 300 cells"):
        read_rows(tmp_path, people(lab=[written.format(one) for one in people()["lab"]]))


def test_a_number_far_from_all_others_is_told_of_as_a_code(tmp_path: Path) -> None:
    cohort = read_rows(tmp_path, people(lab=labs("-9", 7)))
    assert cohort.remarks[0].startswith("lab: 7 of 300 cells are its least number, far from all others")
    cohort = read_rows(tmp_path, people(lab=labs("-9", 7)), columns={"lab": ColumnSetting(missing=(-9,))})
    assert of(cohort) == ("numeric", 1, 7) and cohort.remarks == ()


@pytest.mark.parametrize("word", ["-9", "-9.00", "-9,00"])
def test_a_number_that_is_said_to_be_missing_is_so_however_it_is_written(tmp_path: Path, word: str) -> None:
    cells = labs(word, 7)
    cells = [one.replace(".", ",") for one in cells] if "," in word else cells
    assert of(read_text(tmp_path, people(lab=cells).to_csv(index=False, sep=";"), missing=(-9,))) == ("numeric", 1, 7)
    code = [f"{number % 30:02d}" for number in range(ROWS)]
    assert "09" in read_rows(tmp_path, people(code=code), missing=(9,)).schema["code"].categories


def test_settings_of_a_column_reach_its_schema(tmp_path: Path) -> None:
    said = {"lab": ColumnSetting(decimals=0, low=0, high=2, unit="mg"), "ward": ColumnSetting(kind="leave_out")}
    column = read_rows(tmp_path, people(), columns=said).schema["lab"]
    assert (column.kind, column.low, column.high, column.unit) == ("integer", 0, 2, "mg")
    assert "ward" not in read_rows(tmp_path, people(), columns=said).schema.names


@pytest.mark.parametrize(
    ("name", "said", "words"),
    [
        ("ward", {"low": 1, "decimals": 2}, "column 'ward' is a category, which has no decimals and no low"),
        ("sex", {"unit": "mmHg"}, "column 'sex' is a category, which has no unit"),
        ("lab", {"kind": "category", "decimal": ","}, "column 'lab' is a category, which has no decimal:"),
    ],
)
def test_settings_of_numbers_are_refused_where_they_would_do_nothing(
    tmp_path: Path, name: str, said: dict[str, Any], words: str
) -> None:
    with pytest.raises(CohortError, match=words):
        read_rows(tmp_path, people(), columns={name: ColumnSetting(**said)})


def test_decimals_hold_tiny_huge_and_noisy_numbers() -> None:
    assert decimals_of(np.array([1.5, 2.25, 3.0])) == 2 and decimals_of(np.array([])) == 0
    assert decimals_of(np.array([0.1 + 0.2, 0.3, 100.0])) == 1
    noisy = np.random.default_rng(0).lognormal(-16, 1, 300)
    assert np.allclose(np.round(noisy, decimals_of(noisy)), noisy, rtol=1e-3, atol=0)
    wide = np.array([1e-10, 1.0, 12345.0])
    assert np.allclose(np.round(wide, decimals_of(wide)), wide, rtol=1e-3, atol=0)
    assert decimals_of(np.array([1e300, 1e302])) == 0 and np.isfinite(np.round(1e302, 0))
    for one in (1e15, 1e290):  # far from all others
        labs = np.array([*np.arange(1.1, 9, 0.1).round(1), one])
        assert decimals_of(labs) == 1 and np.array_equal(np.round(labs, 1), labs)


# Types of Parquet and DataFrames

F = [round(1 + number % 17 / 10, 1) for number in range(ROWS)]


@pytest.mark.parametrize(
    ("values", "kind", "decimals"),
    [
        (pa.array(F, pa.float32()), "numeric", 1),
        (pa.array(np.array(F, np.float16)), "numeric", 1),
        (pa.array([decimal.Decimal(str(one)) for one in F], pa.decimal128(6, 2)), "numeric", 1),
        (pa.array([int(one) for one in F], pa.uint64()), "integer", 0),
        (pa.array(["1.5"] * ROWS, pa.large_string()), "numeric", 1),
        (pa.array([2**64 - 1] * 2 + [1] * (ROWS - 2), pa.uint64()), "numeric", 0),
        (pa.array(F).dictionary_encode(), "numeric", 1),
        (pa.array([True, None] * 150), "category", 0),
        (pa.nulls(ROWS), "numeric", 0),
    ],
)
def test_types_of_parquet_are_numbers_or_words(tmp_path: Path, values: pa.Array, kind: str, decimals: int) -> None:
    pq.write_table(
        pa.Table.from_pandas(people().drop(columns="lab")).append_column("lab", values), tmp_path / "t.parquet"
    )
    cohort = read(tmp_path / "t.parquet")
    assert of(cohort)[:2] == (kind, decimals)
    if kind != "category" and values.null_count == 0:
        known = [float(one) for one in values.to_pylist()]
        assert cohort.rows["lab"].to_pylist() == pytest.approx(known, rel=1e-3)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([PLANTED], "lists"),
        ([], "lists"),
        ({"a": PLANTED}, "structs"),
        (PLANTED.encode(), "bytes"),
        (datetime.date(1977, 7, 7), "dates or times"),
        (datetime.datetime(1977, 7, 7), "dates or times"),
        (datetime.timedelta(7), "dates or times"),
    ],
)
def test_other_types_are_refused_by_column_and_may_be_left_out(tmp_path: Path, value: Any, words: str) -> None:
    pq.write_table(
        pa.Table.from_pandas(people()).append_column("odd", pa.array([value] * ROWS)), tmp_path / "t.parquet"
    )
    with pytest.raises(CohortError, match=rf"column 'odd' holds {words}.*cohort.leave_out=\[odd\]") as found:
        read(tmp_path / "t.parquet")
    assert PLANTED not in told(found.value) and "1977" not in told(found.value)
    assert "odd" not in read(tmp_path / "t.parquet", leave_out=("odd",)).schema.names


def test_a_frame_is_read_as_its_file_is_and_typed_by_its_schema() -> None:
    rows = people(
        mixed=[1, "a", None] * 100, big=np.full(ROWS, 2**63 + 2**11, np.uint64), ward=pd.Categorical([1, 2] * 150)
    )
    rows = rows.assign(lab=[np.inf, *map(float, rows["lab"][1:])]).set_index(np.arange(7, 7 + ROWS))
    schema = infer_schema(rows, "died", ["sex"])
    typed = frame_of(cohort_of(raw_of_frame(rows), TableSettings("died", ("sex",)), "table").rows, schema)
    assert schema["mixed"].categories == ("1", "a") and schema["ward"].categories == ("1", "2")
    assert typed["big"].min() > 0 and typed["lab"].isna().sum() == 1
    assert [str(typed[name].dtype) for name in ("age", "lab")] == ["Int64", "float64"]
    with pytest.raises(CohortError, match=r"names a column twice: \['lab'\]"):
        infer_schema(rows.set_axis(["age", "sex", "lab", "lab", "died", "x", "y"], axis=1), "died", ["sex"])
    assert infer_schema(rows.set_axis(range(7), axis=1), "4", ["1"]).label == "4"


# Words, constants, and what is mostly unique


def test_words_stay_those_of_the_file(tmp_path: Path) -> None:
    flags = {
        "tf": ["t", "f"] * 150,
        "big": ["TRUE", "FALSE"] * 150,
        "none": ["none", "mild"] * 150,
        "sign": ["-", "+"] * 150,
    }
    schema = read_rows(tmp_path, people(**flags)).schema
    for name, words in flags.items():
        assert schema[name].categories == tuple(sorted(set(words)))
    assert schema["died"].categories == ("no", "yes")
    for zero, one in (("0.0", "1.0"), (".00", "1.00"), (",00", "1,00"), ("0,0", "1,0")):
        cohort = read_rows(tmp_path, people(died=[zero, one] * 150))
        assert cohort.schema["died"].categories == ("0", "1") and cohort.remarks == ()


def test_constants_and_empty_columns_are_read(tmp_path: Path) -> None:
    cohort = read_rows(tmp_path, people(hospital="St Mary", year=2020, nothing=None))
    assert cohort.schema["hospital"].categories == ("St Mary",) and cohort.schema["year"].kind == "integer"
    assert of(cohort, "nothing") == ("numeric", 0, ROWS) and cohort.notes["nothing"] == "empty"


def test_all_columns_that_cannot_be_taken_are_told_of_at_once_without_a_value(tmp_path: Path) -> None:
    names = [f"{PLANTED} {number}" for number in range(ROWS)]
    dates = [f"2020-06-{1 + number % 20}" for number in range(ROWS)]
    rows = people(mrn=names, admitted=dates, patient_id=range(77000, 77000 + ROWS))
    with pytest.raises(CohortError) as found:
        read_rows(tmp_path, rows)
    said = str(found.value).splitlines()
    assert [line.split("'")[1] for line in said] == [
        "mrn",
        "admitted",
        "patient_id",
    ] and "300 values in 300 rows" in said[0]
    assert PLANTED not in told(found.value) and "2020" not in told(found.value) and "77000" not in told(found.value)
    cohort = read_rows(tmp_path, rows, leave_out=("mrn", "admitted", "patient_id"))
    assert cohort.schema.names == list(people().columns)


@pytest.mark.parametrize("write", ["%Y%m%d", "%Y-%m-%d", "%d.%m.%Y"])
def test_dates_beside_other_words_or_in_eight_digits_are_refused(tmp_path: Path, write: str) -> None:
    days = [datetime.date(1977, 7, 7) + datetime.timedelta(number % 60) for number in range(ROWS)]
    admitted = [day.strftime(write) if number % 20 else "" for number, day in enumerate(days)]
    if write[-2:] != "%d":
        admitted[0] = "never"
    with pytest.raises(CohortError, match="'admitted' holds dates or times") as found:
        read_rows(tmp_path, people(admitted=admitted))
    assert "1977" not in told(found.value)
    year = read_rows(tmp_path, people(year=[1900 + number % 90 for number in range(ROWS)])).schema["year"]
    assert year.kind == "integer"


def test_dates_in_eight_digits_are_numbers_where_the_recipe_says_so(tmp_path: Path) -> None:
    rows = people(key=[20240101 + number % 28 for number in range(ROWS)])
    rows.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(CohortError, match=r"'key' holds dates.*a number all the same: cohort.columns=\{key: "):
        read(tmp_path / "t.parquet")
    said = {"key": ColumnSetting(kind="numeric")}
    assert read(tmp_path / "t.parquet", columns=said).schema["key"].kind == "integer"


def test_a_label_that_is_none_is_refused_without_its_values(tmp_path: Path) -> None:
    for words, columns in (
        ("has 3 values, expected two", [PLANTED, "b", "c"] * 100),
        ("tells nothing", [PLANTED] * ROWS),
    ):
        with pytest.raises(CohortError, match=words) as found:
            read_rows(tmp_path, people(died=columns))
        assert PLANTED not in told(found.value)


@pytest.mark.parametrize("setting", ["leave_out", "categories"])
def test_settings_that_name_no_column_are_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(CohortError, match=rf"cohort.{setting} names \['wrd'\]"):
        read_rows(tmp_path, people(), **{setting: ("wrd",)})
    with pytest.raises(CohortError, match=r"leaves out \['died'\]"):
        read_rows(tmp_path, people(), leave_out=("died",))


# The event


@pytest.mark.parametrize(
    ("values", "event", "how"),
    [
        (("Died", "Survived"), "Died", "word"),
        (("case", "control"), "case", "word"),
        (("yes", "no"), "yes", "word"),
        (("0", "1"), "1", "word"),
        (("-1", "1"), "1", "word"),
        (("True", "False"), "True", "word"),
        (("Verstorben", "Überlebt"), "Verstorben", "word"),
        (("not dead", "moribund"), "moribund", "word"),
        (("1", "2"), "1", "rarer"),
        (("A", "B"), "A", "rarer"),
        (("<=50K", ">50K"), "<=50K", "rarer"),
    ],
)
def test_the_event_is_the_word_that_says_yes_or_the_rarer_value(values: tuple[str, str], event: str, how: str) -> None:
    assert event_of("y", dict(zip(values, (3, 7), strict=True)), None) == (event, how)


def test_the_event_is_last_in_the_schema_and_a_setting_says_which(tmp_path: Path) -> None:
    rows = people(died=["Survived", "Survived", "Died"] * 100)
    assert read_rows(tmp_path, rows).schema["died"].categories == ("Survived", "Died")
    assert read_rows(tmp_path, rows, event="survived").schema["died"].categories == ("Died", "Survived")
    assert read_rows(tmp_path, people(), event=False).schema["died"].categories == ("yes", "no")  # YAML's no
    assert read_rows(tmp_path, people(died=["1", "0"] * 150), event=0).schema["died"].categories == ("1", "0")
    assert "rarer value of died" in read_rows(tmp_path, people(died=["A", "B", "B"] * 100)).remarks[0]
    with pytest.raises(CohortError, match="which is none of the two values of 'died'") as found:
        read_rows(tmp_path, rows.assign(died=[PLANTED, "B"] * 150), event="dead")
    assert PLANTED not in told(found.value)


# Patients


def test_names_of_ids_are_known() -> None:
    assert all(
        map(
            is_id,
            (
                "patient_id",
                "PatientID",
                "mrn",
                "subject",
                "SubjectKey",
                "hadm_id",
                "pat_no",
                "patientid",
                "Fallnummer",
                "PatNr",
            ),
        )
    )
    assert not any(map(is_id, ("age", "grid", "valid", "acid", "stay", "case", "bilirubin", "patient_age", "")))


@pytest.mark.parametrize(
    "ids", [lambda number: 1000 + number // 3, lambda number: f"P{number // 3}", lambda number: f" P{number % 100} "]
)
def test_patients_are_split_whole_and_are_no_feature(tmp_path: Path, ids: Any) -> None:
    rows = people(whose=[ids(number) for number in range(ROWS)])
    cohort = read_rows(tmp_path, rows, patient="whose")
    checked = check_cohort(cohort, "sex", 0.3, 0)
    train, test = (set(checked.patients[part]) for part in ("train", "test"))
    assert not train & test and len(train | test) == 100 and "whose" not in checked.schema.names
    assert len(checked.patients["test"]) == len(checked.test) and 0.2 < len(checked.test) / ROWS < 0.4
    whose = rows["whose"].astype(str).str.strip()
    lab = dict(zip(checked.patients["test"], checked.test["lab"], strict=True))
    assert all(any(np.isclose(float(one), value) for one in rows["lab"][whose == who]) for who, value in lab.items())
    assert set(check_cohort(cohort, "sex", 0.3, 1).patients["test"]) != test


@pytest.mark.parametrize(
    "whose",
    [
        pa.array([2**60 + number // 3 for number in range(ROWS)]),
        pa.array([2**60 + number // 3 for number in range(ROWS)]).dictionary_encode(),
        pa.array([uuid.UUID(int=number // 3).bytes for number in range(ROWS)], pa.uuid()),
    ],
)
def test_patients_of_long_ids_are_as_many_as_there_are(tmp_path: Path, whose: pa.Array) -> None:
    pq.write_table(pa.Table.from_pandas(people()).append_column("whose", whose), tmp_path / "t.parquet")
    checked = check_cohort(read(tmp_path / "t.parquet", patient="whose"), "sex", 0.3, 0)
    train, test = (set(checked.patients[part]) for part in ("train", "test"))
    assert not train & test and len(train | test) == 100


def test_rows_without_a_patient_are_rejects_and_a_split_that_parts_patients_is_refused(tmp_path: Path) -> None:
    whose = ["" if number < 3 else f"P{number // 3}" for number in range(ROWS)]
    checked = check_cohort(read_rows(tmp_path, people(whose=whose), patient="whose"), "sex", 0.3, 0)
    assert [(one.row, one.detail) for one in checked.rejects] == [(row, "whose is missing") for row in range(3)]
    parted = read_rows(tmp_path, people(whose=whose, split=["train", "test"] * 150), patient="whose")
    with pytest.raises(CohortError, match="99 patients in both train and test"):
        check_cohort(parted, "sex", 0.3, 0)


def test_whole_numbers_that_never_repeat_are_told_of_as_an_id(tmp_path: Path) -> None:
    nobodys = np.random.default_rng(0).permutation(ROWS) + 5000
    (said,) = read_rows(tmp_path, people(key=nobodys)).remarks
    assert said.startswith("key has another whole number in each row: is it an id?") and "5000" not in said
    assert read_rows(tmp_path, people(key=np.append(nobodys[1:], nobodys[1]))).remarks == ()


def test_a_column_that_looks_like_a_patients_id_is_told_of(tmp_path: Path) -> None:
    (said,) = read_rows(tmp_path, people(subject=[f"P{number // 4}" for number in range(ROWS)])).remarks
    assert said.startswith("subject looks like a patient's id, with 75 values in 300 rows")
    (said,) = read_rows(tmp_path, people(key=[5000 + 3 * (number // 3) for number in range(ROWS)])).remarks
    assert said.startswith("key looks like a patient's id, with 100 values")
    assert read_rows(tmp_path, people(ward_id=["a", "b", "c"] * 100)).remarks == ()
