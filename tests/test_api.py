"""The public API, as the documentation's examples use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import webdataset as wds
import yaml

import fairshards as fs
from fairshards.api import overrides
from fairshards.catalogs.errors import QueryError
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.run.folder import RunFolderError
from tests.pipeline.small import Small, write_recipe


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "torch", "apache_beam", "duckdb"
    code = f"import sys, fairshards; dir(fairshards); print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(fs, name) is not None for name in fs.__all__) and set(fs.__all__) <= set(dir(fs))
    with pytest.raises(AttributeError, match="module 'fairshards' has no attribute 'Trainr'"):
        _ = fs.Trainr


def test_a_run_is_made_and_the_same_call_makes_nothing_again(tmp_path: Path) -> None:
    recipe, changes = write_recipe(tmp_path), {"quota.per_group": 2, "name": "two"}
    run = fs.run(recipe, until="curate", set=changes, output=tmp_path / "two", quiet=True)
    assert run.root == tmp_path / "two" and yaml.safe_load((run.root / "recipe.yaml").read_text())["name"] == "two"
    assert {row["group_name"]: row["balanced"] for row in run.balance()} == dict.fromkeys(
        ("landbird|land", "landbird|water", "waterbird|land", "waterbird|water"), 2
    )
    made = {file: file.stat().st_mtime_ns for file in run.root.glob("raw/**/*")}
    fs.run(recipe, until="curate", set=changes, output=tmp_path / "two", quiet=True)
    assert {file: file.stat().st_mtime_ns for file in run.root.glob("raw/**/*")} == made


def test_a_run_answers(small: Small) -> None:
    run = fs.open_run(small.root)
    assert len(run.samples(limit=3)) == 3
    assert run.query("SELECT count(*) AS samples FROM plan") == [{"samples": 16}]
    sample = run.query("SELECT sample_id FROM plan ORDER BY 1 LIMIT 1")[0]["sample_id"]
    assert run.explain(sample).sample_id == sample and [*run.explain(sample).of("planned")]
    with pytest.raises(QueryError, match=r"would write|only reads"):
        run.query("DELETE FROM plan")
    assert run.recipe.name == "small" and repr(run) == f"Run({str(small.root)!r})"


def test_a_dataset_holds_the_curated_pictures_and_their_labels(small: Small) -> None:
    run = fs.open_run(small.root)
    data = run.dataset("balanced")
    assert len(data) == 16
    items = [data[position] for position in range(len(data))]
    assert sorted((y, b) for _, y, b in items) == [(y, b) for y in (0, 1) for b in (0, 1) for _ in range(4)]
    assert {picture.size for picture, _, _ in items} == {(32, 32)}
    assert run.dataset("train", transform=lambda picture: picture.size)[0] == ((32, 32), 0, 0)
    with pytest.raises(RunFolderError, match=r"has no split 'balancd'; it has: test, train, val, balanced"):
        run.dataset("balancd")


def test_shards_are_what_webdataset_reads(small: Small) -> None:
    shards = [str(path) for path in fs.open_run(small.root).shards("balanced")]
    read = list(wds.WebDataset(shards, shardshuffle=False).decode("rgb").to_tuple("png", "cls"))
    assert len(read) == 16 and {label for _, label in read} == {0, 1}


def test_pictures_are_no_frame(small: Small) -> None:
    with pytest.raises(RunFolderError, match="holds pictures; use dataset"):
        fs.open_run(small.root).frame("balanced")


def test_changes_are_those_of_the_command() -> None:
    assert overrides({"quota.per_group": 50, "filters": {"variance": {"max": 0.5}}}) == [
        "quota.per_group=50",
        'filters={"variance": {"max": 0.5}}',
    ]
    assert overrides(["seed=3"]) == ["seed=3"]


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(RecipeError, match="until 'scores': expected one of source, "):
        fs.run("pocket-waterbirds", until="scores")
