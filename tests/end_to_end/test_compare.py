"""A change of any part of a run is noticed and named; a recipe's new key is none."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.commands import GOLDEN
from tests.end_to_end.compare import differences, portable

RECIPE = "pocket-waterbirds"
RECORDED = json.loads((GOLDEN / f"{RECIPE}.json").read_text())
PLAN, INDEX, WORLD = (
    next(name for name in RECORDED[part] if name.startswith(start))
    for part, start in (("manifests", "plan/round-0-"), ("manifests", "source/index-"), ("files", "world/"))
)


@pytest.fixture
def recorded() -> dict[str, Any]:
    return copy.deepcopy(RECORDED)


def test_nothing_differs_from_itself(recorded: dict[str, Any]) -> None:
    assert differences(recorded, copy.deepcopy(recorded)) == []


def test_a_new_key_of_the_recipe_is_no_difference_but_another_value_is(recorded: dict[str, Any]) -> None:
    now = copy.deepcopy(recorded)
    now["recipe"]["generator"]["novelty"] = 1
    assert differences(recorded, now) == []
    now["recipe"]["generator"]["steps"] = 3
    assert differences(recorded, now) == ["recipe: .generator.steps was 2, now 3"]


def test_a_column_and_its_first_row_are_named_whatever_the_manifest_is_called_now(recorded: dict[str, Any]) -> None:
    now = copy.deepcopy(recorded)
    plan = now["manifests"].pop(PLAN)
    plan["columns"]["prompt"] = "0" * 12
    plan["rows"] = f"{plan['rows'][:8]}----{plan['rows'][12:]}"
    now["manifests"]["plan/round-0-0123456789ab.parquet"] = plan
    for old, new in ((recorded, now), (portable(recorded, RECIPE), portable(now, RECIPE))):
        assert differences(old, new) == [
            f"manifest {PLAN}: its name is now plan/round-0-0123456789ab.parquet",
            f"manifest {PLAN}: column prompt differs, first in row 2",
        ]


def _bytes(now: dict[str, Any]) -> None:
    now["files"][WORLD] = "0" * 12


def _kind(now: dict[str, Any]) -> None:
    now["catalog"]["scores"]["types"]["value"] = "FLOAT"


def _gone(now: dict[str, Any]) -> None:
    del now["catalog"]["previews"]


def _head(now: dict[str, Any]) -> None:
    now["manifests"][INDEX]["head"]["task_hash"] = "0" * 12


def _heading(now: dict[str, Any]) -> None:
    now["report"][1] = ["h2", "What was done"]


CHANGES: dict[Callable[[dict[str, Any]], None], str] = {
    _bytes: f"file {WORLD}: other bytes",
    _kind: "catalog scores: columns value DOUBLE recorded, now value FLOAT",
    _gone: "catalog previews: missing now",
    _head: f"manifest {INDEX}: task_hash of its head differs",
    _heading: "report: recorded alone [\"['h2', 'What was run']\"], now alone [\"['h2', 'What was done']\"]",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_is_named_on_every_processor(recorded: dict[str, Any], change: Callable[[Any], None]) -> None:
    now = copy.deepcopy(recorded)
    change(now)
    for old, new in ((recorded, now), (portable(recorded, RECIPE), portable(now, RECIPE))):
        assert differences(old, new) == [CHANGES[change]]
