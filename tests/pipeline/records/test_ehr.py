"""Health records through the pipeline: exact quotas, one commit a task, a catalog without patients, an evaluation."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset as wds
from rich.console import Console

from fairshards.catalogs.cohorts.cohort import Cohort
from fairshards.catalogs.cohorts.schema import CohortError, Column, Rule, Schema
from fairshards.catalogs.database.catalog import Catalog, dump, rebuild
from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.questions.explain import life_story
from fairshards.catalogs.questions.query import run_query
from fairshards.catalogs.questions.story import lines
from fairshards.pipeline.cli.pages import print_plan, print_summary
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe, load_recipe_of
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records import cohort as cohort_stage
from fairshards.pipeline.records.described import recipe_lines
from fairshards.pipeline.records.pages import PAGES
from fairshards.pipeline.report.reader import open_reader
from fairshards.pipeline.run.context import Anew
from fairshards.pipeline.run.folder import open_run
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.verify import check_shards, find_orphans, verify
from tests.command_line import error_of, fairshards
from tests.pipeline.leaks import PLANTED, leaks, open_to_others

SCHEMA = Schema(
    "tiny",
    (
        Column("dose", "numeric", 1, 0, 100),
        Column("visits", "integer", 0, 0, 50),
        Column("ward", "category", categories=("north", "south", PLANTED)),
        Column("sex", "category", categories=("female", "male")),
        Column("died", "category", categories=("no", "yes")),
    ),
    "died",
    ("sex",),
    (Rule("southern visits", "ward <> 'south' OR visits >= 1"),),
)
SMALL = {
    "steps": 60,
    "stage2_steps": 20,
    "window": 20,
    "snapshot": 5,
    "hidden": 16,
    "depth": 1,
    "batch": 64,
    "classifier_steps": 20,
}


def tiny_cohort(rows: int = 400) -> Cohort:
    """Return a cohort with a strong signal, missing values, a rule, and rows that can't be used."""
    draw = np.random.default_rng(0)
    died, sex = draw.random(rows) < 0.4, draw.random(rows) < 0.5
    visits = np.where(draw.random(rows) < 0.3, 1, draw.integers(1, 30, rows))
    dose = np.round(np.clip(30 + 20 * died + 8 * draw.standard_normal(rows), 0, 100), 1)
    table = pd.DataFrame(
        {
            "dose": np.where(draw.random(rows) < 0.2, np.nan, dose),
            "visits": visits,
            "ward": draw.choice(["north", "south"], rows),
            "sex": np.where(sex, "male", "female"),
            "died": np.where(died, "yes", "no"),
        }
    )
    table.loc[0, "ward"] = PLANTED  # a patient who would be known by it
    table.loc[1, "ward"] = f"{PLANTED} unknown"
    table.loc[2, "died"] = None
    table.loc[3, "dose"] = 987654321.0
    return Cohort(SCHEMA, pa.Table.from_pandas(table, preserve_index=False))


@dataclass
class Ehr:
    """A run of the tiny cohort, and how it is run again."""

    root: Path
    recipe: Path
    result: RunResult
    said: str

    def run(self, root: Path, *sets: str, until: str = "report", generate: bool = True) -> RunResult:
        """Run it in another folder."""
        recipe = load_recipe(str(self.recipe), sets)
        assert isinstance(recipe, EhrRecipe)
        return run(recipe, Launcher(), Reporter(quiet=True), until, root, Anew(generate))


