"""Adult: 48,842 people of the 1994 US census and whether they earn over 50,000 dollars, with UCI's split.

Licence: UCI Machine Learning Repository, CC BY 4.0 (Becker and Kohavi, 1996). It doesn't ship: ``read_adult`` takes the
folder with adult.data and adult.test.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from fairshards.catalogs.cohorts.cohort import SPLIT, Cohort
from fairshards.catalogs.cohorts.schema import CohortError, Column, Rule, Schema
from fairshards.catalogs.cohorts.statements import cohort_sql

FILES = {"train": ("adult.data", 0), "test": ("adult.test", 1)}
"""By split: the file, and how many lines it begins with that are none of its rows."""
INCOME = ("<=50K", ">50K")
MEANINGS = {
    "workclass": "Kind of employer.",
    "education": "Highest schooling.",
    "marital_status": "Marital status.",
    "occupation": "Occupation.",
    "relationship": "Place in the household.",
    "native_country": "Country of birth.",
}
MOST_COLUMNS_MISSING = 0.5


def read_adult(folder: Path) -> Cohort:
    """Return the cohort of UCI's two files.

    Raises:
        CohortError: a file is missing or isn't Adult's; no message holds a value.
    """
    parts = [_read(folder, split, *file) for split, file in FILES.items()]
    rows = pa.concat_tables(parts)
    return Cohort(_schema(rows), rows)


def _read(folder: Path, split: str, name: str, skip: int) -> pa.Table:
    path = folder / name
    if not path.is_file():
        raise CohortError(f"no {name} in {folder}: expected UCI's files adult.data and adult.test (data set 2)")
    failed, found = "", None
    try:
        found = duckdb.connect().sql(cohort_sql("adult"), params={"path": str(path), "skip": skip}).to_arrow_table()
    except duckdb.Error as error:  # its message may quote a row
        failed = type(error).__name__
    if found is None or not found.num_rows or found["income"].null_count > MOST_COLUMNS_MISSING * found.num_rows:
        raise CohortError(
            f"{path} isn't Adult's ({failed or 'most rows have no label'}): expected 15 columns, "
            "separated by commas and without a header, the last one <=50K or >50K"
        )
    return found.append_column(SPLIT, pa.array([split] * found.num_rows))


def _schema(rows: pa.Table) -> Schema:
    """Return the schema; categories are those that the files have."""

    def category(name: str, meaning: str) -> Column:
        values = tuple(sorted(value for value in rows[name].unique().to_pylist() if value is not None))
        return Column(name, "category", categories=values, meaning=meaning)

    columns = (
        Column("age", "integer", 0, 17, 90, unit="years", meaning="Age; 90 is 90 or more."),
        *(
            category(name, MEANINGS[name])
            for name in ("workclass", "education", "marital_status", "occupation", "relationship")
        ),
        category("race", "Race, as asked by the census."),
        category("sex", "Sex, as asked by the census."),
        Column("capital_gain", "integer", 0, 0, 99999, unit="dollars", meaning="Capital gain; 0 for 92 in 100."),
        Column("capital_loss", "integer", 0, 0, 5000, unit="dollars", meaning="Capital loss; 0 for 95 in 100."),
        Column("hours_per_week", "integer", 0, 1, 99, unit="hours", meaning="Working hours a week."),
        category("native_country", MEANINGS["native_country"]),
        Column("income", "category", categories=INCOME, meaning="Income over 50,000 dollars a year."),
    )
    rules = (Rule("husbands are married", "relationship NOT IN ('Husband', 'Wife') OR marital_status LIKE 'Married%'"),)
    return Schema(
        "adult",
        columns,
        "income",
        ("sex", "race"),
        rules,
        "Adult, UCI Machine Learning Repository 2, Becker and Kohavi 1996, CC BY 4.0",
    )
