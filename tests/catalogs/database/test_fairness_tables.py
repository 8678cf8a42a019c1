"""Adult and COMPAS from files with their publishers' headers and quirks; no error and no reject holds a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairshards.catalogs.cohorts.checked import check_cohort
from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.cohorts.studies.adult import read_adult
from fairshards.catalogs.cohorts.studies.compas import read_compas

PLANTED = "ZZPLANTED77"
ADULT = [
    "39, State-gov, 77516, Bachelors, 13, Never-married, Sales, Unmarried, White, Male, 2174, 0, 40, Cuba, <=50K",
    "50, ?, 83311, Bachelors, 13, Married-civ-spouse, ?, Husband, White, Male, 0, 0, 13, ?, >50K",
    "38, Private, 215646, HS-grad, 9, Divorced, Sales, Not-in-family, Black, Female, 0, 0, 40, Mexico, <=50K",
    f"x, Private, 215646, HS-grad, 9, Divorced, {PLANTED}, Not-in-family, Black, Female, 0, 0, 40, Mexico, >50K",
]
COMPAS_HEADER = (
    "id,name,sex,dob,age,race,juv_fel_count,decile_score,juv_misd_count,juv_other_count,priors_count,"
    "days_b_screening_arrest,c_jail_in,c_jail_out,c_charge_degree,is_recid,decile_score,score_text,"
    "priors_count,two_year_recid"
)


def compas_row(number: int, **change: str) -> str:
    said = {
        "id": str(number),
        "name": PLANTED,
        "sex": "Male",
        "dob": "1980-01-01",
        "age": "33",
        "race": "Caucasian",
        "fel": "0",
        "decile": "3",
        "misd": "1",
        "other": "0",
        "priors": "4",
        "days": "-1",
        "in": "2013-08-13 06:03:42",
        "out": "2013-08-16 05:41:20",
        "degree": "F",
        "recid": "0",
        "decile2": "3",
        "text": "Low",
        "priors2": "4",
        "two": "0",
        **change,
    }
    return ",".join(said.values())


@pytest.fixture
def adult(tmp_path: Path) -> Path:
    (tmp_path / "adult.data").write_text("\n".join(ADULT) + "\n\n")
    (tmp_path / "adult.test").write_text("|1x3 Cross validator\n" + "\n".join(f"{row}." for row in ADULT[:3]) + "\n\n")
    return tmp_path


def test_adult_has_its_split_its_missing_values_and_labels_without_the_dot(adult: Path) -> None:
    cohort = read_adult(adult)
    rows = cohort.rows.to_pylist()
    assert [row["split"] for row in rows] == ["train"] * 4 + ["test"] * 3
    assert [row["income"] for row in rows] == ["<=50K", ">50K", "<=50K", ">50K", "<=50K", ">50K", "<=50K"]
    assert rows[1]["workclass"] is rows[1]["occupation"] is rows[1]["native_country"] is None
    assert rows[0]["capital_gain"] == 2174 and rows[3]["age"] is None  # text in a number is missing
    assert {"fnlwgt", "education_num"}.isdisjoint(cohort.schema.names)
    checked = check_cohort(cohort, "sex", 0.3, 0)
    assert (len(checked.train), len(checked.test), checked.rejects) == (4, 3, ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: (root / "adult.test").unlink(), "no adult.test"),
        (lambda root: (root / "adult.data").write_text(f"{PLANTED};1;2\n" * 5), "isn't Adult's"),
        (lambda root: (root / "adult.data").write_text(""), "isn't Adult's"),
    ],
)
def test_what_is_not_adult_is_refused_without_its_values(adult: Path, change: object, words: str) -> None:
    change(adult)  # type: ignore[operator]
    with pytest.raises(CohortError, match=words) as found:
        read_adult(adult)
    assert PLANTED not in str(found.value) and found.value.__context__ is None


def test_compas_follows_propublicas_filters_and_counts_what_they_leave_out(tmp_path: Path) -> None:
    rows = [
        compas_row(1),
        compas_row(2, two="1", race="African-American", sex="Female"),
        compas_row(3, days="31"),
        compas_row(4, recid="-1"),
        compas_row(5, degree="O"),
        compas_row(6, text="N/A"),
        compas_row(7, days=""),
        compas_row(8, out=""),
        compas_row(9, race="Martian"),
    ]
    path = tmp_path / "compas.csv"
    path.write_text("\n".join([COMPAS_HEADER, *rows]) + "\n")
    cohort = read_compas(path)
    assert cohort.counts == {
        "read": 9,
        "screening_far_from_arrest": 2,
        "recidivism_unknown": 1,
        "ordinary_traffic_offence": 1,
        "not_scored": 1,
    }
    found = cohort.rows.to_pylist()
    assert len(found) == 4 and found[0]["jail_days"] == 3 and found[2]["jail_days"] is None
    assert found[0]["priors"] == 4 and [row["two_year_recidivism"] for row in found] == ["no", "yes", "no", "no"]
    assert PLANTED not in str(found) and "decile_score" not in cohort.schema.names
    with pytest.raises(CohortError, match="no test row"):
        check_cohort(cohort, "race", 0.01, 0)
    assert [problem.reason for problem in check_cohort(cohort, "sex", 0.6, 0).rejects] == ["unknown_category"]


def test_what_is_not_compas_is_refused_without_its_values(tmp_path: Path) -> None:
    path = tmp_path / "compas.csv"
    path.write_text(f"id;name\n1;{PLANTED}\n")
    with pytest.raises(CohortError, match="isn't ProPublica's") as found:
        read_compas(path)
    assert PLANTED not in str(found.value) and found.value.__context__ is None
    with pytest.raises(CohortError, match="no file"):
        read_compas(tmp_path / "missing.csv")