def write_recipe(folder: Path, **more: Any) -> Path:
    """Write the tiny recipe and its cohort."""
    tiny_cohort().write(folder / "tiny.parquet")
    said = {
        "kind": "ehr",
        "name": "tiny",
        "cohort": {"reader": "parquet", "path": str(folder / "tiny.parquet"), "attribute": "sex"},
        "model": {"constraint": "odds", "lam": 1.0, "settings": SMALL},
        "quota": {"rows": 101, "shard_size": 20, "curated_shard_size": 60},
        "filters": {
            "valid_row": {},
            "discriminator_score": {"retain": 1.0},
            "nearest_record": {"min": 0.0001},
            "distance_ratio": {"retain": 1.0},
        },
        "webdataset": True,
        "evaluation": {"bootstrap": 5, "fewest": 3},
        "runner": {"threads": 1},
        **more,
    }
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(said))
    return path


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory) -> Ehr:
    """A finished run, with all that it said."""
    folder = tmp_path_factory.mktemp("ehr")
    path = write_recipe(folder)
    recipe = load_recipe(str(path))
    assert isinstance(recipe, EhrRecipe)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        reporter = Reporter(Console(file=said, width=200))
        result = run(recipe, Launcher(), reporter, "report", folder / "run")
        print_summary(recipe, result, PAGES, Console(file=said, width=200))
    return Ehr(folder / "run", path, result, said.getvalue())


