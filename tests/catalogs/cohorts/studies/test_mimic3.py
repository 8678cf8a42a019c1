"""MIMIC-III: look-alike tables against what is true of them, rule by rule; and no value in any message."""

from __future__ import annotations

import gzip
import hashlib
import logging
import re
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.compute as pc
import pytest

from benchmarks.speed.mimic3_memory import generate
from fairshards.catalogs.cohorts.cohort import Cohort, read_cohort
from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.cohorts.studies.mimic3 import Mimic3, read_mimic3, read_mimic3_outcomes
from fairshards.catalogs.cohorts.studies.mimic3_schema import CHANNELS, SCHEMA
from fairshards.pipeline.recipe.records import CohortSource
from fairshards.pipeline.records.cohort import read_and_check, reading_lines
from tests.catalogs.mimic3_lookalike import ADMITTED, TRUE, Hospital, Stay, Truth, dirty_hospital

SQL = files("fairshards.catalogs") / "sql" / "cohorts" / "mimic3"
PLANTED = "ZZPLANTED77"
DAYS = timedelta(days=1)


def read(hospital: Hospital, folder: Path) -> Mimic3:
    return read_mimic3_outcomes(hospital.write(folder), threads=1)


def row(hospital: Hospital, folder: Path) -> dict[str, Any]:
    """Return the only row of a hospital's cohort."""
    (only,) = read(hospital, folder).cohort.rows.to_pylist()
    return only


def one_stay(**columns: Any) -> tuple[Hospital, Stay]:
    hospital = Hospital()
    stay = hospital.admit(7, **columns)
    hospital.chart(stay, 211, 1, 80)
    return hospital, stay


# ---- measurements, against the truth -----------------------------------------------------------------


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Truth, Cohort, Path]:
    hospital, truth = dirty_hospital()
    folder = hospital.write(tmp_path_factory.mktemp("dirty"))
    return truth, read_mimic3(folder, threads=1), folder


def in_order(stays: list[Stay]) -> list[Stay]:
    return sorted(stays, key=lambda stay: hashlib.md5(f"mimic3 row:{stay.icu}".encode()).hexdigest())


@pytest.mark.parametrize("channel", [name for name in TRUE if name not in ("height", "weight")])
def test_mean_least_and_largest_are_the_true_ones(channel: str, dirty: tuple[Truth, Cohort, Path]) -> None:
    truth, cohort, _ = dirty
    decimals = TRUE[channel][2]
    for stay, found in zip(in_order(truth.stays), cohort.rows.to_pylist(), strict=True):
        values = [value for _, value in truth.measured.get((stay.icu, channel), [])]
        if not values:
            assert [found[f"{channel}_{key}"] for key in ("mean", "min", "max")] == [None] * 3
            continue
        assert (found[f"{channel}_min"], found[f"{channel}_max"]) == (min(values), max(values))
        exact = sum(Fraction(str(value)) for value in values) / len(values)
        assert abs(found[f"{channel}_mean"] - exact) <= 0.5 * 10.0 ** -(decimals + 1) + 1e-9


