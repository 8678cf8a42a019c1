"""Look-alikes of MIMIC-III's tables: its headers, its dirt, invented people. What is true of them is kept beside.

``Hospital`` makes tables by hand. ``dirty_hospital`` fills one by chance; it knows the true measurements, in the
channel's unit, and writes them as MIMIC does: Fahrenheit, percents, pounds, words, blanks, with ICUSTAY_ID or without.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

HEADERS = {
    "PATIENTS": "ROW_ID SUBJECT_ID GENDER DOB DOD DOD_HOSP DOD_SSN EXPIRE_FLAG",
    "ADMISSIONS": "ROW_ID SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ADMISSION_TYPE ADMISSION_LOCATION "
    "DISCHARGE_LOCATION INSURANCE LANGUAGE RELIGION MARITAL_STATUS ETHNICITY EDREGTIME EDOUTTIME DIAGNOSIS "
    "HOSPITAL_EXPIRE_FLAG HAS_CHARTEVENTS_DATA",
    "ICUSTAYS": "ROW_ID SUBJECT_ID HADM_ID ICUSTAY_ID DBSOURCE FIRST_CAREUNIT LAST_CAREUNIT FIRST_WARDID LAST_WARDID "
    "INTIME OUTTIME LOS",
    "CHARTEVENTS": "ROW_ID SUBJECT_ID HADM_ID ICUSTAY_ID ITEMID CHARTTIME STORETIME CGID VALUE VALUENUM VALUEUOM "
    "WARNING ERROR RESULTSTATUS STOPPED",
    "LABEVENTS": "ROW_ID SUBJECT_ID HADM_ID ITEMID CHARTTIME VALUE VALUENUM VALUEUOM FLAG",
    "DIAGNOSES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
}
ADMITTED = datetime(2150, 3, 1, 12)


@dataclass(frozen=True)
class Stay:
    """An ICU stay's ids and when it began."""

    subject: int
    hadm: int
    icu: int
    intime: datetime


@dataclass
class Hospital:
    """Tables that grow: each row is the columns that aren't empty."""

    tables: dict[str, list[dict[str, object]]] = field(default_factory=lambda: {name: [] for name in HEADERS})

    def add(self, table: str, **columns: object) -> None:
        rows = self.tables[table]
        rows.append({"ROW_ID": len(rows) + 1, **columns})

    def admit(
        self, subject: int, *, hours: float = 72, age: float = 60, admitted: datetime = ADMITTED, **columns: object
    ) -> Stay:
        """Add a stay in its own admission (and the patient, if new); columns of any of the three tables override."""
        number = len(self.tables["ICUSTAYS"])
        stay = Stay(subject, 100_001 + number, 200_001 + number, admitted + timedelta(hours=4))
        people = {row["SUBJECT_ID"] for row in self.tables["PATIENTS"]}
        if subject not in people:
            dob = (admitted - timedelta(days=round(age * 365.25))).replace(hour=0)
            self._add("PATIENTS", {"SUBJECT_ID": subject, "GENDER": "F", "DOB": dob, "EXPIRE_FLAG": 0}, columns)
        ids = {"SUBJECT_ID": subject, "HADM_ID": stay.hadm}
        discharged = admitted + timedelta(days=round(hours / 24) + 2)
        self._add(
            "ADMISSIONS",
            {
                **ids,
                "ADMITTIME": admitted,
                "DISCHTIME": discharged,
                "ADMISSION_TYPE": "EMERGENCY",
                "INSURANCE": "Medicare",
                "ETHNICITY": "WHITE",
                "HOSPITAL_EXPIRE_FLAG": 0,
                "DIAGNOSIS": 'CHEST PAIN, "UNSTABLE"',
                "HAS_CHARTEVENTS_DATA": 1,
            },
            columns,
        )
        outtime = stay.intime + timedelta(seconds=round(3600 * hours))
        self._add(
            "ICUSTAYS",
            {
                **ids,
                "ICUSTAY_ID": stay.icu,
                "DBSOURCE": "carevue",
                "FIRST_CAREUNIT": "MICU",
                "LAST_CAREUNIT": "MICU",
                "FIRST_WARDID": 52,
                "LAST_WARDID": 52,
                "INTIME": stay.intime,
                "OUTTIME": outtime,
                "LOS": round(hours / 24, 4),
            },
            columns,
        )
        return stay

    def _add(self, table: str, defaults: dict[str, object], columns: dict[str, object]) -> None:
        self.add(table, **{**defaults, **{k: v for k, v in columns.items() if k in HEADERS[table].split()}})

    def chart(self, stay: Stay, itemid: int, hour: float, value: object, **columns: object) -> None:
        """Chart a value some hours after the stay's start: in LABEVENTS if the ITEMID is the laboratory's."""
        ids = {"SUBJECT_ID": stay.subject, "HADM_ID": stay.hadm, "ITEMID": itemid}
        ids["CHARTTIME"] = stay.intime + timedelta(seconds=round(3600 * hour))  # type: ignore[assignment]
        if 50_800 <= itemid < 52_000:
            self.add("LABEVENTS", **{**ids, "VALUE": value, **columns})
        else:
            self.add("CHARTEVENTS", **{**ids, "ICUSTAY_ID": stay.icu, "VALUE": value, "CGID": 17525, **columns})

    def diagnose(self, stay: Stay, *codes: str) -> None:
        for number, code in enumerate(codes, 1):
            self.add("DIAGNOSES_ICD", SUBJECT_ID=stay.subject, HADM_ID=stay.hadm, SEQ_NUM=number, ICD9_CODE=code)

    def write(self, folder: Path, gz: Collection[str] = (), lower: bool = False) -> Path:
        """Write the tables as PhysioNet does: every text in quotes, numbers and times bare."""
        folder.mkdir(parents=True, exist_ok=True)
        for table, rows in self.tables.items():
            names = HEADERS[table].split()
            lines: list[list[object]] = [[name.lower() if lower else name for name in names]]
            lines += [[row.get(name) for name in names] for row in rows]
            data = "".join(",".join(map(_field, line)) + "\n" for line in lines).encode()
            name = f"{table.lower() if lower else table}.csv"
            if table in gz:
                data, name = gzip.compress(data), name + ".gz"
            (folder / name).write_bytes(data)
        return folder