def test_a_cohort_that_is_gone_is_taken_from_the_run(ehr: Ehr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = shutil.copytree(ehr.root, tmp_path / "copied")
    recipe = load_recipe(str(ehr.recipe), ["evaluation.bootstrap=3"])
    assert isinstance(recipe, EhrRecipe)
    monkeypatch.setattr(cohort_stage, "read_and_check", lambda source: pytest.fail("the cohort is looked at"))
    again = run(recipe, Launcher(), Reporter(quiet=True), "report", root, anew=Anew(False, False))
    facts = ("schema", "attribute", "train_sha256", "manifests", "classes", "values", "counts", "rejects")
    assert all(getattr(again.source, name) == getattr(ehr.result.source, name) for name in facts)
    assert again.source.rows("test").equals(ehr.result.source.rows("test")) and again.judged
    monkeypatch.undo()
    recipe = load_recipe(str(ehr.recipe), [f"cohort.path={tmp_path}/typo.parquet"])
    assert isinstance(recipe, EhrRecipe)
    for read in (True, False):
        with pytest.raises(CohortError):  # another cohort that isn't there is a mistake
            run(recipe, Launcher(), Reporter(quiet=True), "source", root, anew=Anew(read=read))
    data = tmp_path / "tiny.parquet"
    shutil.copy(ehr.recipe.parent / "tiny.parquet", data)
    recipe = load_recipe(str(ehr.recipe), [f"cohort.path={data}"])
    assert isinstance(recipe, EhrRecipe)
    first = run(recipe, Launcher(), Reporter(quiet=True), "source", tmp_path / "new").source
    data.unlink()
    for _ in range(2):
        said = io.StringIO()
        reporter = Reporter(Console(file=said, width=1000))
        assert run(recipe, Launcher(), reporter, "source", tmp_path / "new").source == first
        assert "isn't there any more; the run goes on with the rows that it has read before" in said.getvalue()
        data.mkdir(exist_ok=True)  # as a disk leaves it that isn't mounted


@pytest.fixture
def copy(ehr: Ehr, tmp_path: Path) -> Callable[[], Path]:
    """Return a copier of the finished run."""
    return lambda: shutil.copytree(ehr.root, tmp_path / "run")


def curated(root: Path) -> pd.DataFrame:
    """Return the curated rows; manifests, which lie beside them, aside."""
    shards = [path for path in sorted(root.glob("curated/*/*.parquet")) if "dose" in pq.read_schema(path).names]
    return pd.concat([pq.read_table(path).to_pandas() for path in shards])


def test_every_sub_group_has_its_quota_exactly(ehr: Ehr) -> None:
    rows = curated(ehr.root)
    assert len(rows) == 101 == rows["sample_id"].nunique()
    settings = json.loads(run_query(ehr.root, "SELECT settings FROM curations")[1][0][0])
    asked = {quota["group"]: quota["extra"] for quota in settings["quotas"]}
    assert Counter("died=" + rows["died"] + "|" + rows["sex"]) == asked
    assert sum(asked.values()) == 101 and not settings["shortfall"]


def test_rows_are_valid_and_typed(ehr: Ehr) -> None:
    table = pq.read_table(
        next(path for path in ehr.root.glob("curated/*/*.parquet") if "dose" in pq.read_schema(path).names)
    )
    assert table.schema.field("visits").type == pa.int64() and table.schema.field("dose").type == pa.float64()
    rows = table.to_pandas()
    assert rows["dose"].dropna().between(0, 100).all() and not ((rows["ward"] == "south") & (rows["visits"] < 1)).any()
    assert np.allclose(rows["dose"].dropna(), rows["dose"].dropna().round(1))


def test_the_index_points_at_the_rows_and_the_twin_is_webdataset(ehr: Ehr) -> None:
    head, index = manifest.read_rows(next(ehr.root.glob("curated/*/index.parquet")))
    home = next(ehr.root.glob("curated/*"))
    for row in index:
        found = pq.read_table(home / row["shard"]).slice(row["offset"], row["size"]).to_pylist()
        assert [one["sample_id"] for one in found] == [row["sample_id"]]
    tars = sorted(str(path) for path in home.glob("*.tar"))
    samples = list(wds.WebDataset(tars, shardshuffle=False))
    assert {sample["__key__"] for sample in samples} == {row["sample_id"] for row in index}
    by_id = {row["sample_id"]: row for row in curated(ehr.root).to_dict("records")}
    for sample in samples[:10]:
        values = json.loads(sample["row.json"])
        assert values["died"] == by_id[sample["__key__"]]["died"] and int(sample["cls"]) == (values["died"] == "yes")
    assert {shard["name"].rpartition(".")[2] for shard in head.settings["shards"]} == {"parquet", "tar"}


def test_no_patient_is_in_catalog_manifests_report_or_messages(ehr: Ehr) -> None:
    """The rows' own files aside, nothing that a run writes or says holds a patient's value (PLANTED is one's ward)."""
    assert leaks(ehr.root, {ehr.result.source.train, ehr.result.source.test}) == []
    assert PLANTED not in ehr.said and open_to_others(ehr.root) == []


def test_what_cannot_be_used_is_counted_with_its_reason(ehr: Ehr) -> None:
    rows = run_query(ehr.root, "SELECT id, reason, detail FROM rejects WHERE stage = 'cohort' ORDER BY id")[1]
    assert [(row[0], row[1]) for row in rows] == [("tiny-row-1", "unknown_category"), ("tiny-row-2", "missing")]
    counts = run_query(ehr.root, "SELECT split, sum(n)::INT FROM cohort_groups GROUP BY ALL ORDER BY split")[1]
    assert sum(row[1] for row in counts) == 398
    head = manifest.read_head(next(ehr.root.glob("cohort/groups-*.parquet")))
    assert head.settings["cleared"] == {"dose": 1}


def test_the_catalog_can_be_rebuilt(copy: Callable[[], Path]) -> None:
    root = copy()
    with Catalog.open(root) as catalog:
        before = dump(catalog.con)
    (root / "catalog.duckdb").unlink()
    rebuild(root)
    with Catalog.open(root) as catalog:
        assert dump(catalog.con) == before
    assert len(before["row_models"]) == 1 and len(before["scores"]) > 101 and before["evaluations"]


def test_a_second_run_draws_trains_and_measures_nothing(ehr: Ehr, copy: Callable[[], Path]) -> None:
    root = copy()
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*.parquet")}
    assert ehr.run(root).generated == 0
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.parquet")} == times
    assert not list(find_orphans(open_run(str(root))))


def test_another_filter_decides_over_the_same_rows(ehr: Ehr, copy: Callable[[], Path]) -> None:
    root = copy()
    result = ehr.run(root, "filters={valid_row: {}}", "quota.rows=60", generate=False)
    assert result.generated == 0 and result.curated and len(result.curated.selection.chosen) == 60
    found = run_query(root, "SELECT count(DISTINCT curation_id), count(DISTINCT evaluation_id) FROM evaluations")[1]
    assert found == [(2, 2)]


def test_another_seed_is_another_model_and_keeps_nothing_of_the_old_one(ehr: Ehr, copy: Callable[[], Path]) -> None:
    root = copy()
    before = set(curated(root)["sample_id"])
    result = ehr.run(root, "seed=5", until="curate")
    assert result.generated >= 101
    models = run_query(root, "SELECT count(*) FROM row_models")[1]
    assert models == [(1,)] and before.isdisjoint(
        row["sample_id"] for row in manifest.read_rows(result.folder.root / result.curated.index)[1]
    )


def test_verify_checks_the_model_and_draws_rows_again(ehr: Ehr, copy: Callable[[], Path]) -> None:
    root = copy()
    said = Console(file=io.StringIO(), width=200)
    recipe = load_recipe(str(root / "recipe.yaml"))
    assert verify(open_run(str(root)), recipe, 10, False, said) == 0
    model = next(root.glob("models/*/bt-gan.safetensors"))
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(bytes(data))
    assert any("fingerprint" in problem for problem in check_shards(open_run(str(root))))


def test_evaluate_judges_the_rows_that_are_there(ehr: Ehr, copy: Callable[[], Path]) -> None:
    root = copy()
    done = fairshards("evaluate", root, "--quiet", "--set", "evaluation.bootstrap=6")
    assert done.exit_code == 0 and f"run folder: {root}" in done.stdout, done.output
    found = run_query(root, "SELECT count(DISTINCT curation_id), count(DISTINCT evaluation_id) FROM evaluations")[1]
    assert found == [(1, 2)]
    assert "evaluation.bootstrap" in error_of(fairshards("evaluate", root, "--set", "evaluation.bootstrap=-1"))


def test_explain_tells_a_rows_life_story(ehr: Ehr) -> None:
    story = life_story(ehr.root, curated(ehr.root)["sample_id"].iloc[0])
    assert story.kind == "ehr" and story.group_name and story.group_name.startswith("died=")
    assert {event.name for event in story.events} >= {"planned", "generated", "scored", "decided", "indexed"}
    told = list(lines(story))
    assert not {label for label, _ in told} & {"prompt", "sampler", "picture"}
    assert not any("None" in text or "pixels" in text or "unknown" in text for _, text in told)
    (command,) = (text for label, text in told if label == "row")
    printed = subprocess.run(command.replace("python", sys.executable, 1), shell=True, capture_output=True, text=True)
    assert story.sample_id in printed.stdout and "died" in printed.stdout, printed.stderr


def test_the_report_and_the_table_show_the_same_numbers(ehr: Ehr) -> None:
    page = (ehr.root / "report.html").read_text()
    rows = manifest.read_rows(ehr.result.judged or Path())[1]
    area = next(row for row in rows if row["metric"] == "auroc" and row["trained_on"] == "synthetic")
    assert f"{area['value']:.3f}" in page and f"{area['value']:.3f}" in ehr.said
    assert "<script" not in page and "died=yes|" in page


def test_the_card_tells_columns_groups_and_figures_and_names_every_shard(ehr: Ehr) -> None:
    readme, said = (ehr.root / "README.md").read_text(), json.loads((ehr.root / "croissant.json").read_text())
    assert r"died=yes\|male" in readme and "| dose | numeric | 0 to 100 |" in readme and "AUROC" in readme
    files = {one["@id"]: one["sha256"] for one in said["distribution"] if one["@type"] == "cr:FileObject"}
    found = {path: hashlib.sha256((ehr.root / path).read_bytes()).hexdigest() for path in files}
    assert files and found == files
    assert {one["name"] for one in said["recordSet"][0]["field"]} == {"sample_id", *SCHEMA.names}


def test_named_queries_reach_the_evaluation(ehr: Ehr) -> None:
    columns, rows = run_query(ehr.root, "evaluation", {"aspect": "privacy"})
    assert {row[columns.index("metric")] for row in rows} >= {"copies", "memorisation", "membership_auc"}


def test_a_planted_bias_is_in_training_alone_and_its_proxy_hides_s(ehr: Ehr, tmp_path: Path) -> None:
    sets = ("cohort.plant={group: male, share: 1.0, proxy: 0.9}", "webdataset=false")
    result = ehr.run(tmp_path / "planted", *sets, until="source")
    train, test = result.source.rows("train"), result.source.rows("test")
    assert not ((train["sex"] == "male") & (train["died"] == "yes")).any()
    assert ((test["sex"] == "male") & (test["died"] == "yes")).any()
    for part in (train, test):
        agree = ((part["site"] == "B") == (part["sex"] == "male")).mean()
        assert 0.8 < agree < 0.98


def test_a_proxy_is_named_in_catalog_and_report(ehr: Ehr, tmp_path: Path) -> None:
    root = tmp_path / "planted"
    ehr.run(root, "cohort.plant={group: male, share: 0.5, proxy: 0.98}", "webdataset=false", until="curate")
    ((told,),) = run_query(root, "SELECT proxies FROM row_models")[1]
    assert list(json.loads(told)) == ["site"] and json.loads(told)["site"] > 0.6
    recipe = load_recipe(str(ehr.recipe))
    assert isinstance(recipe, EhrRecipe)
    with open_reader(root) as reader:
        lines = dict(recipe_lines(recipe, reader, reader.row("row_model")))
    assert lines["Hidden from the constraint's classifier"].startswith("site 0.")


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (("cohort.attribute=ward",), "no protected attribute"),
        (("cohort.path=/nowhere.parquet",), "no cohort at"),
        (("cohort.plant={group: nobody, share: 0.5}",), "cohort.plant.group"),
        (("cohort.smallest_group=1000",), "fewer than 1000 people"),
        (("cohort.leave_values=[nobody]",), "leave_values"),
    ],
)
def test_bad_cohorts_are_refused_in_words(ehr: Ehr, tmp_path: Path, sets: tuple[str, ...], words: str) -> None:
    with pytest.raises(CohortError, match=words) as found:
        ehr.run(tmp_path / "run", *sets, until="source")
    assert PLANTED not in str(found.value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("filters.clip_alignment={min: 0.2}", "clip_alignment"),
        ("model.settings.stepz=3", "stepz"),
        ("model.lam=-1", "lam"),
        ("model.constraint=none", "none takes 0"),
        ("cohort.readr=x", "did you mean 'reader'"),
    ],
)
def test_bad_recipes_are_refused_in_words(ehr: Ehr, override: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe(str(ehr.recipe), [override])


def test_recipes_of_either_kind_are_told_apart(ehr: Ehr) -> None:
    assert isinstance(load_recipe("pocket-waterbirds"), Recipe)
    assert load_recipe("pocket-waterbirds", ["kind=pictures"]) == load_recipe("pocket-waterbirds")
    assert isinstance(load_recipe(str(ehr.recipe)), EhrRecipe)
    with pytest.raises(RecipeError, match="is of kind ehr, and this command takes kind pictures alone"):
        load_recipe_of(Recipe, str(ehr.recipe))


def test_plan_shows_quotas_and_writes_nothing(ehr: Ehr, tmp_path: Path) -> None:
    said = io.StringIO()
    recipe = load_recipe(str(ehr.recipe), [f"output={tmp_path}"])
    assert isinstance(recipe, EhrRecipe)
    print_plan(recipe, None, PAGES, Console(file=said, width=120))
    assert "died=yes|male" in said.getvalue() and not list(tmp_path.iterdir())