@pytest.mark.parametrize("channel", ["height", "weight"])
def test_height_and_weight_are_medians(channel: str, dirty: tuple[Truth, Cohort, Path]) -> None:
    truth, cohort, _ = dirty
    for stay, found in zip(in_order(truth.stays), cohort.rows[channel].to_pylist(), strict=True):
        values = sorted(value for _, value in truth.measured.get((stay.icu, channel), []))
        assert found == (values[(len(values) - 1) // 2] if values else None)


def test_the_coma_scale_is_one_charting_at_worst_and_one_at_last(dirty: tuple[Truth, Cohort, Path]) -> None:
    truth, cohort, _ = dirty
    for stay, found in zip(in_order(truth.stays), cohort.rows.to_pylist(), strict=True):
        charted = truth.scores.get(stay.icu, {})
        worst = min(charted.items(), key=lambda one: (one[1][3], one[0]), default=(0, (None,) * 4))[1]
        last = max(charted.items(), default=(0, (None,) * 4))[1]
        for key, scores in (("worst", worst), ("last", last)):
            assert tuple(found[f"gcs_{part}_{key}"] for part in ("eye", "motor", "verbal", "total")) == scores


def test_capillary_refill(dirty: tuple[Truth, Cohort, Path]) -> None:
    truth, cohort, _ = dirty
    words = {0: "normal", 1: "delayed", None: None}
    for stay, found in zip(in_order(truth.stays), cohort.rows.to_pylist(), strict=True):
        charted = sorted(truth.refill.get(stay.icu, []))
        assert found["capillary_refill_worst"] == words[max((delayed for _, delayed in charted), default=None)]
        assert found["capillary_refill_last"] == words[charted[-1][1] if charted else None]


def test_what_cannot_be_used_is_counted(dirty: tuple[Truth, Cohort, Path]) -> None:
    truth, cohort, _ = dirty
    for state, n in truth.unusable.items():
        assert sum(cohort.counts[f"{channel.name}_{state}"] for channel in CHANNELS) == n > 20
    for channel in TRUE:
        valid = sum(len(values) for (_, name), values in truth.measured.items() if name == channel)
        assert cohort.counts[f"{channel}_valid"] == valid


UNITS: list[tuple[int, object, dict[str, Any], str, object]] = [
    (223761, 98.6, {"VALUEUOM": "?F"}, "temperature_mean", 37),
    (223762, "98.6", {"VALUEUOM": "?C"}, "temperature_mean", 37),  # Fahrenheit under Celsius' label
    (678, 37, {}, "temperature_mean", 37),  # and the reverse
    (678, 60, {}, "temperature_mean", None),  # neither
    (3420, 40, {}, "fio2_mean", 0.4),
    (190, 0.4, {}, "fio2_mean", 0.4),
    (3420, 1, {}, "fio2_mean", 1),
    (3420, 80, {"VALUEUOM": "torr"}, "fio2_mean", None),
    (646, 0.97, {}, "oxygen_saturation_mean", 97),
    (226707, 70, {}, "height", 178),
    (226707, 178, {"VALUEUOM": "cm"}, "height", 178),
    (226730, 70, {"VALUEUOM": "Inch"}, "height", 178),
    (226531, 150, {}, "weight", 68),
    (763, 150, {"VALUEUOM": "lbs"}, "weight", 68),
    (226531, 68, {"VALUEUOM": "kg"}, "weight", 68),  # kilograms under pounds' label
    (3582, 2400, {}, "weight", 68),
    (3582, 9, {}, "weight", None),  # the ounces of a child's pounds and ounces
    (51, "120/80", {}, "systolic_bp_mean", 120),
    (8368, "120/80", {}, "diastolic_bp_mean", 80),
    (50931, ">500", {"VALUENUM": 500}, "glucose_mean", None),
    (50931, " 1.2e2 ", {}, "glucose_mean", 120),
    (50931, "", {"VALUENUM": 120}, "glucose_mean", 120),
    (50931, "nan", {}, "glucose_mean", None),
    (50931, "1e999", {}, "glucose_mean", None),
    (50820, "7.40 ", {"ICUSTAY_ID": "no column of LABEVENTS"}, "ph_mean", 7.4),
    (220739, "None", {}, "gcs_eye_worst", 1),
    (723, "1.0 ET/Trach", {}, "gcs_verbal_worst", 1),
    (454, "9 Dances", {}, "gcs_motor_worst", None),
    (223951, "normal <3 seconds", {}, "capillary_refill_worst", "normal"),
    (3348, "Other/Remarks", {}, "capillary_refill_worst", None),
    (220045, 200, {"ERROR": 1}, "heart_rate_max", 90),
]


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Return the cohort with one stay for each line above, in their order."""
    hospital, stays = Hospital(), []
    for subject, (item, value, columns, _, _) in enumerate(UNITS):
        stays.append(hospital.admit(subject))
        hospital.chart(stays[-1], 211, 1, 90)
        hospital.chart(stays[-1], item, 2, value, **columns)
    cohort = read_mimic3(hospital.write(tmp_path_factory.mktemp("units")), threads=1)
    places = {stay.icu: place for place, stay in enumerate(in_order(stays))}
    return replace(cohort, rows=cohort.rows.take([places[stay.icu] for stay in stays]))


@pytest.mark.parametrize("line", range(len(UNITS)), ids=lambda line: f"{UNITS[line][:2]}")
def test_units_and_words(line: int, units: Cohort) -> None:
    *_, column, expected = UNITS[line]
    assert units.rows[column][line].as_py() == expected


def test_what_has_no_number_is_unreadable_and_a_wrong_number_is_out_of_range(units: Cohort) -> None:
    assert (units.counts["glucose_unreadable"], units.counts["glucose_out_of_range"]) == (2, 1)
    assert (units.counts["gcs_motor_out_of_range"], units.counts["capillary_refill_unreadable"]) == (1, 1)
    assert units.counts["heart_rate_marked_wrong"] == 1


def test_the_last_coma_scale_is_a_complete_one_if_there_is_any(tmp_path: Path) -> None:
    hospital, stay = one_stay()
    for item, hour, value in (
        (184, 2, "4 Spontaneously"),
        (454, 2, "6 Obeys Commands"),
        (723, 2, "5 Oriented"),
        (184, 9, "1 No Response"),
    ):
        hospital.chart(stay, item, hour, value)
    found = row(hospital, tmp_path)
    assert (found["gcs_eye_worst"], found["gcs_eye_last"], found["gcs_total_last"]) == (4, 4, 15)


def test_events_of_the_stay_and_the_48_hours_only(tmp_path: Path) -> None:
    hospital, stay = one_stay()
    other = hospital.admit(7, admitted=ADMITTED + 300 * DAYS, hours=10)
    hospital.chart(stay, 211, 0, 100)
    hospital.chart(stay, 211, 48, 60)
    hospital.chart(stay, 211, 24, 110, ICUSTAY_ID=None)  # by HADM_ID
    hospital.chart(stay, 211, 24, 120, HADM_ID=None)  # by ICUSTAY_ID
    for hour, value, columns in (
        (-0.01, 200, {}),
        (48.01, 200, {}),
        (24, 200, {"ICUSTAY_ID": other.icu}),
        (24, 200, {"ICUSTAY_ID": None, "HADM_ID": None}),
        (24, 200, {"CHARTTIME": "noon"}),
        (24, 200, {"ITEMID": 212}),
    ):
        hospital.chart(stay, 211, hour, value, **columns)
    found = row(hospital, tmp_path)
    assert (found["heart_rate_min"], found["heart_rate_max"]) == (60, 120)
    assert found["heart_rate_mean"] == (80 + 100 + 60 + 110 + 120) / 5


# ---- who is in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "columns"),
    [
        ("transfer", {"LAST_CAREUNIT": "CCU"}),
        ("transfer", {"LAST_WARDID": 7}),
        ("transfer", {"FIRST_WARDID": None}),
        ("under_18", {"age": 17.9}),
        ("under_48_hours", {"hours": 47.9}),
        ("death_within_48_hours", {"DEATHTIME": ADMITTED + DAYS, "HOSPITAL_EXPIRE_FLAG": 1}),
    ],
)
def test_a_rule_leaves_a_stay_out(count: str, columns: dict[str, Any], tmp_path: Path) -> None:
    hospital, _ = one_stay()
    hospital.chart(hospital.admit(8, **columns), 211, 1, 80)
    cohort = read(hospital, tmp_path).cohort
    assert cohort.counts["stays"] == cohort.rows.num_rows == 1
    assert cohort.counts[f"left_out_{count}"] == 1 and not cohort.rejects


def test_an_admission_with_several_stays_is_left_out_unless_all_but_one_are_transfers(tmp_path: Path) -> None:
    hospital, _ = one_stay()
    for subject, unit in ((8, "MICU"), (9, "CCU")):
        stay = hospital.admit(subject)
        hospital.chart(stay, 211, 1, 80)
        again = dict(hospital.tables["ICUSTAYS"][-1], ICUSTAY_ID=stay.icu + 50_000, LAST_CAREUNIT=unit)
        hospital.tables["ICUSTAYS"].append(again)
    cohort = read(hospital, tmp_path).cohort
    assert (cohort.counts["left_out_several_stays"], cohort.counts["left_out_transfer"]) == (2, 1)
    assert cohort.counts["stays"] == cohort.counts["patients"] == 2


def test_a_stay_without_a_usable_measurement_is_left_out(tmp_path: Path) -> None:
    hospital, _ = one_stay()
    hospital.chart(hospital.admit(8), 211, 1, "ERROR")
    hospital.admit(9)
    cohort = read(hospital, tmp_path).cohort
    assert (cohort.counts["left_out_no_measurement"], cohort.rows.num_rows) == (2, 1)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("missing_id", {"ICUSTAY_ID": None}),
    ("missing_intime", {"INTIME": None}),
    ("missing_outtime", {"OUTTIME": None}),
    ("missing_outtime", {"OUTTIME": "2150-13-45 00:00:00"}),
    ("out_before_in", {"OUTTIME": ADMITTED}),
    ("missing_admittime", {"ADMITTIME": None}),
    ("missing_dischtime", {"DISCHTIME": None}),
    ("missing_dob", {"DOB": "unknown"}),
    ("death_before_admission", {"DEATHTIME": ADMITTED - DAYS / 24}),
    ("death_before_admission", {"DOD": datetime(2150, 2, 28)}),
    ("death_before_stay", {"DEATHTIME": ADMITTED + DAYS / 24}),
]


def test_data_that_cannot_be_right_are_rejected(tmp_path: Path) -> None:
    hospital, _ = one_stay()
    for subject, (_, columns) in enumerate(WRONG, 10):
        hospital.chart(hospital.admit(subject, **columns), 211, 1, 80)
    cohort = read(hospital, tmp_path).cohort
    assert [(one.row, one.reason) for one in cohort.rejects] == [(n, reason) for n, (reason, _) in enumerate(WRONG, 1)]
    assert (cohort.counts["stays_rejected"], cohort.rows.num_rows) == (len(WRONG), 1)
    assert not any(re.search(r"\d", one.detail) for one in cohort.rejects)


def test_a_stay_that_is_there_twice_is_used_once_and_so_are_people(tmp_path: Path) -> None:
    hospital, _ = one_stay()
    for table in ("ICUSTAYS", "ADMISSIONS", "PATIENTS"):
        hospital.tables[table] *= 2
    cohort = read(hospital, tmp_path).cohort
    assert [(one.row, one.reason) for one in cohort.rejects] == [(1, "duplicate_stay")]
    assert cohort.counts["stays"] == 1


@pytest.mark.parametrize(("table", "reason"), [("ADMISSIONS", "no_admission"), ("PATIENTS", "no_patient")])
def test_a_stay_of_nobody_is_rejected(table: str, reason: str, tmp_path: Path) -> None:
    hospital, _ = one_stay()
    hospital.admit(8)
    hospital.tables[table][-1]["SUBJECT_ID"] = 9
    assert [one.reason for one in read(hospital, tmp_path).cohort.rejects] == [reason]


# ---- label, protected attributes, split, outcomes ------------------------------------------------------


PEOPLE: list[tuple[str, object, dict[str, Any]]] = [
    ("ethnicity", "white", {"ETHNICITY": "WHITE - RUSSIAN"}),
    ("ethnicity", "black", {"ETHNICITY": "BLACK/AFRICAN AMERICAN"}),
    ("ethnicity", "hispanic", {"ETHNICITY": "HISPANIC/LATINO - PUERTO RICAN"}),
    ("ethnicity", "asian", {"ETHNICITY": "ASIAN - VIETNAMESE"}),
    ("ethnicity", "other", {"ETHNICITY": "AMERICAN INDIAN/ALASKA NATIVE"}),
    ("ethnicity", "unknown", {"ETHNICITY": "UNKNOWN/NOT SPECIFIED"}),
    ("ethnicity", "unknown", {"ETHNICITY": "UNABLE TO OBTAIN"}),
    ("ethnicity", "unknown", {"ETHNICITY": "PATIENT DECLINED TO ANSWER"}),
    ("ethnicity", "unknown", {"ETHNICITY": None}),
    ("sex", "male", {"GENDER": "M"}),
    ("sex", None, {"GENDER": "?"}),
    ("insurance", "self pay", {"INSURANCE": "Self Pay"}),
    ("insurance", None, {"INSURANCE": "Barter"}),
    ("age_band", "18-44", {"DOB": datetime(2132, 3, 1)}),  # 18 today
    ("age_band", "18-44", {"DOB": datetime(2105, 3, 2)}),  # 45 tomorrow
    ("age_band", "45-64", {"DOB": datetime(2105, 3, 1)}),
    ("age_band", "65-79", {"DOB": datetime(2085, 3, 1)}),
    ("age_band", "80+", {"DOB": datetime(2070, 3, 1)}),
    ("age_band", "80+", {"DOB": datetime(1850, 3, 1)}),  # shifted by 300 years
    ("in_hospital_death", "no", {}),
    ("in_hospital_death", "yes", {"HOSPITAL_EXPIRE_FLAG": 1}),
    ("in_hospital_death", "yes", {"DEATHTIME": ADMITTED + 4 * DAYS}),
    ("in_hospital_death", "yes", {"DOD": datetime(2150, 3, 5)}),
    ("in_hospital_death", "no", {"DOD": datetime(2150, 4, 5)}),  # after discharge
    ("in_hospital_death", "no", {"DEATHTIME": "", "HOSPITAL_EXPIRE_FLAG": None}),
]


def test_protected_attributes_and_death(tmp_path: Path) -> None:
    hospital = Hospital()
    stays = [hospital.admit(subject, **columns) for subject, (*_, columns) in enumerate(PEOPLE)]
    for stay in stays:
        hospital.chart(stay, 211, 1, 80)
    found = dict(zip(in_order(stays), read(hospital, tmp_path).cohort.rows.to_pylist(), strict=True))
    for stay, (column, expected, columns) in zip(stays, PEOPLE, strict=True):
        assert found[stay][column] == expected, columns


def test_the_split_is_by_patient_four_to_one(dirty: tuple[Truth, Cohort, Path], tmp_path: Path) -> None:
    hospital, expected = Hospital(), []
    for subject in range(400):
        hospital.chart(hospital.admit(subject), 211, 1, 80)
        test = int(hashlib.md5(f"mimic3:{subject}".encode()).hexdigest()[:8], 16) % 5 == 0
        expected.append("test" if test else "train")
    found = read_mimic3(hospital.write(tmp_path), threads=1).rows["split"].to_pylist()
    assert sorted(found) == sorted(expected) and 60 < found.count("test") < 100
    truth, cohort, _ = dirty  # two stays a patient
    splits: dict[int, set[str]] = {}
    for stay, split in zip(in_order(truth.stays), cohort.rows["split"].to_pylist(), strict=True):
        splits.setdefault(stay.subject, set()).add(split)
    assert len(splits) == 20 and all(len(one) == 1 for one in splits.values())


def test_outcomes_are_beside_the_rows(tmp_path: Path) -> None:
    hospital = Hospital()
    stays = [hospital.admit(subject, hours=48 + subject) for subject in range(8)]
    for stay in stays:
        hospital.chart(stay, 211, 1, 80 + stay.subject)
    hospital.diagnose(stays[0], "0389", "99592", "78552", "51881")
    hospital.diagnose(stays[1], "41071", "4019", "25000", "2724")
    hospital.diagnose(stays[2], "25013", "5849", "40391", "V5861", "7806", "2766")
    hospital.diagnose(stays[3], "27661")  # 2766 was divided, and this half is a complication
    found = read(hospital, tmp_path)
    shown = {}
    for cohort_row, outcome in zip(found.cohort.rows.to_pylist(), found.outcomes.to_pylist(), strict=True):
        subject = cohort_row["heart_rate_min"] - 80
        assert outcome.pop("los_days") == pytest.approx((48 + subject) / 24, abs=1e-4)
        assert len(outcome) == 25
        shown[subject] = {name for name, there in outcome.items() if there}
    assert shown[0] == {"septicemia", "shock", "respiratory_failure"}
    assert shown[1] == {
        "acute_myocardial_infarction",
        "essential_hypertension",
        "diabetes_without_complications",
        "lipid_disorders",
    }
    assert shown[2] == {
        "diabetes_with_complications",
        "acute_renal_failure",
        "hypertension_with_complications",
        "fluid_and_electrolyte_disorders",
    }
    assert shown[3] == {"complications_of_care"}
    assert not any(shown[subject] for subject in range(4, 8))


def test_no_diagnosis_prefix_is_in_two_phenotypes() -> None:
    con = duckdb.connect()
    con.execute((SQL / "phenotypes.sql").read_text().split("CREATE TEMP TABLE diagnoses")[0])
    clashes = """SELECT a.prefix FROM phenotype_prefixes AS a JOIN phenotype_prefixes AS b
                 ON starts_with(a.prefix, b.prefix) AND (a.prefix, a.phenotype) <> (b.prefix, b.phenotype)"""
    assert con.execute(clashes).fetchall() == []


# ---- the table ---------------------------------------------------------------------------------------


def test_rows_are_the_schemas_and_keep_its_rules(dirty: tuple[Truth, Cohort, Path]) -> None:
    _, cohort, _ = dirty
    assert cohort.rows.column_names == [*SCHEMA.names, "split"]
    assert len(SCHEMA.names) == 47 and not [name for name in cohort.rows.column_names if name.endswith("_id")]
    for column in SCHEMA.columns:
        values = pc.drop_null(cohort.rows[column.name])
        if column.kind == "category":
            assert set(values.to_pylist()) <= set(column.categories)
        else:
            assert column.low <= pc.min(values).as_py() and pc.max(values).as_py() <= column.high
    con = duckdb.connect()
    con.register("people", cohort.rows)
    for rule in SCHEMA.rules:
        assert con.execute(f"SELECT count(*) FROM people WHERE NOT ({rule.sql})").fetchall() == [(0,)], rule


def test_it_is_the_same_from_gzip_in_lower_case_in_any_order_and_with_threads(
    dirty: tuple[Truth, Cohort, Path], tmp_path: Path
) -> None:
    hospital, _ = dirty_hospital()
    for rows in hospital.tables.values():
        rows.reverse()
    folder = hospital.write(tmp_path / "tables", gz=("CHARTEVENTS", "PATIENTS"), lower=True)
    work = tmp_path / "work"
    work.mkdir()
    again = read_mimic3(folder, threads=2, work=work)
    assert again.rows.equals(dirty[1].rows) and again.counts == dirty[1].counts
    assert not list(work.iterdir())


def test_it_is_written_and_read(dirty: tuple[Truth, Cohort, Path], tmp_path: Path) -> None:
    dirty[1].write(tmp_path / "cohort.parquet")
    again = read_cohort(tmp_path / "cohort.parquet")
    assert again.schema == SCHEMA and again.rows.equals(dirty[1].rows)


@pytest.mark.parametrize("name", sorted(one.name for one in SQL.iterdir()))
def test_the_first_line_is_the_question(name: str) -> None:
    first = (SQL / name).read_text().splitlines()[0]
    assert first.startswith("-- ") and "?" in first


def test_the_benchmarks_look_alikes_are_read(tmp_path: Path) -> None:
    generate(tmp_path, 20_000)
    cohort = read_mimic3(tmp_path, threads=1)
    assert cohort.rows.num_rows > 1000
    assert 75 < pc.mean(cohort.rows["heart_rate_mean"]).as_py() < 85


# ---- errors, and no value in them --------------------------------------------------------------------


def planted(folder: Path) -> Path:
    """Write tables with a recognisable value wherever a patient's may stand, in readable rows and in others."""
    hospital, stay = one_stay(ETHNICITY=f"{PLANTED} - X", INSURANCE=PLANTED, GENDER=PLANTED)
    hospital.admit(8, OUTTIME=PLANTED)
    hospital.admit(9, DEATHTIME=PLANTED, DOB=PLANTED)
    for item in (211, 50931, 220739, 3348, 51, 678):
        hospital.chart(stay, item, 1, PLANTED, VALUENUM=PLANTED, VALUEUOM=PLANTED)
    hospital.chart(stay, 211, 1, 80, CHARTTIME=PLANTED, ITEMID=PLANTED, ICUSTAY_ID=PLANTED, HADM_ID=PLANTED)
    hospital.diagnose(stay, PLANTED)
    hospital.write(folder)
    with (folder / "CHARTEVENTS.csv").open("a") as file:
        file.write(f'1,2,"{PLANTED}\n3,4,{PLANTED}"x",5\n{PLANTED}\n' + ",".join([PLANTED] * 40) + "\n")
    with (folder / "DIAGNOSES_ICD.csv").open("a") as file:
        file.write(f"{PLANTED},{PLANTED}\n")
    return folder


def edit(folder: Path, table: str, old: str, new: str) -> None:
    path = folder / f"{table}.csv"
    path.write_text(path.read_text().replace(old, new))


def unlinked(folder: Path) -> None:
    for name in ("ADMISSIONS", "LABEVENTS"):
        (folder / f"{name}.csv").unlink()


def cut(folder: Path) -> None:
    path = folder / "CHARTEVENTS.csv"
    lines = [f"{n},{PLANTED},{n * n}" + "," * 12 for n in range(50_000)]
    data = gzip.compress((path.read_text() + "\n".join(lines)).encode())
    (folder / "CHARTEVENTS.csv.gz").write_bytes(data[: len(data) // 2])
    path.unlink()


def headless(folder: Path) -> None:
    path = folder / "PATIENTS.csv"
    path.write_text("\n".join([f"{PLANTED},{PLANTED}1,M", *path.read_text().splitlines()[1:]]))


def swallowed(folder: Path) -> None:
    with (folder / "CHARTEVENTS.csv").open("a") as file:
        file.writelines(f"1;{PLANTED};{n}\n" for n in range(2000))


def mimic4(folder: Path) -> None:
    (folder / "PATIENTS.csv").write_text(f"subject_id,gender,anchor_age,anchor_year,dod\n1,{PLANTED},60,2150,\n")


BREAKS = {
    "lacks 2 of the 6 tables of MIMIC-III that are read: ADMISSIONS, LABEVENTS. Expected e.g. ADMISSIONS.csv": unlinked,
    "lacks the columns INTIME, OUTTIME: its first line has 12 names": lambda f: [
        edit(f, "ICUSTAYS", f'"{name}"', f'"{name}_"') for name in ("INTIME", "OUTTIME")
    ],
    "lacks the columns SUBJECT_ID, GENDER, DOB, DOD: its first line has 3 names": headless,
    "has 1 column in its first line, expected .* separated by commas; it seems to be separated by semicolons": (
        lambda f: edit(f, "ADMISSIONS", ",", ";")
    ),
    "has 0 columns in its first line": lambda f: (f / "ADMISSIONS.csv").write_text(""),
    r"ADMISSIONS.csv can't be read \(Error\)": lambda f: (f / "ADMISSIONS.csv").write_bytes(f"a\r{PLANTED}".encode()),
    r"can't be read \(\w+Exception in events.sql\): a file seems to be cut short": cut,
    r"PATIENTS.csv.gz can't be read \(BadGzipFile\)": lambda f: (f / "PATIENTS.csv").rename(f / "PATIENTS.csv.gz"),
    "names a column twice": lambda f: edit(f, "ICUSTAYS", '"LOS"', '"intime"'),
    "1,000 or more rows whose columns aren't its header's": swallowed,
    r"no stay of .* is left: ICUSTAYS has 3 rows, of which 2 rejected, left out: 1 under 48 hours": lambda f: edit(
        f, "ICUSTAYS", "2150-03-04 16", "2150-03-03 14"
    ),
    r"holds MIMIC-IV \(hosp/ and icu/\)": lambda f: [(f / name).mkdir() for name in ("hosp", "icu")],
    r"holds MIMIC-IV \(anchor_age in patients\)": mimic4,
}


@pytest.mark.parametrize("message", BREAKS)
def test_an_error_says_what_was_expected_and_no_value(
    message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = planted(tmp_path / "tables")
    BREAKS[message](folder)
    with caplog.at_level(logging.DEBUG), pytest.raises(CohortError, match=message) as raised:
        read_mimic3_outcomes(folder, threads=1)
    assert raised.value.__cause__ is None and raised.value.__context__ is None
    out = capfd.readouterr()
    for text in (str(raised.value), repr(raised.value), caplog.text, out.out, out.err):
        assert PLANTED.lower() not in text.lower()


def test_a_cohort_that_can_be_read_holds_no_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        found = read_mimic3_outcomes(planted(tmp_path), threads=1)
    assert found.cohort.rows.to_pylist()[0]["ethnicity"] == "other"
    assert found.cohort.counts["malformed_chartevents"] >= 2 and found.cohort.counts["malformed_diagnoses_icd"] == 1
    assert [one.reason for one in found.cohort.rejects] == ["missing_outtime", "missing_dob"]
    out = capfd.readouterr()
    everything = (
        found.cohort.rejects,
        dict(found.cohort.counts),
        found.cohort.schema,
        found.cohort.rows.to_pylist(),
        found.outcomes.to_pylist(),
        caplog.text,
        out.out,
        out.err,
    )
    assert PLANTED.lower() not in repr(everything).lower()


def test_no_folder_and_settings_that_duckdb_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"no folder .*nowhere: expected the folder with MIMIC-III's CSV files"):
        read_mimic3(tmp_path / "nowhere")
    folder = one_stay()[0].write(tmp_path / "tables")
    with pytest.raises(CohortError, match=r"memory='much'.*expected e\.g\. memory='3GB'"):
        read_mimic3(folder, memory="much")
    with pytest.raises(CohortError, match=r"memory='1MB' isn't enough"):
        read_mimic3(folder, memory="1MB", threads=1)


def test_diagnoses_are_needed_for_outcomes_only(tmp_path: Path) -> None:
    folder = one_stay()[0].write(tmp_path)
    (folder / "DIAGNOSES_ICD.csv").unlink()
    assert read_mimic3(folder, threads=1).rows.num_rows == 1
    with pytest.raises(CohortError, match="lacks 1 of the 6 tables of MIMIC-III that are read: DIAGNOSES_ICD"):
        read_mimic3_outcomes(folder, threads=1)


def test_a_table_that_lies_there_twice_is_told_of_and_malformed_rows_reach_the_runs_lines(tmp_path: Path) -> None:
    folder = dirty_hospital(patients=60)[0].write(tmp_path, gz=["CHARTEVENTS"])
    (packed,) = folder.glob("CHARTEVENTS.csv.gz")
    whole = gzip.decompress(packed.read_bytes())
    assert read_mimic3(folder, threads=1).remarks == ()
    (folder / "CHARTEVENTS.csv").write_bytes(whole)
    (said,) = read_mimic3(folder, threads=1).remarks
    assert said == "CHARTEVENTS.csv is read, and CHARTEVENTS.csv.gz beside it is not"
    rows = whole.splitlines(keepends=True)
    (folder / "CHARTEVENTS.csv").write_bytes(b"".join(rows[: len(rows) // 2]) + rows[len(rows) // 2][:9])
    source = CohortSource(reader="mimic3", path=str(folder), attribute="sex", smallest_group=1)
    checked, _, values, counts = read_and_check(source)
    said = list(reading_lines(checked, "sex", values, counts))
    assert said[1].startswith("cohort mimic3: CHARTEVENTS.csv is read") and "may be cut short" in said[1]
    malformed = checked.counts["malformed_chartevents"]
    assert malformed >= 1 and f"were left out: malformed_chartevents {malformed}" in said[2]
