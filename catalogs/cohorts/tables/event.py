"""Which of a label's two values is the event: what the recipe says, else the one whose word says yes, or the rarer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.cohorts.tables.settings import Word, words_of

YES = frozenset(
    (
        "yes",
        "y",
        "true",
        "t",
        "on",
        "positive",
        "pos",
        "+",
        "present",
        "event",
        "case",
        "cases",
        "affected",
        "ill",
        "sick",
        "diseased",
        "disease",
        "died",
        "dead",
        "death",
        "deceased",
        "expired",
        "fatal",
        "nonsurvivor",
        "failed",
        "failure",
        "relapse",
        "relapsed",
        "recurrence",
        "recurred",
        "progressed",
        "progression",
        "readmitted",
        "admitted",
        "abnormal",
        "malignant",
        "complication",
        "reoffended",
        "high",
        "ja",
        "verstorben",
        "gestorben",
        "tot",
        "krank",
        "oui",
        "décédé",
        "mort",
        "si",
        "sí",
        "muerto",
        "fallecido",
        "sim",
        "óbito",
        "morto",
    )
)
NO = frozenset(
    (
        "no",
        "n",
        "false",
        "f",
        "0",
        "-1",
        "off",
        "negative",
        "neg",
        "-",
        "absent",
        "none",
        "control",
        "controls",
        "unaffected",
        "healthy",
        "well",
        "alive",
        "living",
        "lived",
        "survived",
        "survivor",
        "survival",
        "censored",
        "discharged",
        "home",
        "normal",
        "benign",
        "low",
        "nein",
        "lebend",
        "lebt",
        "überlebt",
        "gesund",
        "non",
        "vivant",
        "vivo",
        "não",
        "nao",
    )
)


def event_of(label: str, counts: Mapping[str, int], said: Word | None) -> tuple[str, str]:
    """Return the event among a label's two values, and how it was found: "said", "word" or "rarer".

    Args:
        counts: People by value.
        said: The recipe's.

    Raises:
        CohortError: the recipe names a value that isn't there.
    """
    first, last = sorted(counts)
    if said is not None:
        found = [value for value in (first, last) if str(said) == value] or [
            value for value in (first, last) if value.casefold() in words_of(said)
        ]
        if len(found) != 1:
            raise CohortError(f"cohort.event is {said!r}, which is none of the two values of {label!r}")
        return found[0], "said"
    yes, no = ([_is(value, words) for value in (first, last)] for words in (YES, NO))
    negated = [_negated(value) for value in (first, last)]
    for one, other in ((0, 1), (1, 0)):
        if (yes[one] and not yes[other]) or (no[other] and not no[one]) or (negated[other] and not negated[one]):
            return (first, last)[one], "word"
    return (first if counts[first] < counts[last] else last), "rarer"


def _is(value: str, words: frozenset[str]) -> bool:
    return re.sub(r"[\s_-]+", "", value.casefold()) in words or value.casefold() in words


def _negated(value: str) -> bool:
    return bool(re.match(r"(?:no|not|non|without|never|kein|keine|nicht|ohne|pas|sans|sin)[\s_-]+\S", value.casefold()))