def _field(value: object) -> str:
    return '"' + value.replace('"', '""') + '"' if isinstance(value, str) else "" if value is None else str(value)


# ---- by chance ---------------------------------------------------------------------------------------

ITEMS = {
    "heart_rate": (211, 220045),
    "systolic_bp": (51, 455, 220179),
    "diastolic_bp": (8368, 8441, 220180),
    "mean_bp": (52, 456, 220181),
    "respiratory_rate": (618, 220210, 615),
    "temperature": (676, 678, 223761, 223762),
    "oxygen_saturation": (646, 220277, 50817),
    "fio2": (3420, 223835, 190),
    "glucose": (807, 220621, 50931),
    "ph": (780, 223830, 50820),
    "height": (226730, 226707, 920),
    "weight": (763, 226512, 226531),
}
TRUE = {  # the least and the largest true value, and the decimals
    "heart_rate": (40, 160, 0),
    "systolic_bp": (90, 200, 0),
    "diastolic_bp": (30, 85, 0),
    "mean_bp": (50, 120, 0),
    "respiratory_rate": (8, 40, 0),
    "temperature": (34, 41, 1),
    "oxygen_saturation": (75, 100, 0),
    "fio2": (0.21, 1, 2),
    "glucose": (50, 400, 0),
    "ph": (6.9, 7.6, 2),
    "height": (150, 200, 0),
    "weight": (45, 140, 1),
}
EYE = {
    1: ("1 No Response", "None"),
    2: ("2 To pain", "To Pain"),
    3: ("3 To speech", "To Speech"),
    4: ("4 Spontaneously", "Spontaneously"),
}
MOTOR = {
    1: ("1 No Response", "No response"),
    2: ("2 Abnorm extensn", "Abnormal extension"),
    3: ("3 Abnorm flexion", "Abnormal Flexion"),
    4: ("4 Flex-withdraws", "Flex-withdraws"),
    5: ("5 Localizes Pain", "Localizes Pain"),
    6: ("6 Obeys Commands", "Obeys Commands"),
}
VERBAL = {
    1: ("1.0 ET/Trach", "No Response-ETT"),
    2: ("2 Incomp sounds", "Incomprehensible sounds"),
    3: ("3 Inapprop words", "Inappropriate Words"),
    4: ("4 Confused", "Confused"),
    5: ("5 Oriented", "Oriented"),
}
REFILL = {0: ("Normal <3 secs", "Brisk", "Normal <3 Seconds"), 1: ("Abnormal >3 secs", "Delayed")}


@dataclass
class Truth:
    """What is true of each stay's 48 hours, by ICUSTAY_ID, and how many values can't be used."""

    stays: list[Stay] = field(default_factory=list)
    measured: dict[tuple[int, str], list[tuple[float, float]]] = field(default_factory=dict)
    scores: dict[int, dict[float, tuple[int | None, int | None, int | None, int]]] = field(default_factory=dict)
    refill: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    unusable: dict[str, int] = field(default_factory=lambda: {"unreadable": 0, "out_of_range": 0, "marked_wrong": 0})


