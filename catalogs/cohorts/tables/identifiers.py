"""Columns that say who a row is of, by their names and by how their values repeat."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

FEWEST, FEWEST_PEOPLE = 20, 5
"""Rows, or people, below which repetition says nothing."""
UNIQUE = 0.95
"""Share of rows with a value of their own, from which an id is one of rows."""
ROWS_EACH = 50
MEASURED = 100
"""Rows from which whole numbers that were measured repeat somewhere, as birthdays do."""
_KEYS = {"id", "ids", "identifier", "mrn", "ssn", "nhs", "nhi", "chi", "empi", "uid", "uuid", "guid", "pid"}
_PEOPLE = {"patient", "patients", "pat", "subject", "subj", "person", "participant", "member", "individual", "proband"}
_COMPOUND = (
    r"(?:patient|patienten|pat|fall|aufnahme|subject|person|hadm|stay|encounter|case)"
    r"(?:id|nr|no|nummer)"
)
_NUMBERS = {"no", "nr", "num", "number", "nummer", "key", "code", "hash", "ref", *_KEYS}


def is_id(name: str) -> bool:
    """Tell whether a column's name is that of an id: patient_id, MRN, SubjectKey, ..."""
    words = [word.casefold() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    if not words:
        return False
    return (
        words[-1] in _KEYS
        or (len(words) == 1 and words[0] in _PEOPLE)
        or name.casefold() in _KEYS
        or (len(words) == 2 and words[0] in _PEOPLE and words[1] in _NUMBERS)
        or bool(re.fullmatch(_COMPOUND, words[0]))
    )


def patients_in(name: str, values: NDArray[np.float64], whole: bool) -> int:
    """Return how many patients a column of codes tells apart that has several rows of some; 0: it looks like no id.

    It is called an id, or its whole numbers stand as a patient's rows do: each several times, in one run.
    """
    known = values[~np.isnan(values)]
    distinct, counts = np.unique(known, return_counts=True)
    people = len(distinct)
    if not FEWEST_PEOPLE <= people < len(known) <= ROWS_EACH * people:
        return 0
    runs = int((known[1:] != known[:-1]).sum()) + 1
    return people if is_id(name) or (whole and people >= FEWEST and counts.min() >= 2 and runs == people) else 0


def counts_up(values: NDArray[np.float64]) -> bool:
    """Tell whether whole numbers stand one after the other, as a row's number does."""
    return len(values) >= FEWEST and bool((values[1:] - values[:-1] == 1).all())


def all_differ(values: NDArray[np.float64]) -> bool:
    """Tell whether each of many rows has a whole number of its own, as ids have."""
    return len(values) >= MEASURED and len(np.unique(values)) == len(values) and not np.isnan(values).any()
