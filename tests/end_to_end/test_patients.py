"""Patients stay in the cohort folder: a run over a table, killed or not, tells no value of a few; names never clash."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.questions.explain import life_story
from fairshards.catalogs.questions.query import run_query
from fairshards.catalogs.questions.story import show_command
from fairshards.pipeline import driver
from fairshards.pipeline.cli.app import app
from fairshards.pipeline.cli.pages import print_summary
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.pages import PAGES
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from tests.catalogs.database.test_fairness_tables import COMPAS_HEADER, compas_row
from tests.catalogs.mimic3_lookalike import ADMITTED, dirty_hospital
from tests.pipeline.leaks import NUMBER, PLANTED, leaks, open_to_others, spoken
from tests.pipeline.records.test_ehr import SMALL


def table(rows: int = 400) -> pd.DataFrame:
    """Return people of whom one has a word and a number of his own, with columns that are called as ours."""
    draw = np.random.default_rng(0)
    died = draw.random(rows) < 0.4
    people = pd.DataFrame(
        {
            "dose": np.round(30 + 20 * died + 8 * draw.standard_normal(rows), 1),
            "ward": draw.choice(["north", "south"], rows),
            "physician": draw.choice(["A", "B", "C"], rows),
            "sex": draw.choice(["female", "male"], rows),
            "died": np.where(died, "yes", "no"),
            "sample_id": draw.choice(["a", "b"], rows),
            "log_density_ratio": np.round(draw.normal(100, 5, rows), 1),
            "site": draw.choice(["x", "y"], rows),
        }
    )
    people.loc[0, ["physician", "dose"]] = PLANTED, NUMBER
    people.loc[1, "died"] = None
    return people


def recipe_file(folder: Path, people: pd.DataFrame | None = None) -> Path:
    """Write a table and its recipe."""
    (table() if people is None else people).to_csv(folder / "people.csv", index=False)
    path = folder / "tiny.yaml"
    path.write_text(
        json.dumps(
            {
                "kind": "ehr",
                "name": "tiny",
                "output": str(folder / "runs"),
                "cohort": {"reader": "table", "path": str(folder / "people.csv"), "attribute": "sex", "label": "died"},
                "model": {"constraint": "odds", "lam": 1.0, "settings": SMALL},
                "quota": {"rows": 101, "shard_size": 20, "curated_shard_size": 60},
                "webdataset": True,
                "filters": {"valid_row": {}, "discriminator_rejection": {}, "nearest_record": {"min": 0.0001}},
                "evaluation": {"bootstrap": 5, "fewest": 3},
                "runner": {"threads": 1},
            }
        )
    )
    return path


def run(path: Path, *sets: str, until: str = "report") -> tuple[RunResult, str]:
    """Run a recipe; return its result and all that it said."""
    recipe, said = load_recipe(str(path), sets), io.StringIO()
    assert isinstance(recipe, EhrRecipe)
    with redirect_stdout(said), redirect_stderr(said):
        result = driver.run(recipe, Launcher(), Reporter(Console(file=said, width=200)), until)
        print_summary(recipe, result, PAGES, Console(file=said, width=200))
    return result, said.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, str]:
    """A finished run of the table, and what it said."""
    before = os.umask(0o022)
    try:
        return run(recipe_file(tmp_path_factory.mktemp("patients")))
    finally:
        assert os.umask(before) == 0o022


def test_no_value_of_a_few_is_in_any_file_or_said(finished: tuple[RunResult, str]) -> None:
    result, said = finished
    root = result.folder.root
    assert leaks(root, (result.source.train, result.source.test)) == []
    assert PLANTED not in said and "physician: 1 category of 1 row made missing" in said
    assert leaks(root, values=["987654321"]) or result.source.rows("train")["dose"].max() == NUMBER  # it was there


def test_all_that_is_made_from_patients_is_the_owners_alone(finished: tuple[RunResult, str]) -> None:
    assert open_to_others(finished[0].folder.root) == []


def test_a_catalog_that_a_question_makes_is_the_owners_too(finished: tuple[RunResult, str], tmp_path: Path) -> None:
    root = shutil.copytree(finished[0].folder.root, tmp_path / "run")
    (root / "catalog.duckdb").unlink()
    before = os.umask(0o022)
    try:
        assert run_query(root, "balance")[1] and CliRunner().invoke(app, ["report", str(root)]).exit_code == 0
    finally:
        assert os.umask(before) == 0o022
    assert (root / "catalog.duckdb").is_file() and open_to_others(root) == []


def test_columns_that_are_called_as_ours_are_read_as_any_other(finished: tuple[RunResult, str]) -> None:
    result, _ = finished
    root = result.folder.root
    shards = [path for path in root.glob("curated/*/*.parquet") if "dose" in pq.read_schema(path).names]
    rows = pd.concat([pq.read_table(path).to_pandas() for path in shards])
    assert list(rows.columns) == ["sample_id_", *result.source.schema.names] and len(rows) == 101
    assert set(rows["sample_id"]) == {"a", "b"}
    assert rows["log_density_ratio"].between(80, 120).all()  # not the discriminator's ratio, which is near 0
    assert rows["sample_id_"].is_unique
    raw = pq.read_schema(next(root.glob("raw/**/*.rows.parquet"))).names
    assert raw[0] == "sample_id_" and raw[-1] == "log_density_ratio_"
    story = life_story(root, rows["sample_id_"].iloc[0])
    command = show_command(story, next(facts for facts in story.of("indexed")))
    printed = subprocess.run(command.replace("python", sys.executable, 1), shell=True, capture_output=True, text=True)
    assert story.sample_id in printed.stdout, printed.stderr
    said = json.loads((root / "croissant.json").read_text())
    assert said["recordSet"][0]["key"] == {"@id": "records/sample_id_"}


def test_a_column_called_site_hides_nothing_from_learners(finished: tuple[RunResult, str]) -> None:
    metrics = [row[0] for row in run_query(finished[0].folder.root, "SELECT metric FROM evaluations")[1]]
    assert "auroc_drop:sex" in metrics and "ks:log_density_ratio" in metrics


KILLED = """
import importlib, os, signal, sys
from fairshards.pipeline.cli.app import app
place, left = importlib.import_module(sys.argv[1]), int(sys.argv[3])
call = getattr(place, sys.argv[2])
def last(*given):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return call(*given)
setattr(place, sys.argv[2], last)
app(["run", sys.argv[4]])
"""


@pytest.mark.parametrize(
    ("call", "left", "trace"),
    [
        (("os", "replace"), 3, ".*.tmp"),
        (("fairshards.catalogs.database.ingest", "ingest"), 6, "catalog.duckdb.wal"),
        pytest.param(("os", "replace"), 12, ".*.tmp", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_leaves_nothing_that_tells(tmp_path: Path, call: tuple[str, str], left: int, trace: str) -> None:
    """The process dies between the writing of a temporary file and its renaming, or while the catalog is written."""
    path = recipe_file(tmp_path)
    before = os.umask(0o022)
    try:
        command = [sys.executable, "-c", KILLED, *call, str(left), str(path)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()}
        )
    finally:
        os.umask(before)
    root = tmp_path / "runs" / "tiny"
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(root.rglob(trace)), "nothing was left behind"
    inside = [path for path in root.rglob("*") if path.parent.name == "cohort" and "groups" not in path.name]
    assert leaks(root, inside) == [] and open_to_others(root) == []
    assert PLANTED not in done.stdout + done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"people.csv", "tiny.yaml", "runs"}


def test_records_that_many_share_are_kept_and_a_run_without_rows_fails(tmp_path: Path) -> None:
    """Of yes/no columns alone: who has none is nobody; a limit that drops all ends the run, with the filter's name."""
    draw = np.random.default_rng(0)
    people = pd.DataFrame({f"dx{number}": np.where(draw.random(600) < 0.05, "y", "n") for number in range(6)})
    people = people.assign(sex=draw.choice(["f", "m"], 600), died=draw.choice(["no", "yes"], 600))
    path = recipe_file(tmp_path, people)
    sets = "quota.rows=200", "quota.shard_size=200", "filters={valid_row: {}, nearest_record: {min: 0.0001}}"
    result, _ = run(path, *sets, until="curate")
    shards = [path for path in result.folder.root.glob("curated/*/*.parquet") if "dx0" in pq.read_schema(path).names]
    rows = pd.concat([pq.read_table(path).to_pandas() for path in shards])
    without = (rows.filter(like="dx") == "n").all(axis=1).mean()
    assert len(rows) == 200 and without > 0  # not one passed while a distance to them counted
    with pytest.raises(RecipeError, match=r"only \d+ of the 200 rows asked for .*nearest_record drops"):
        run(path, *sets, "filters.nearest_record.min=0.9", "quota.max_rounds=1", until="curate")
    told = run_query(result.folder.root, "SELECT count(*) FROM decisions WHERE reason = 'too near a patient'")[1]
    assert told[0][0] > 180


