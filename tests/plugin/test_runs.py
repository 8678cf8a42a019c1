"""Runs through the command line with a reader and a filter, with its score, of a package outside the product."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.pipeline.small import COLOURS, write_recipe
from tests.plugin.conftest import Command

SHARES = {"land": 0.15, "water": 0.65}
"""Roughly the blue share of each background in the source."""


def write_arrays(path: Path) -> None:
    """Write the small recipe's pictures, four of each group and split, as one file."""
    names = [(split, *group) for split in ("train", "val", "test") for group in COLOURS for _ in range(4)]
    noise = np.random.default_rng(0).integers(-20, 20, (len(names), 32, 32, 3))
    colours = np.array([COLOURS[name[1:]] for name in names])[:, None, None]
    split, kind, bias = zip(*names, strict=True)
    pictures = np.clip(colours + noise, 0, 255).astype(np.uint8)
    np.savez(path, pictures=pictures, **{"split": split, "class": kind, "bias": bias})


@pytest.fixture(scope="module")
def finished(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_arrays(folder / "pictures.npz")
    source = {"reader": "arrays", "path": str(folder / "pictures.npz")}
    recipe = write_recipe(folder, source=source, filters={"blue": {"retain": 0.5}})
    ended = command("run", str(recipe), "--quiet", "--until", "curate", "--output", str(folder / "run"))
    assert ended.returncode == 0, ended.stderr
    return folder / "run"


def test_its_score_stands_in_the_catalog_for_pictures_real_and_made(finished: Path) -> None:
    with duckdb.connect(str(finished / "catalog.duckdb"), read_only=True) as catalog:
        ((n, low, high),) = catalog.sql(
            "SELECT count(*), min(value), max(value) FROM scores WHERE score = 'blue_share'"
        ).fetchall()
        decided = catalog.sql(
            "SELECT keep, reason, count(*) FROM decisions WHERE filter = 'blue' GROUP BY ALL"
        ).fetchall()
        limits = catalog.sql("SELECT group_name, n, threshold FROM calibrations WHERE filter = 'blue'").fetchall()
    assert n >= 16 and 0 <= low < high <= 1
    assert {reason for keep, reason, _ in decided if not keep} <= {"not_blue"} and sum(row[2] for row in decided) == n
    pooled = {name: (count, value) for name, count, value in limits}["*"]
    assert pooled[0] == 16 and SHARES["land"] - 0.1 < pooled[1] < SHARES["water"], "of the real training pictures"


def test_its_title_and_reason_stand_in_the_report(finished: Path, command: Command) -> None:
    assert command("report", str(finished)).returncode == 0
    page = (finished / "report.html").read_text()
    assert "share of the light that is blue, in parts of one" in page
    with duckdb.connect(str(finished / "catalog.duckdb"), read_only=True) as catalog:
        ((rejected,),) = catalog.sql("SELECT count(*) FROM decisions WHERE reason = 'not_blue'").fetchall()
    assert rejected and "has too little blue for water" in page


def test_explain_tells_its_score(finished: Path, command: Command) -> None:
    with duckdb.connect(str(finished / "catalog.duckdb"), read_only=True) as catalog:
        sample, value = catalog.sql(
            "SELECT sample_id, value FROM scores WHERE score = 'blue_share' LIMIT 1"
        ).fetchall()[0]
    story = command("explain", str(finished), sample).stdout
    assert f"blue_share {value:.6g}" in story


def test_the_schema_has_its_options(command: Command) -> None:
    said = command("schema")
    assert said.returncode == 0, said.stderr
    schema = json.loads(said.stdout)
    text = json.dumps(schema)
    assert '"mni"' not in text and '"step"' in text and '"times"' in text, "the filter's and the reader's fields"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("source={reader: arays, path: x}", "reader is 'arays' (did you mean 'arrays'?)"),
        (
            "source={reader: outside.readers.ArrayReader, path: x, tims: 2}",
            "unknown key 'tims' (did you mean 'times'?)",
        ),
        ("source={reader: arrays}", "source lacks path, which ArrayReader needs"),
        ("filters={blue: {min: 2}}", "blue.min is 2; a share lies in [0, 1]"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(command: Command, setting: str, said: str) -> None:
    ended = command("run", "pocket-waterbirds", "--set", setting)
    assert ended.returncode != 0 and said in ended.stderr + ended.stdout


def test_records_too(command: Command, tmp_path: Path) -> None:
    sets = [
        "cohort={reader: first_patients, options: {count: 2000}, attribute: race, smallest_group: 1}",
        "filters={young: {retain: 0.5}}",
        "model.settings={steps: 4, stage2_steps: 0, window: 2, snapshot: 1, hidden: 8, depth: 1, batch: 64, "
        "classifier_steps: 2}",
        "quota={rows: 40, shard_size: 40, max_rounds: 1}",
    ]
    words = [part for setting in sets for part in ("--set", setting)]
    ended = command("run", "btgan_support2", "--quiet", "--until", "curate", "--output", str(tmp_path / "run"), *words)
    assert ended.returncode == 0, ended.stderr
    with duckdb.connect(str(tmp_path / "run" / "catalog.duckdb"), read_only=True) as catalog:
        ((n,),) = catalog.sql("SELECT count(DISTINCT sample_id) FROM scores WHERE score = 'years_left'").fetchall()
        reasons = catalog.sql("SELECT DISTINCT reason FROM decisions WHERE filter = 'young' AND NOT keep").fetchall()
    assert n >= 40 and reasons == [("too old",)]
    wrong = command("run", "btgan_support2", "--set", "cohort={reader: first_patients, attribute: race}")
    assert "cohort.options lacks count, which FirstPatients needs" in wrong.stderr + wrong.stdout
