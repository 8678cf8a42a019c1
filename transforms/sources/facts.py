"""The facts in a sample's ``.json`` member, as others wrote it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def facts_of(members: Mapping[str, bytes], rules: set[str]) -> dict[str, Any] | None:
    """Return the facts of the ``.json`` member; numbers that JSON doesn't have (NaN, Infinity, 1e999) are None."""

    def number(text: str) -> float | None:
        value = float(text)
        if math.isfinite(value):
            return value
        rules.add("not finite")
        return None

    if "json" not in members:
        return {}
    try:
        facts = json.loads(members["json"], parse_constant=number, parse_float=number)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None


def text_of(facts: Mapping[str, Any], name: str) -> str | None:
    """Return a fact as text; None where it is missing or null."""
    return None if facts.get(name) is None else str(facts[name])