def test_many_rows_of_one_patient_are_one_person(tmp_path: Path) -> None:
    """A word and a number that one patient has at twenty visits are no values of several people."""
    people = table(420).drop(columns=["sample_id", "log_density_ratio", "site"]).drop(index=[0, 1])
    visits = pd.concat([people.iloc[[0]].assign(physician=PLANTED, dose=NUMBER)] * 20)
    everybody = pd.concat([people, visits]).assign(patient=[*range(len(people)), *[10**6] * 20])
    path = recipe_file(tmp_path, everybody)
    result, said = run(path, "cohort.patient=patient", "cohort.split_seed=0", until="generate")
    assert (result.source.rows("train")["dose"] == NUMBER).sum() == 20, "draw another split: he is a test patient"
    assert leaks(result.folder.root, (result.source.train, result.source.test)) == []
    assert PLANTED not in said and "physician: 1 category of 20 rows made missing" in said


def adult_files(folder: Path) -> str:
    draw = np.random.default_rng(0)
    for name, first in (("adult.data", ""), ("adult.test", "|1x3 Cross validator\n")):
        rows = [
            f"{draw.integers(20, 80)}, Private, 1, Bachelors, 13, Divorced, "
            f"{PLANTED if number == 7 else draw.choice(['Sales', 'Craft'])}, Unmarried, "
            f"{draw.choice(['White', 'Black'])}, {draw.choice(['Male', 'Female'])}, 0, 0, 40, Cuba, "
            f"{draw.choice(['<=50K', '>50K'])}"
            for number in range(200)
        ]
        (folder / name).write_text(first + "\n".join(rows) + "\n")
    return str(folder)


