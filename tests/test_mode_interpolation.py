"""The reproduction's own parts: sets, schedule, sampler and metric, and the claim in one dimension on a kept model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.csv_rows import read_rows, write_rows
from benchmarks.mode_interpolation import recursive, tables
from benchmarks.mode_interpolation.gaussian_sets import SETS
from benchmarks.mode_interpolation.hallucination import separation
from benchmarks.mode_interpolation.study import KEY, separations
from benchmarks.mode_interpolation.tables import by_seed, by_window
from benchmarks.mode_interpolation.toy_diffusion import Net, Running, Samples, Schedule, Training, sample, train
from fairshards.generators.diffusion.trajectory import TrajectoryVariance
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.evaluation.intervals import wilson

KEPT = Path(__file__).parent / "data" / "mode-interpolation-1d.safetensors"
PAGE = Path(__file__).parents[1] / "docs" / "mode-interpolation.md"


@pytest.mark.parametrize(
    ("name", "modes", "spacing", "sigma"),
    [("1d", 3, 1.0, 0.05), ("1d-gap", 4, 1.0, 0.05), ("2d", 25, 0.707, 0.0177), ("2d-rotated", 25, 0.5, 0.0177)],
)
def test_sets_are_the_papers(name: str, modes: int, spacing: float, sigma: float) -> None:
    world = SETS[name]
    assert len(world.modes) == modes and world.sigma == pytest.approx(sigma, rel=0.01)
    gaps = np.linalg.norm(world.modes[:, None] - world.modes[None], axis=-1)
    assert gaps[gaps > 0].min() == pytest.approx(spacing, rel=0.01) == pytest.approx(world.spacing, rel=0.01)
    points = world.draw(10_000, 0)
    nearest, distance = world.nearest(points)
    assert np.bincount(nearest).tolist() == np.bincount(np.arange(10_000) % modes).tolist()
    assert (distance**2).mean() == pytest.approx(points.shape[1], rel=0.05)


def test_coefficients_stay_finite_where_float32_would_underflow() -> None:
    schedule = Schedule.linear()
    assert all(torch.isfinite(values).all() for values in vars(schedule).values())
    assert schedule.signal[-1] == pytest.approx(3.6e-24, rel=0.02)
    assert schedule.to_x0[-1] == pytest.approx(2.8e23, rel=0.02)
    naive = torch.cumprod(1 - torch.linspace(0.001, 0.2, 1000), 0)
    assert naive[-1] == 0  # what the float64 is for


def test_a_perfect_model_draws_the_data() -> None:
    """The score of one Gaussian at 2 with sigma 0.05 is known: sampling with it gives that Gaussian."""

    class Known(torch.nn.Module):
        def forward(self, points: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
            schedule = Schedule.linear()
            signal, noise = schedule.signal[times], schedule.noise[times]
            return noise * (points - 2 * signal) / ((0.05 * signal) ** 2 + noise**2)

    made = sample(Known(), 4000, 1, (10,), 0)  # type: ignore[arg-type]
    assert made.points.mean() == pytest.approx(2, abs=0.01) and made.points.std() == pytest.approx(0.05, rel=0.1)


class Drifting(torch.nn.Module):
    """Predicts noise that depends on the time alone, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[torch.Tensor] = []

    def forward(self, points: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        self.shown.append(points.clone())
        return torch.full_like(points, float(times) / 1000)


@pytest.mark.parametrize("shape", [(3,), (2, 4, 4)])
def test_the_metric_is_the_population_variance_of_predicted_x0_in_its_window(shape: tuple[int, ...]) -> None:
    """The last k steps, or those whose times lie in [low, high), for points and for pictures."""
    net, schedule = Drifting(), Schedule.linear(0.0004, 0.08, 50)
    made = sample(net, 5, shape, (4, (10, 20)), 0, schedule, lambda found: found.flatten(1).amax(1), chunk=3)
    shown = [torch.cat([net.shown[step], net.shown[50 + step]]) for step in range(50)]
    for window, times in ((4, range(4)), ((10, 20), range(10, 20))):
        steps = [49 - time for time in times]
        x0 = torch.stack(
            [schedule.to_x0[time] * shown[49 - time] - schedule.from_noise[time] * time / 1000 for time in times]
        ).double()
        varied = x0.var(0, correction=0).flatten(1)
        np.testing.assert_allclose(made.x0[window], varied.mean(1), rtol=1e-4)
        np.testing.assert_allclose(made.local[window], varied.amax(1), rtol=1e-4)
        noisy = torch.stack([shown[step] for step in steps]).double().var(0, correction=0)
        np.testing.assert_allclose(made.x_t[window], noisy.flatten(1).mean(1), rtol=1e-4)


def test_the_products_follower_is_the_metric_that_was_reproduced() -> None:
    """The same trajectory through a diffusers scheduler and TrajectoryVariance gives the same numbers."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(
        num_train_timesteps=100,
        beta_start=1e-3,
        beta_end=0.2,
        beta_schedule="linear",
        clip_sample=False,
        variance_type="fixed_large",
    )
    scheduler.set_timesteps(100)
    draws, seen = torch.Generator().manual_seed(0), []
    point = torch.randn(6, 3, generator=draws)
    with TrajectoryVariance(scheduler, 7) as follower:
        for time in scheduler.timesteps:
            noise = torch.tanh(point + time / 100)
            made = scheduler.step(noise, time, point, generator=draws)
            seen.append(made.pred_original_sample)
            point = made.prev_sample
    running = Running()
    for x0 in seen[-7:]:
        running.add(x0)
    np.testing.assert_allclose(follower.values(), running.variance().mean(-1), rtol=1e-4)


def test_auroc_and_what_is_removed_at_96_percent_retained() -> None:
    draws = np.random.default_rng(0)
    positive = draws.random(2000) < 0.05
    score = draws.normal(size=2000) + 2.5 * positive
    found = separation(score, positive)
    assert found.auroc == pytest.approx(roc_auc_score(positive, score)) and found.positives == positive.sum()
    limit = np.quantile(score[~positive], 0.96)
    assert found.removed == pytest.approx((score[positive] > limit).mean(), abs=0.02)
    assert (found.removed_low, found.removed_high) == wilson(round(found.removed * found.positives), found.positives)
    assert found.auroc_low is not None and found.auroc_low < found.auroc < (found.auroc_high or 0)  # type: ignore[operator]
    assert separation(score, np.zeros(2000, bool)).auroc is None
    with pytest.raises(ValueError, match="1 of 2 scores aren't finite"):
        separation(np.array([1.0, math.nan]), np.array([True, False]))


def test_delongs_error_is_what_repeated_draws_show() -> None:
    draws, areas, widths = np.random.default_rng(1), [], []
    for _ in range(300):
        score = np.concatenate([draws.normal(1, 1, 40), draws.normal(0, 1, 200)])
        found = separation(score, np.arange(240) < 40)
        areas.append(found.auroc)
        widths.append((found.auroc_high - found.auroc_low) / 2 / 1.96)  # type: ignore[operator]
    assert np.mean(widths) == pytest.approx(np.std(areas), rel=0.15)  # type: ignore[arg-type]


def test_a_killed_training_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    data, settings = SETS["1d"].draw(1000, 0), Training(steps=40, batch=64)
    whole = train(data, settings, save_every=10).state_dict()

    def stop(step: int) -> None:
        if step == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, settings, tmp_path / "net.safetensors", stop, save_every=10)
    resumed = train(data, settings, tmp_path / "net.safetensors", save_every=10).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    with pytest.raises(ValueError, match="is of another training"):
        train(data, Training(steps=50, batch=64), tmp_path / "net.safetensors")


def test_a_model_that_blows_up_is_an_error_not_a_clean_sheet() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(1)
    with pytest.raises(FloatingPointError, match="of 64 samples aren't finite"):
        sample(net, 64, 1, (5,), 0)


def test_in_one_dimension_the_variance_finds_the_samples_between_the_modes() -> None:
    """The paper's claim on a kept model (seed 1 of the page): 6,000 samples, k = 10, hallucinations beyond 6 sigmas."""
    from safetensors.torch import load_file

    net = Net(1)
    net.load_state_dict({name: value.float() for name, value in load_file(KEPT).items()})
    made = sample(net.eval(), 6000, 1, (10, 100), 0)
    rows = {(row["sigmas"], row["metric"], row["window"]): row for row in separations(SETS["1d"], made)}
    found, control, long = rows[6, "x0", 10], rows[6, "x_t", 10], rows[6, "x0", 100]
    assert found["positives"] >= 20
    assert found["auroc"] > 0.93 and found["removed"] > 0.65
    assert control["auroc"] < 0.7 and long["auroc"] < 0.7


@pytest.mark.parametrize("kind", recursive.FILTERS)
def test_generations_hand_on_what_their_filter_keeps(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a sampler whose last tenth is off and restless, only the variance filter hands on clean points."""
    world = SETS["1d"]

    def drawn(_: Any, count: int, *__: Any) -> Samples:
        points = world.draw(count, count)
        points[-count // 10 :] = 1.5
        restless = {10: np.arange(count, dtype=float)}
        return Samples(points, restless, restless)

    monkeypatch.setattr(recursive, "sample", drawn)
    monkeypatch.setattr(recursive, "train", lambda *_, **__: None)
    (first, second) = recursive.generations("1d", Training(), 900, kind, 1 / 9, 2, tmp_path, Reporter(quiet=True))
    assert first["drawn_off"] == pytest.approx(0.1, abs=0.002) and (first["generation"], second["generation"]) == (1, 2)
    assert first["off"] == (0 if kind == "variance" else pytest.approx(0.1, abs=0.03))
    assert first["modes"] == 3 and 0.8 < first["spread"] < 1.2


def test_rows_are_replaced_by_their_key(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    row = {**dict.fromkeys(KEY, 1), "auroc": 0.91239, "removed": None}
    write_rows(file, [row, {**row, "seed": 2}], KEY)
    write_rows(file, [{**row, "auroc": 0.5}], KEY)
    found = [(one["seed"], one["auroc"], one["removed"]) for one in read_rows(file)]
    assert found == [("2", "0.9124", ""), ("1", "0.5000", "")]


@pytest.mark.parametrize(
    ("name", "steps"), [("1d", "5000"), ("1d-gap", "5000"), ("2d", "40000"), ("2d-rotated", "40000")]
)
def test_the_pages_tables_are_those_of_the_csv(name: str, steps: str) -> None:
    rows = [
        row
        for row in read_rows(PAGE.parent / "results" / "mode-interpolation.csv")
        if row["set"] == name and row["steps"] == steps
    ]
    page = PAGE.read_text()
    assert "\n".join(by_seed(rows, (6, 8))) in page and "\n".join(by_window(rows, 6)) in page


def test_the_pages_other_tables_are_those_of_their_csvs() -> None:
    page = PAGE.read_text()
    for file, table in (
        (tables.SHAPES, tables.of_shapes),
        (tables.COUNTS, tables.of_counts),
        (tables.GENERATIONS, tables.of_generations),
    ):
        assert "\n".join(table(read_rows(PAGE.parents[1] / file))) in page
