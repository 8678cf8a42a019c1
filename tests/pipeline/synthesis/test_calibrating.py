"""Limits are measured on real pictures and on samples, kept in the catalog, and refused for other models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fairshards.catalogs.database.catalog import Catalog
from fairshards.catalogs.manifests.manifest import Head, encode, write_local
from fairshards.catalogs.questions.query import run_query
from fairshards.filters.scorers.clip_scorer import ClipScorer
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.pictures.pages import PAGES
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.report.page import write_report
from fairshards.pipeline.run.context import Anew
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.transforms.pictures.score import LazyScorer
from fairshards.transforms.pictures.score_real import ScoreReal, real_score_tasks
from fairshards.transforms.pictures.specs import ScorerSpec
from tests.pipeline.small import small_recipe

RETAIN = "filters={clip_alignment: {retain: 0.9}, variance: {retain: 0.9}}"


@dataclass
class Made:
    """A run up to its curation, whose filters are calibrated."""

    folder: Path
    root: Path
    result: RunResult

    def run(self, root: Path, *overrides: str, generate: bool = True) -> RunResult:
        """Run the small recipe with overrides."""
        recipe = small_recipe(self.folder, *overrides)
        return run(recipe, Launcher(), Reporter(quiet=True), "curate", root, anew=Anew(generate))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("calibrated")
    root = folder / "run"
    recipe = small_recipe(folder, RETAIN, "calibration.images=10")
    return Made(folder, root, run(recipe, Launcher(), Reporter(quiet=True), "curate", root))


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """Return what copies a run folder, so that a test may change it."""
    return lambda root: Path(shutil.copytree(root, tmp_path / "copy"))


def asked(root: Path, sql: str) -> list[Any]:
    """Return the rows of a query."""
    return [tuple(row) for row in run_query(root, sql)[1]]


def test_real_training_pictures_are_scored_with_their_groups_prompts(made: Made) -> None:
    """The small source has 12 training pictures; a limit is 10, and no group has so many."""
    rows = asked(
        made.root,
        "SELECT DISTINCT s.split, c.prompt, c.group_name FROM calibration_set c "
        "JOIN sources s USING (source_id) ORDER BY 3",
    )
    assert [row[0] for row in rows] == ["train"] * 4
    assert rows[1] == ("train", "a photo of a landbird on water", "landbird|water")
    counts = asked(made.root, "SELECT score, count(*) FROM real_scores GROUP BY 1 ORDER BY 1")
    assert counts == [(name, 12) for name in ("clip_alignment", "grey_scale", "judge_bias", "judge_class")]


def test_a_limit_is_the_quantile_of_its_calibration_set(made: Made) -> None:
    ((alignment, n, on),) = asked(
        made.root,
        "SELECT threshold, n, calibrated_on FROM calibrations WHERE filter = 'clip_alignment' AND group_name = '*'",
    )
    values = [value for (value,) in asked(made.root, "SELECT value FROM real_scores WHERE score = 'clip_alignment'")]
    assert n == 12 and on == "real" and alignment == round(sorted(values)[1], 4)
    ((variance, on),) = asked(
        made.root, "SELECT threshold, calibrated_on FROM calibrations WHERE filter = 'variance' AND group_name = '*'"
    )
    assert on == "samples"
    kept = asked(
        made.root,
        "SELECT keep, max(trajectory_variance) FROM decisions JOIN samples USING (sample_id) "
        "WHERE filter = 'variance' GROUP BY 1 ORDER BY 1",
    )
    assert kept[-1][1] <= variance * 1.001 and kept[0][1] > variance


def test_small_groups_share_the_limit_of_all_and_say_so(made: Made) -> None:
    rows = asked(made.root, "SELECT n, threshold, note FROM calibrations WHERE group_name <> '*'")
    assert len(rows) == 8 and all(threshold is None for _, threshold, _ in rows)
    assert all("the limit of all groups holds" in note or "at least 10" in note for _, _, note in rows)


def test_the_curve_holds_the_chosen_limit(made: Made) -> None:
    rows = asked(
        made.root,
        "SELECT share, c.threshold, k.threshold, retain FROM calibration_curves k "
        "JOIN calibrations c USING (curation_id, filter, score, group_name)",
    )
    assert rows and all(chosen == on_curve for share, chosen, on_curve, retain in rows if share == retain)


def test_a_second_curation_stands_beside_the_first_and_loads_nothing(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy_of: Callable[[Path], Path]
) -> None:
    root = copy_of(made.root)
    monkeypatch.setattr(ClipScorer, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    second = made.run(root, RETAIN.replace("0.9}}", "0.5}}"), "calibration.images=10", generate=False)
    assert second.curated and made.result.curated
    ids = {made.result.curated.curation_id, second.curated.curation_id}
    assert len(ids) == 2 and {row[0] for row in asked(root, "SELECT curation_id FROM calibrations")} == ids
    columns, rows = run_query(root, "curations")
    passed = {row[0]: sum(each[3] for each in rows if each[0] == row[0]) for row in rows}
    assert columns[3] == "passed" and passed[made.result.curated.curation_id] > passed[second.curated.curation_id]


def test_scores_of_real_pictures_stay_while_a_curation_needs_them(made: Made, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(made.root)
    plain = made.run(root, "filters={variance: {max: 1.0e+9}}", generate=False)
    assert plain.curated and len(asked(root, "SELECT * FROM curations")) == 2
    assert asked(root, "SELECT count(*) FROM real_scores") == [(48,)]
    made.run(root, "filters={variance: {max: 1.0e+9}}", "scorer.class_prompts=['a picture of a {class}']")
    assert asked(root, "SELECT count(*) FROM real_scores") == [(0,)]  # another scorer: that curation is gone


def test_another_runs_limits_are_used_where_the_models_are_the_same(made: Made, tmp_path: Path) -> None:
    borrowed = made.run(tmp_path / "second", RETAIN, f"calibration.run={made.root}", "seed=4")
    assert borrowed.curated
    limits = "SELECT filter, group_name, threshold, fingerprint FROM calibrations ORDER BY 1, 2"
    assert asked(tmp_path / "second", limits) == asked(made.root, limits)
    assert asked(tmp_path / "second", "SELECT count(*) FROM real_scores") == [(0,)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["generator.steps=5"], r"filters.variance was calibrated with another generator \(weights, scheduler, steps"),
        (["generator.scheduler=DDPMScheduler"], "filters.variance was calibrated with another generator"),
        (["prompts.templates=['a {class}, {bias}']"], "clip_alignment was calibrated with another scorer or other"),
        (["scorer.class_prompts=['a {class}']"], "filters.clip_alignment was calibrated with another scorer"),
        (["filters={variance: {retain: 0.8}}"], "filters.variance.retain was 0.9 there and is 0.8 here"),
        (["filters={grey_scale: {retain: 0.9}}"], "has no calibration of filters.grey_scale"),
        (["calibration.curation=0123456789ab"], "no curation 0123456789ab has calibrations"),
    ],
)
def test_limits_of_other_models_are_refused(made: Made, tmp_path: Path, changes: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        made.run(tmp_path / "second", RETAIN, f"calibration.run={made.root}", *changes)


def test_a_run_without_calibrations_lends_none(made: Made, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="name a run folder whose filters have retain"):
        made.run(tmp_path / "second", RETAIN, f"calibration.run={tmp_path / 'nowhere'}")


def test_the_report_draws_the_curves(made: Made, copy_of: Callable[[Path], Path]) -> None:
    root = copy_of(made.root)
    page = write_report(RunFolder(root), small_recipe(made.folder, RETAIN), PAGES).read_text()
    section = page[page.index('id="calibration"') :]
    assert section.count('class="curve pooled"') == 2 and "retains 90% of real training pictures" in section
    assert "12 values" not in section and "are too few" in section


def test_a_broken_picture_becomes_a_reject_and_the_others_are_scored(made: Made, tmp_path: Path) -> None:
    shard, *place = asked(made.root, "SELECT shard, \"offset\", size FROM sources WHERE split = 'train' LIMIT 1")[0]
    good = (made.root / shard).read_bytes()
    write_local(tmp_path / "source" / "a.tar", good[place[0] : place[0] + place[1]] + b"no picture at all")
    same = {
        "y": 0,
        "class_name": "landbird",
        "b": 0,
        "bias_name": "land",
        "group_name": "landbird|land",
        "prompt": "a photo of a landbird on land",
        "spurious": None,
        "shard": "source/a.tar",
    }
    rows = [
        {**same, "source_id": "a" * 32, "offset": 0, "size": place[1], "image_sha256": "a"},
        {**same, "source_id": "b" * 32, "offset": place[1], "size": 17, "image_sha256": "b"},
    ]
    data, _ = encode(Head("calibration_plan", "calibration", "f" * 64), rows, {})
    write_local(tmp_path / "calibration" / "plan.parquet", data)
    names = {"class_names": ("landbird", "waterbird"), "bias_names": ("land", "water")}
    prompts = {"class_prompts": (("a landbird",), ("a waterbird",)), "bias_prompts": (("land",), ("water",))}
    spec = ScorerSpec(str(made.folder / "models" / "clip"), "f" * 64, "cpu", 2, **prompts, **names)  # type: ignore[arg-type]
    (task,) = real_score_tasks(str(tmp_path), "calibration/plan.parquet", rows, spec)
    record = ScoreReal.do(task, LazyScorer(spec))
    assert (record.samples, record.rejects) == (4, 4)
    with Catalog.open(tmp_path, "write") as catalog:
        catalog.sync({record.manifest: record.content_sha256})
        rejects = catalog.con.execute("SELECT id, reason FROM rejects WHERE stage = 'real_score'").fetchall()
    assert set(rejects) == {("b" * 32, "unreadable_image")}