def compas_file(folder: Path) -> str:
    draw, path = np.random.default_rng(0), folder / "compas.csv"
    rows = [
        compas_row(number, race=str(draw.choice(["Caucasian", "Hispanic"])), two=str(draw.integers(0, 2)))
        for number in range(200)
    ]
    rows += [compas_row(900, race=PLANTED), compas_row(901, age=PLANTED)]
    path.write_text("\n".join([COMPAS_HEADER, *rows]) + "\n")
    return str(path)


def mimic_folder(folder: Path) -> str:
    hospital = dirty_hospital(patients=60)[0]
    stays = [
        hospital.admit(
            90_000 + number,
            DEATHTIME=ADMITTED + timedelta(days=3),
            HOSPITAL_EXPIRE_FLAG=1,
            ETHNICITY=PLANTED,
            GENDER=PLANTED,
        )
        for number in range(8)
    ]
    for stay in stays:
        hospital.chart(stay, 211, 1, 80)
        hospital.chart(stay, 211, 2, PLANTED, VALUENUM=PLANTED)
    hospital.write(folder)
    with (folder / "CHARTEVENTS.csv").open("a") as file:
        file.write(",".join([PLANTED] * 40) + "\n")
    return str(folder)


@pytest.mark.parametrize(
    ("reader", "make", "attribute", "joined"),
    [
        ("adult", adult_files, "sex", "occupation: 1 category of 2 rows made missing"),
        ("compas", compas_file, "race", ""),
        ("mimic3", mimic_folder, "sex", ""),
    ],
)
def test_the_readers_of_known_files_tell_no_value_either(
    reader: str, make: Callable[[Path], str], attribute: str, joined: str, tmp_path: Path
) -> None:
    """Whether they read the planted rows, reject them, or refuse the whole: no file and no message has the word."""
    source = tmp_path / "source"
    source.mkdir()
    made = {"reader": reader, "path": make(source), "attribute": attribute, "smallest_group": 1}
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps({"kind": "ehr", "name": "tiny", "output": str(tmp_path / "runs"), "cohort": made}))
    said = CliRunner().invoke(app, ["run", str(path), "--until", "source"])
    assert said.exit_code in (0, 1) and PLANTED not in said.output, said.output
    assert joined in said.output and ("cohort" if said.exit_code == 0 else "error") in said.output
    inside = [one for one in (tmp_path / "runs").rglob("*.parquet") if one.name.startswith(("train-", "test-"))]
    assert leaks(tmp_path / "runs", inside) == [] and open_to_others(tmp_path / "runs" / "tiny") == []


