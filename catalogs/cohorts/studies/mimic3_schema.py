"""The columns of the MIMIC-III cohort, from 17 clinical channels over 48 hours, and the rules between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from fairshards.catalogs.cohorts.cohort import SPLIT
from fairshards.catalogs.cohorts.schema import Column, Rule, Schema


@dataclass(frozen=True)
class Channel:
    """A clinical channel: values outside low to high aren't used, and they are kept to ``decimals``."""

    name: str
    decimals: int
    low: float
    high: float
    unit: str
    meaning: str


CHANNELS = (
    Channel("heart_rate", 0, 10, 300, "1/min", "Heart rate"),
    Channel("systolic_bp", 0, 20, 300, "mmHg", "Systolic blood pressure, arterial or by cuff"),
    Channel("diastolic_bp", 0, 10, 250, "mmHg", "Diastolic blood pressure, arterial or by cuff"),
    Channel("mean_bp", 0, 14, 275, "mmHg", "Mean blood pressure, arterial or by cuff"),
    Channel("respiratory_rate", 0, 1, 100, "1/min", "Respiratory rate"),
    Channel("temperature", 1, 26, 45, "Celsius", "Body temperature"),
    Channel("oxygen_saturation", 0, 20, 100, "%", "Oxygen saturation, by pulse oximetry or blood gas"),
    Channel("fio2", 2, 0.2, 1, "", "Fraction of inspired oxygen"),
    Channel("glucose", 0, 10, 2000, "mg/dL", "Blood glucose"),
    Channel("ph", 2, 6.5, 8, "", "Blood pH"),
    Channel("height", 0, 100, 240, "cm", "Height, the median of what was charted"),
    Channel("weight", 1, 20, 300, "kg", "Weight, the median of what was charted"),
    Channel("gcs_eye", 0, 1, 4, "", "Glasgow coma scale, eye opening"),
    Channel("gcs_motor", 0, 1, 6, "", "Glasgow coma scale, motor response"),
    Channel("gcs_verbal", 0, 1, 5, "", "Glasgow coma scale, verbal response"),
    Channel("gcs_total", 0, 3, 15, "", "Glasgow coma scale, total"),
    Channel("capillary_refill", 0, 0, 1, "", "Capillary refill; 1 is delayed"),
)
SUMMARIZED, MEDIANS, SCORES = CHANNELS[:10], CHANNELS[10:12], CHANNELS[12:16]
SUMMARIES = {"mean": "mean of 48 hours", "min": "least of 48 hours", "max": "largest of 48 hours"}
CHARTINGS = {"worst": "in the charting of 48 hours with the lowest total", "last": "in the last charting of 48 hours"}


def _column(channel: Channel, suffix: str = "", meaning: str = "", more_decimals: int = 0) -> Column:
    decimals = channel.decimals + more_decimals
    kind: Literal["numeric", "integer"] = "numeric" if decimals else "integer"
    text = f"{channel.meaning}, {meaning}." if meaning else f"{channel.meaning}."
    return Column(channel.name + suffix, kind, decimals, channel.low, channel.high, unit=channel.unit, meaning=text)


def _category(name: str, categories: tuple[str, ...], meaning: str) -> Column:
    return Column(name, "category", categories=categories, meaning=meaning)


def _rules() -> tuple[Rule, ...]:
    ordered = [
        Rule(
            f"{one.name}: min, mean, max in order",
            f"{one.name}_min <= {one.name}_mean AND {one.name}_mean <= {one.name}_max",
        )
        for one in SUMMARIZED
    ]
    sums = [
        Rule(
            f"the coma scale's parts add up ({one})",
            f"gcs_eye_{one} + gcs_motor_{one} + gcs_verbal_{one} = gcs_total_{one}",
        )
        for one in CHARTINGS
    ]
    return (
        Rule("diastolic is at most systolic", "diastolic_bp_mean <= systolic_bp_mean"),
        *ordered,
        *sums,
        Rule("the worst coma scale is at most the last", "gcs_total_worst <= gcs_total_last"),
        Rule(
            "refill that is delayed at last was delayed",
            "capillary_refill_last = 'normal' OR capillary_refill_worst = 'delayed'",
        ),
    )


SCHEMA = Schema(
    name="mimic3",
    columns=(
        *(_column(one, f"_{key}", text, key == "mean") for one in SUMMARIZED for key, text in SUMMARIES.items()),
        *(_column(one) for one in MEDIANS),
        *(_column(one, f"_{key}", text) for key, text in CHARTINGS.items() for one in SCORES),
        _category("capillary_refill_worst", ("normal", "delayed"), "Capillary refill, worst of the first 48 hours."),
        _category("capillary_refill_last", ("normal", "delayed"), "Capillary refill, last of the first 48 hours."),
        _category("ethnicity", ("white", "black", "hispanic", "asian", "other", "unknown"), "Ethnicity, as charted."),
        _category("sex", ("female", "male"), "Sex."),
        _category("age_band", ("18-44", "45-64", "65-79", "80+"), "Age in years at the ICU stay's start."),
        _category("insurance", ("government", "medicaid", "medicare", "private", "self pay"), "Who pays."),
        _category("in_hospital_death", ("no", "yes"), "Died in the hospital admission of the ICU stay."),
    ),
    label="in_hospital_death",
    protected=("ethnicity", "sex", "age_band", "insurance"),
    rules=_rules(),
    source="MIMIC-III Clinical Database v1.4, PhysioNet; credentialed access; doi.org/10.13026/C2XW26",
    notes={
        "missing": "null: not measured in the first 48 hours, or no value was usable",
        "cohort": "the in-hospital mortality task of mimic3-benchmarks (Harutyunyan et al., Scientific Data 6:96, "
        "2019); catalogs/sql/cohorts/mimic3 says where it differs",
    },
)

ARROW = {"category": pa.string(), "integer": pa.int64(), "numeric": pa.float64()}
ROWS = pa.schema([*((one.name, ARROW[one.kind]) for one in SCHEMA.columns), (SPLIT, pa.string())])
"""The columns of the cohort's rows: the schema's in order, then split."""
