"""Runs that are pruned in flight: the same pictures for less, and every pruned sample on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fairshards.catalogs.questions.query import run_query
from fairshards.generators.diffusion import phases
from fairshards.generators.diffusion.text_to_image import TextToImage
from fairshards.pipeline.cli.app import app
from fairshards.pipeline.driver import run
from fairshards.pipeline.pictures import pruning as prune_calibration
from fairshards.pipeline.pictures.pruning import Choice, Glimpsed, best_limits, calibrate_pruning, lines
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.run.folder import open_run
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.verify import verify
from tests.pipeline.small import Small, digests, small_recipe

SETTINGS = ("generator.window=2", "generator.batch_size=2", "quota.shard_size=4", "quota.max_rounds=1")


@dataclass
class Pair:
    """The same small run, whole and pruned; ``limit`` is what half of the previews reach."""

    whole: Path
    pruned: Path
    limit: float
    overrides: tuple[str, ...]


@pytest.fixture(scope="module")
def pair(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    root = tmp_path_factory.mktemp("pruned")
    run(small_recipe(small.folder, *SETTINGS), Launcher(), Reporter(quiet=True), "curate", root / "whole")
    first = (*SETTINGS, "generator.prune={step: 2, min_bias: 0.0}")
    run(small_recipe(small.folder, *first), Launcher(), Reporter(quiet=True), "curate", root / "kept")
    groups = sorted(value for (value,) in asked(root / "kept", "SELECT judge_bias FROM previews"))
    overrides = (*SETTINGS, f"generator.prune={{step: 2, min_bias: {groups[len(groups) // 2]:.4f}}}")
    run(small_recipe(small.folder, *overrides), Launcher(), Reporter(quiet=True), "curate", root / "half")
    return Pair(root / "whole", root / "half", groups[len(groups) // 2], overrides)


def asked(root: Path, sql: str) -> list[Any]:
    """Return the rows of a query."""
    return [tuple(row) for row in run_query(root, sql)[1]]


def pictures(root: Path) -> Mapping[str, tuple[str, float]]:
    """Return each sample's picture and trajectory variance, by id."""
    rows = asked(root, "SELECT sample_id, image_sha256, trajectory_variance FROM samples")
    return {sample: (image, round(variance, 9)) for sample, image, variance in rows}


def test_spared_samples_are_the_pictures_of_an_unpruned_run(pair: Pair) -> None:
    whole, pruned = pictures(pair.whole), pictures(pair.pruned)
    assert 0 < len(pruned) < len(whole) == 16
    assert pruned == {sample: whole[sample] for sample in pruned}


def test_pruned_samples_are_rejects_with_their_scores_and_step(pair: Pair) -> None:
    rows = asked(
        pair.pruned,
        "SELECT pruned, step, judge_bias, plan.noise_seed IS NOT NULL FROM previews JOIN plan USING (sample_id)",
    )
    assert len(rows) == 16 and {step for _, step, _, _ in rows} == {2} and all(row[3] for row in rows)
    assert all(gone is (round(group, 4) < round(pair.limit, 4)) for gone, _, group, _ in rows)
    reasons = asked(pair.pruned, "SELECT reason, count(*) FROM rejects WHERE stage = 'generate' GROUP BY 1")
    assert reasons == [("pruned", sum(gone for gone, *_ in rows))]
    (detail,), *_ = asked(pair.pruned, "SELECT detail FROM rejects WHERE reason = 'pruned'")
    assert "the probability that the preview shows its bias value is" in detail
    decided = asked(pair.pruned, "SELECT count(*) FROM decisions WHERE filter = 'generated' AND reason = 'pruned'")
    assert decided == [(reasons[0][1],)]


def test_explain_tells_what_a_sample_looked_like_half_way(pair: Pair) -> None:
    (sample,), *_ = asked(pair.pruned, "SELECT sample_id FROM previews WHERE pruned")
    told = CliRunner().invoke(app, ["explain", str(pair.pruned), sample]).output
    assert "at step 2: clip_alignment" in told and "not finished" in told