def break_label(people: pd.DataFrame) -> pd.DataFrame:
    return people.assign(died=[PLANTED, *people["died"][1:]])


def break_attribute(people: pd.DataFrame) -> pd.DataFrame:
    return people.assign(sex=[PLANTED, *people["sex"][1:]])


def free_text(people: pd.DataFrame) -> pd.DataFrame:
    return people.assign(physician=[f"{PLANTED} {number}" for number in range(len(people))])


def half_numbers(people: pd.DataFrame) -> pd.DataFrame:
    return people.assign(dose=[PLANTED] * 150 + people["dose"][150:].astype(str).tolist())


def headless(people: pd.DataFrame) -> pd.DataFrame:
    return people.set_axis([PLANTED, *people.columns[1:-1], "x"], axis=1).drop(columns="sex")


def odd_split(people: pd.DataFrame) -> pd.DataFrame:
    return people.assign(split=PLANTED)


def shared_test_value(people: pd.DataFrame) -> pd.DataFrame:
    split = np.where(np.arange(len(people)) < 300, "train", "test")
    return people.assign(split=split, sex=[*people["sex"][:-1], PLANTED])


@pytest.mark.parametrize(
    ("change", "sets"),
    [
        (break_label, ()),
        (break_attribute, ()),
        (free_text, ()),
        (half_numbers, ()),
        (odd_split, ()),
        (shared_test_value, ()),
        (lambda people: people.head(0), ()),
        (lambda people: people.head(3), ()),
        (lambda people: people, ("cohort.leave_values=[nobody]",)),
        (lambda people: people, ("cohort.label=ward2",)),
        (break_attribute, ("cohort.leave_values=[nobody]",)),
        (headless, ()),
        (lambda people: people, ("cohort.plant={group: nobody, share: 0.5}",)),
        (lambda people: people, ("cohort.smallest_group=1000",)),
        (lambda people: people.assign(sex="male"), ()),
    ],
)
def test_no_refusal_of_a_table_quotes_it(
    change: Callable[[pd.DataFrame], pd.DataFrame], sets: tuple[str, ...], tmp_path: Path
) -> None:
    """Neither the exception, its causes and contexts, nor what the command line prints, with --debug or without."""
    path = recipe_file(tmp_path, change(table()))
    with pytest.raises(CohortError) as found:
        run(path, *sets, until="source")
    assert PLANTED not in spoken(found.value) and str(int(NUMBER)) not in spoken(found.value)
    for command in (["run", str(path), "--until", "source"], ["plan", str(path)]):
        said = CliRunner().invoke(app, [*command, *(part for one in sets for part in ("--set", one))])
        assert said.exit_code == 1 and PLANTED not in said.output and "error:" in said.output
    assert leaks(tmp_path / "runs") == []


@pytest.mark.parametrize(
    ("place", "again"),
    [
        ("fairshards.pipeline.records.evaluation.visible_columns", "evaluation/*/*"),
        ("fairshards.trainers.tables.bt_gan._Training.chunk", "models/*/*"),
        ("fairshards.transforms.records.score.violations", "scores/**/*.parquet"),
        ("fairshards.pipeline.records.cohort.check_cohort", "cohort/*"),
    ],
)
def test_what_a_library_says_of_a_row_ends_in_a_message_of_ours(
    place: str, again: str, finished: tuple[RunResult, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pandas, Arrow, DuckDB and scikit-learn quote what they can't take."""

    def fails(*given: object, **named: object) -> None:
        pd.Series([PLANTED], dtype=object).astype("float64")

    root, path = tmp_path / "copy", finished[0].folder.root.parent.parent / "tiny.yaml"
    shutil.copytree(finished[0].folder.root, root)
    for made in list(root.glob(again)):
        made.unlink()
    monkeypatch.setattr(place, fails)
    recipe = load_recipe(str(path))
    assert isinstance(recipe, EhrRecipe)
    with pytest.raises(Exception, match=r"failed \(ValueError at [\w/]+/\w+\.py:\d+\)") as found:
        driver.run(recipe, Launcher(), Reporter(quiet=True), "report", root)
    assert PLANTED not in spoken(found.value) and PLANTED not in "".join(traceback.format_exception(found.value))