def dirty_hospital(seed: int = 0, patients: int = 40) -> tuple[Hospital, Truth]:
    """Return a hospital of adults' stays that are all in the cohort, and what is true of them."""
    chance, hospital, truth = random.Random(seed), Hospital(), Truth()
    for number in range(patients):
        stay = hospital.admit(
            10_000 + 7 * (number // 2), hours=chance.uniform(49, 200), admitted=ADMITTED + timedelta(days=400 * number)
        )
        truth.stays.append(stay)
        hospital.chart(stay, 211, 0, 80)
        truth.measured[stay.icu, "heart_rate"] = [(0, 80)]
        for channel in TRUE:
            for _ in range(chance.randrange(5)):
                _measure(chance, hospital, truth, stay, channel)
        for _ in range(chance.randrange(4)):
            _score(chance, hospital, truth, stay)
    for rows in hospital.tables.values():
        chance.shuffle(rows)
    return hospital, truth


def _measure(chance: random.Random, hospital: Hospital, truth: Truth, stay: Stay, channel: str) -> None:
    """Chart one value of a channel: usable, or outside the 48 hours, or one that can't be used."""
    low, high, decimals = TRUE[channel]
    value, item = round(chance.uniform(low, high), decimals), chance.choice(ITEMS[channel])
    hour = chance.choice([-0.5, 0, 48, 48.5, *(round(chance.uniform(0, 48), 2) for _ in range(12))])
    inside, lab = 0 <= hour <= 48, 50_800 <= item < 52_000
    text, columns = _written(chance, channel, item, value)
    if not lab and chance.random() < 0.2:
        columns["ICUSTAY_ID"] = None
    match chance.randrange(12):
        case 0:
            why, columns["VALUENUM"] = "unreadable", None
            text = chance.choice(["ERROR", "", "  ", "UNABLE", ">500", "___"])
        case 1:
            why, text = "out_of_range", 999999
        case 2 if not lab:
            why, columns["ERROR"] = "marked_wrong", 1
        case 3 if not lab:
            columns["ICUSTAY_ID"], why = 299_999, ""  # of another stay
        case _:
            why = "valid"
    hospital.chart(stay, item, hour, text, **columns)
    if inside and why == "valid":
        truth.measured.setdefault((stay.icu, channel), []).append((hour, value))
    elif inside and why:
        truth.unusable[why] += 1


def _written(chance: random.Random, channel: str, item: int, value: float) -> tuple[object, dict[str, object]]:
    """Return a true value as it is charted, and the columns that say its unit."""
    columns: dict[str, object] = {}
    written: object = value
    if channel == "temperature" and chance.random() < 0.5:  # whatever the label says
        written, columns["VALUEUOM"] = round(value * 9 / 5 + 32, 2), chance.choice(["?F", "Deg. F", "Deg. C", None])
    elif channel == "fio2" and chance.random() < 0.5:
        written, columns["VALUEUOM"] = round(value * 100), "%"
    elif channel == "oxygen_saturation" and chance.random() < 0.2:
        written = value / 100
    elif channel == "height" and item != 226730:
        written, columns["VALUEUOM"] = round(value / 2.54, 3), chance.choice(["Inch", None])
    elif channel == "weight" and (item == 226531 or chance.random() < 0.3):
        written, columns["VALUEUOM"] = round(value / 0.45359237, 3), "lbs" if item != 226531 else None
    elif channel in ("systolic_bp", "diastolic_bp") and chance.random() < 0.2:
        written = f"{value:.0f}/20" if channel == "systolic_bp" else f"240/{value:.0f}"
    if chance.random() < 0.1 and not isinstance(written, str):
        columns["VALUENUM"], written = written, ""
    elif chance.random() < 0.2:
        written = f"{written} "
    return written, columns


def _score(chance: random.Random, hospital: Hospital, truth: Truth, stay: Stay) -> None:
    """Chart the coma scale, with or without its parts or its total, and capillary refill."""
    hour, way = round(chance.uniform(0, 48), 3), chance.randrange(4)
    eye, motor, verbal = chance.randint(1, 4), chance.randint(1, 6), chance.randint(1, 5)
    new = chance.randrange(2)
    if way:
        parts = ((184, 220739), EYE[eye]), ((454, 223901), MOTOR[motor]), ((723, 223900), VERBAL[verbal])
        for items, words in parts:
            hospital.chart(stay, items[new], hour, words[new])
    if way < 3:
        wrong = way > 0 and chance.random() < 0.3  # a charted total that isn't the sum
        hospital.chart(stay, 198, hour, 3 if wrong else eye + motor + verbal)
    parts_there = (eye, motor, verbal) if way else (None, None, None)
    truth.scores.setdefault(stay.icu, {})[hour] = (*parts_there, eye + motor + verbal)
    delayed = chance.randrange(2)
    hospital.chart(stay, chance.choice([3348, 115, 223951]), hour, chance.choice(REFILL[delayed]))
    truth.refill.setdefault(stay.icu, []).append((hour, delayed))