def test_a_pruned_run_is_resumed_verified_and_the_same_again(
    small: Small, pair: Pair, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    recipe, root = small_recipe(small.folder, *pair.overrides), copy_of(pair.pruned)
    before = digests(root, "raw/*")
    assert run(recipe, Launcher(), Reporter(quiet=True), "curate", root).generated == 0
    assert digests(root, "raw/*") == before
    assert verify(open_run(str(root)), recipe, 16, False, Console(quiet=True)) == 0
    run(recipe, Launcher(), Reporter(quiet=True), "curate", tmp_path / "again")
    assert digests(tmp_path / "again", "raw/*.tar") == digests(root, "raw/*.tar")


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """Return what copies a run folder."""
    import shutil

    return lambda root: Path(shutil.copytree(root, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("generator.prune={step: 3, min_class: 0.1}", "prune.step is 3, but the trajectory variance is followed over"),
        ("generator.prune={step: 2}", "prune needs one of min_class, min_bias, min_alignment"),
        ("generator.prune={step: 0, min_class: 0.1}", "greater than or equal to 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused_when_the_recipe_is_read(small: Small, change: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        small_recipe(small.folder, *SETTINGS, change)


def test_calibration_finds_limits_on_a_finished_run(small: Small, pair: Pair, copy_of: Callable[[Path], Path]) -> None:
    recipe, root = small_recipe(small.folder, *SETTINGS), copy_of(pair.whole)
    found = calibrate_pruning(open_run(str(root)), recipe, 16, [1, 2], 0.0, Reporter(quiet=True))
    assert [one.step for one in found] == [1, 2] and all(one.lost == 0 for one in found)
    made = CliRunner().invoke(app, ["calibrate-pruning", str(root), "--samples", "16", "--steps", "2", "-q"])
    assert made.exit_code == 0 and "cost at step 2: (2 + " in made.output
    with pytest.raises(RecipeError, match=r"steps are \[3\]; previews can be judged at steps 1 to 2"):
        calibrate_pruning(open_run(str(root)), recipe, 16, [3], 0.02, Reporter(quiet=True))
    with pytest.raises(RecipeError, match=r"take generator\.prune out"):
        pruned = small_recipe(small.folder, *pair.overrides)
        calibrate_pruning(open_run(str(root)), pruned, 16, [2], 0.02, Reporter(quiet=True))


def test_decoding_a_preview_is_a_cost_of_judging(
    small: Small, pair: Pair, copy_of: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only sampling (1 a step) and decoding previews (7 each) move."""
    clock = [0.0]
    make, decode = TextToImage._make, phases.previews_of

    def making(*args: Any) -> Any:
        clock[0] += 4
        return make(*args)

    def decoding(*args: Any) -> Any:
        clock[0] += 7
        return decode(*args)

    monkeypatch.setattr(TextToImage, "_make", making)
    monkeypatch.setattr(phases, "previews_of", decoding)
    monkeypatch.setattr(prune_calibration, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    recipe, root = small_recipe(small.folder, *SETTINGS), copy_of(pair.whole)
    found = calibrate_pruning(open_run(str(root)), recipe, 16, [1, 2], 0.0, Reporter(quiet=True))
    assert [one.judging for one in found] == [7, 7]


def glimpsed(accepted: int, rejected: int) -> list[Glimpsed]:
    """Return samples whose bias value tells them apart, but for one in fifty accepted ones; their class doesn't."""

    def seen(number: int, bias: float) -> dict[int, dict[str, float | None]]:
        return {5: {"judge_class": 0.01 * (number % 7), "judge_bias": bias, "clip_alignment": 0.3}}

    good = [Glimpsed(True, seen(number, 0.1 if number % 50 == 0 else 0.9)) for number in range(accepted)]
    return good + [Glimpsed(False, seen(number, 0.2)) for number in range(rejected)]


def test_the_limit_loses_at_most_what_it_may_and_the_arithmetic_is_right() -> None:
    best = best_limits(glimpsed(100, 100), 5, 20, 0.5, 0.02)
    assert (best.lost, best.survival) == (0.02, 0.49) and best.limits == {"min_bias": 0.55}  # between 0.2 and 0.9
    assert best.cost == pytest.approx((5 + 0.49 * 15 + 0.5) / 20) and best.gain == pytest.approx(0.98 / best.cost)
    assert 0.02 < best.lost_high < 0.08
    strict = best_limits(glimpsed(100, 100), 5, 20, 0.5, 0.01)
    assert strict.lost == 0 and strict.survival == 1 and strict.gain < 1


def test_what_does_not_pay_is_said() -> None:
    losing = Choice(5, {"min_class": 0.1}, 0.0, 0.03, 1.0, 0.5, 1.025, 0.976)
    assert list(lines([losing], 20))[-1] == "pruning in flight doesn't pay here: leave generator.prune out"
    paying = Choice(5, {"min_bias": 0.25, "min_alignment": 0.1}, 0.01, 0.03, 0.5, 0.5, 0.65, 1.52)
    assert list(lines([losing, paying], 20))[-2:] == [
        "generator:",
        "  prune: {step: 5, min_bias: 0.25, min_alignment: 0.1, pays_from: 0.04}",
    ]
