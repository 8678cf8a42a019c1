"""COMPAS: defendants of Broward County, 2013 and 2014, and who of them was charged again within two years (ProPublica).

It doesn't ship: ``read_compas`` takes compas-scores-two-years.csv (github.com/propublica/compas-analysis).
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from fairshards.catalogs.cohorts.cohort import Cohort
from fairshards.catalogs.cohorts.schema import CohortError, Column, Schema
from fairshards.catalogs.cohorts.statements import cohort_sql

RACES = ("African-American", "Asian", "Caucasian", "Hispanic", "Native American", "Other")
SCHEMA = Schema(
    "compas",
    (
        Column("age", "integer", 0, 18, 100, unit="years", meaning="Age at screening."),
        Column("sex", "category", categories=("Female", "Male"), meaning="Sex, as recorded."),
        Column("race", "category", categories=RACES, meaning="Race, as recorded."),
        Column("juvenile_felonies", "integer", 0, 0, 50, meaning="Juvenile felony charges."),
        Column("juvenile_misdemeanours", "integer", 0, 0, 50, meaning="Juvenile misdemeanour charges."),
        Column("juvenile_others", "integer", 0, 0, 50, meaning="Other juvenile charges."),
        Column("priors", "integer", 0, 0, 100, meaning="Prior charges."),
        Column("charge_degree", "category", categories=("F", "M"), meaning="Felony or misdemeanour."),
        Column("jail_days", "integer", 0, 0, 2000, unit="days", meaning="Days in jail for the charge."),
        Column("two_year_recidivism", "category", categories=("no", "yes"), meaning="Charged again within two years."),
    ),
    "two_year_recidivism",
    ("race", "sex"),
    (),
    "ProPublica, Machine Bias (2016), compas-scores-two-years.csv",
)


def read_compas(path: Path) -> Cohort:
    """Return the cohort of ProPublica's file, after its own filters; what these leave out is in ``counts``.

    Raises:
        CohortError: the file is missing, or isn't ProPublica's; no message holds a value.
    """
    if not path.is_file():
        raise CohortError(f"no file {path}: expected ProPublica's compas-scores-two-years.csv")
    failed = ""
    try:
        rows = duckdb.connect().sql(cohort_sql("compas"), params={"path": str(path)}).to_arrow_table()
        counts = duckdb.connect().sql(cohort_sql("compas_counts"), params={"path": str(path)}).to_arrow_table()
        return Cohort(SCHEMA, rows, counts=counts.to_pylist()[0])
    except duckdb.Error as error:  # its message may quote a row
        failed = type(error).__name__
    raise CohortError(
        f"{path} isn't ProPublica's ({failed}): expected a comma-separated file with the columns id, "
        "sex, age, race, priors_count, days_b_screening_arrest, c_charge_degree, two_year_recid, ..."
    )
