"""Recipes over tables without a schema: what `plan` and `run` say of them, and that both refuse the same."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from fairshards.catalogs.cohorts.cohort import Cohort
from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.questions.query import run_query
from fairshards.pipeline.cli.pages import print_plan
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.cohort import read_and_check
from fairshards.pipeline.records.column_table import column_lines
from fairshards.pipeline.records.pages import PAGES
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from tests.catalogs.tables import PLANTED, ROWS, labs, people, told
from tests.pipeline.records.test_ehr import SCHEMA, SMALL, tiny_cohort


def recipe(folder: Path, rows: Any, *sets: str, **cohort: Any) -> EhrRecipe:
    """Return the recipe of a table."""
    (folder / "data.csv").write_text(rows if isinstance(rows, str) else rows.to_csv(index=False))
    said = {
        "kind": "ehr",
        "name": "x",
        "model": {"settings": SMALL},
        "evaluation": {"bootstrap": 0, "fewest": 3},
        "quota": {"rows": 60, "shard_size": 40},
        "runner": {"threads": 1},
        "cohort": {"reader": "table", "path": str(folder / "data.csv"), "attribute": "sex", "label": "died", **cohort},
    }
    (folder / "x.yaml").write_text(json.dumps(said))
    found = load_recipe(str(folder / "x.yaml"), sets)
    assert isinstance(found, EhrRecipe)
    return found


def planned(given: EhrRecipe) -> str:
    said = io.StringIO()
    print_plan(given, None, PAGES, Console(file=said, width=80))
    return said.getvalue()


def ran(given: EhrRecipe, root: Path, until: str = "source") -> tuple[str, RunResult]:
    said = io.StringIO()
    result = run(given, Launcher(), Reporter(Console(file=said, width=80)), until, root)
    return said.getvalue(), result


def test_plan_and_run_say_what_each_column_was_taken_for_and_show_no_value(tmp_path: Path) -> None:
    rows = people(lab=labs("<0.1", 3), hospital=PLANTED, key=[f"{number // 2:05d}" for number in range(ROWS)])
    given = recipe(tmp_path, rows.to_csv(index=False) + f"60,male,{PLANTED}\n", leave_out=["key"])
    said, _ = ran(given, tmp_path / "run")
    (head, bad, bounds, _, *table) = said.splitlines()
    assert head.startswith("cohort data: 210 training rows, 90 test rows (1 rejected); died=yes ")
    assert bad == "cohort data: 1 line left out, the first: line 302 has 3 fields, the header 7"
    assert bounds.startswith("cohort data: lab: 3 of 300 cells are a bound")
    assert [line.split() for line in table[:7]] == [
        ["column", "kind", "missing", "notes"],
        ["age", "integer", "0.0%"],
        ["sex", "attribute", "2", "values", "0.0%"],
        ["lab", "numeric", "1", "decimal", "0.0%", "3", "bounds"],
        ["ward", "category", "2", "values", "0.0%"],
        ["died", "label", "2", "values", "0.0%"],
        ["hospital", "category", "1", "value", "0.0%", "constant"],
    ]
    assert planned(given).startswith(said) and PLANTED not in said


def test_brackets_of_a_setting_are_shown(tmp_path: Path) -> None:
    said, _ = ran(recipe(tmp_path, people(row=range(7, 7 + ROWS))), tmp_path / "run")
    assert "row counts rows up: is it a row's number? cohort.leave_out=[row]" in said


def test_the_label_s_event_is_named(tmp_path: Path) -> None:
    rows = people(died=["Survived", "Survived", "Died"] * 100)
    assert "; died=Died 33.3%; sex: " in planned(recipe(tmp_path, rows))
    assert "; died=Survived 66.7%; sex: " in planned(recipe(tmp_path, rows, "cohort.event=Survived"))
    given = recipe(tmp_path, people(), "cohort.event=no")
    assert given.cohort.event is False and "; died=no " in planned(given)


@pytest.mark.parametrize(
    ("change", "sets"),
    [
        ({"note": [f"{PLANTED} {number}" for number in range(ROWS)]}, ()),
        ({"lab": labs(PLANTED, 60)}, ()),
        ({"died": [PLANTED] * ROWS}, ()),
        ({"died": [PLANTED, "b", "c"] * 100}, ()),
        ({"sex": [PLANTED] * ROWS}, ()),
        ({"sex": [f"{PLANTED}{number % 150}" for number in range(ROWS)]}, ()),
        ({"split": PLANTED}, ()),
        ({"ward": PLANTED}, ("cohort.leave_out=[wrd]",)),
        ({"ward": PLANTED}, ("cohort.patient=wrd",)),
        ({"died": [PLANTED, "b"] * 150}, ("cohort.event=yes",)),
        ({"ward": PLANTED}, ("cohort.columns={wrd: {decimals: 1}}",)),
        ({"ward": PLANTED}, ("cohort.columns={ward: {kind: numeric}}",)),
        ({"ward": PLANTED}, ("cohort.attribute=Ward",)),
        ({"sex": [PLANTED, "m", "m"] * 100}, ("cohort.leave_values=[x]",)),
        ({"sex": [PLANTED, *["m", "f"] * 149, "m"]}, ()),
    ],
)
def test_plan_refuses_what_run_refuses_and_neither_shows_a_value(
    tmp_path: Path, change: dict[str, Any], sets: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    given = recipe(tmp_path, people(**change), *sets)
    with pytest.raises(CohortError) as plan:
        planned(given)
    with pytest.raises(CohortError) as run:
        ran(given, tmp_path / "run")
    assert str(plan.value) == str(run.value) and PLANTED not in told(plan.value) + told(run.value)
    assert PLANTED not in "".join(capfd.readouterr())


def test_settings_of_columns_correct_a_whole_run_whose_constants_come_back(tmp_path: Path) -> None:
    rows = people(hospital="St Mary", nothing=None, code=["1", "2", "3"] * 100, lab=labs("see note", 60))
    columns = {"lab": {"kind": "numeric"}, "code": {"kind": "category"}}
    said, result = ran(recipe(tmp_path, rows, columns=columns), tmp_path / "run", "report")
    assert "lab: 60 of 300 cells are no number" in said and result.curated
    shards = [path for path in (tmp_path / "run").glob("curated/*/*.parquet") if "lab" in pq.read_schema(path).names]
    made = pq.read_table(shards[0]).to_pydict()
    assert (
        set(made["hospital"]) == {"St Mary"} and set(made["nothing"]) == {None} and set(made["code"]) <= {"1", "2", "3"}
    )
    assert 0 < sum(one is None for one in made["lab"]) < len(made["lab"])


def test_patients_stand_in_the_cohorts_files_alone_and_in_one_of_them(tmp_path: Path) -> None:
    rows = people(whose=[f"{PLANTED}-{number // 3}" for number in range(ROWS)])
    said, result = ran(recipe(tmp_path, rows, patient="whose"), tmp_path / "run")
    train, test = (set(pq.read_table(path)["whose"].to_pylist()) for path in (result.source.train, result.source.test))
    assert not train & test and len(train | test) == 100 and PLANTED not in said
    assert "whose" not in result.source.rows("train") and "whose" not in result.source.schema.names
    assert PLANTED.encode() not in next((tmp_path / "run").glob("cohort/groups-*")).read_bytes()


def test_any_reader_splits_by_patient(tmp_path: Path) -> None:
    cohort = tiny_cohort()
    rows = cohort.rows.append_column("whose", [[number // 4 for number in range(cohort.rows.num_rows)]])
    Cohort(SCHEMA, rows).write(tmp_path / "tiny.parquet")
    sets = (
        "cohort.reader=parquet",
        f"cohort.path={tmp_path / 'tiny.parquet'}",
        "cohort.label=null",
        "cohort.patient=whose",
        "cohort.smallest_group=1",
    )
    given = recipe(tmp_path, people(), *sets)
    checked = read_and_check(given.cohort)[0]
    assert not set(checked.patients["train"]) & set(checked.patients["test"]) and not [*column_lines(checked, "sex")]


def test_faulty_lines_are_rejects_in_the_catalog(tmp_path: Path) -> None:
    ran(recipe(tmp_path, people().to_csv(index=False) + f"60,male,{PLANTED}\n"), tmp_path / "run", "generate")
    rows = run_query(tmp_path / "run", "SELECT id, reason, detail FROM rejects WHERE stage = 'cohort'")[1]
    assert rows == [("data-row-300", "malformed_row", "line 302 has 3 fields, the header 5")]


@pytest.mark.parametrize(
    "sets",
    [
        ("cohort.event=yes",),
        ("cohort.censored=missing",),
        ("cohort.missing=[-9]",),
        ("cohort.columns={dose: {decimals: 1}}",),
    ],
)
def test_settings_of_reader_table_are_refused_for_others(tmp_path: Path, sets: tuple[str, ...]) -> None:
    others = ("cohort.reader=support2", "cohort.path=null", "cohort.label=null")
    with pytest.raises(RecipeError, match="is of reader table; support2 has a schema of its own"):
        recipe(tmp_path, people(), *others, *sets)
    with pytest.raises(RecipeError, match="kind"):
        recipe(tmp_path, people(), "cohort.columns={lab: {kynd: numeric}}")


def test_a_recipe_that_a_run_wrote_is_read_again(tmp_path: Path) -> None:
    given = recipe(
        tmp_path, people(), event="no", missing=[-9, "x"], columns={"lab": {"decimals": 1, "missing": [-9.5]}}
    )
    ran(given, tmp_path / "run")
    assert load_recipe(str(tmp_path / "run" / "recipe.yaml")) == given
