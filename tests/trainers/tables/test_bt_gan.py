"""Bt-GAN's training: seeds, checkpoints, what it refuses, and what each of its three parts does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fairshards.catalogs.cohorts.schema import Column, Schema
from fairshards.generators.tables.bt_gan import BtGan
from fairshards.generators.tables.networks import Discriminator, PooledDropout
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.tables.bt_gan import CHUNK, discriminator_loss, fit
from fairshards.trainers.tables.density_ratio import RatioRecord, balance_groups, sampling_scores
from fairshards.trainers.tables.joint_shares import constrained_joint, information, joint_shares
from fairshards.trainers.tables.mutual_information import conditional_mutual_information, mutual_information
from fairshards.trainers.tables.settings import BtGanSettings
from tests.tolerance import float32_error

SCHEMA = Schema(
    "tiny",
    (
        Column("dose", "numeric", 1),
        Column("visits", "integer"),
        Column("ward", "category", categories=("n", "s")),
        Column("sex", "category", categories=("f", "m")),
        Column("died", "category", categories=("no", "yes")),
    ),
    "died",
    ("sex",),
)
QUICK = BtGanSettings(
    "sex", steps=CHUNK + 20, stage2_steps=20, window=60, snapshot=5, hidden=16, depth=1, batch=64, classifier_steps=20
)


def people(n: int = 400, proxy: float = 0.0) -> pd.DataFrame:
    """Deaths go with the dose, and with sex where ``proxy`` shifts the dose of the men."""
    draw = np.random.default_rng(0)
    men, died = draw.random(n) < 0.5, draw.random(n) < 0.4
    dose = np.round(4 * died + proxy * men + draw.standard_normal(n), 1)
    return pd.DataFrame(
        {
            "dose": np.where(draw.random(n) < 0.1, np.nan, dose),
            "visits": pd.array(draw.poisson(1, n), "Int64"),
            "ward": draw.choice(["n", "s"], n),
            "sex": np.where(men, "m", "f"),
            "died": np.where(died, "yes", "no"),
        }
    )


def saved(model: BtGan, folder: Path, name: str) -> bytes:
    model.save(folder / name)
    return (folder / name).read_bytes()


@pytest.fixture(scope="module")
def whole() -> BtGan:
    return fit(SCHEMA, people(), QUICK).model


def test_a_seed_gives_the_same_model_and_another_one_another(whole: BtGan, tmp_path: Path) -> None:
    torch.manual_seed(99)  # whatever was drawn before
    again = fit(SCHEMA, people(), QUICK).model
    other = fit(SCHEMA, people(), replace(QUICK, seed=1)).model
    assert saved(again, tmp_path, "a") == saved(whole, tmp_path, "b") != saved(other, tmp_path, "c")


def test_a_stopped_training_goes_on_to_the_same_bytes(whole: BtGan, tmp_path: Path) -> None:
    seen: list[int] = []

    def stop(step: int) -> None:
        seen.append(step)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(SCHEMA, people(), QUICK, tmp_path / "checkpoint", stop)
    assert seen == [CHUNK]
    after: list[int] = []
    model = fit(SCHEMA, people(), QUICK, tmp_path / "checkpoint", after.append)
    assert after == [CHUNK + 20, CHUNK + 40] and len(model.log) == 3
    assert saved(model.model, tmp_path, "a") == saved(whole, tmp_path, "b")


def test_a_checkpoint_of_other_settings_or_rows_is_not_used(tmp_path: Path) -> None:
    fit(SCHEMA, people(), QUICK, tmp_path / "checkpoint")
    steps: list[int] = []
    fit(SCHEMA, people(), replace(QUICK, lam=1.0, constraint="odds"), tmp_path / "checkpoint", steps.append)
    assert steps[0] == CHUNK
    fit(SCHEMA, people(399), replace(QUICK, lam=1.0, constraint="odds"), tmp_path / "checkpoint", steps.append)
    assert steps[3] == CHUNK


def test_a_loss_that_is_not_finite_stops_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Discriminator.forward
    monkeypatch.setattr(Discriminator, "forward", lambda *given: plain(*given) * float("nan"))
    with pytest.raises(TrainerError, match=r"not finite between steps 0 and 500.*learning_rate \(it is 0.001\)"):
        fit(SCHEMA, people(), QUICK)


def test_the_discriminators_loss_weighs_pseudo_labels_by_alpha() -> None:
    real, made, wrong = torch.tensor([0.0, 2.0]), torch.tensor([1.0]), torch.tensor([-3.0, 0.5, 0.0])

    def cross_entropy(logits: torch.Tensor, target: float) -> float:
        return float(torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target)))

    true, generated, pseudo = cross_entropy(real, 1), cross_entropy(made, 0), cross_entropy(wrong, 0)
    close = float32_error(16, true + generated + pseudo)  # three means of up to three logs of exponentials, two sums
    assert float(discriminator_loss(real, made, wrong)) == pytest.approx(
        true + 0.5 * generated + 0.5 * pseudo, abs=close
    )
    assert float(discriminator_loss(real, made, wrong, alpha=0.25)) == pytest.approx(
        true + 0.75 * generated + 0.25 * pseudo, abs=close
    )
    assert float(discriminator_loss(real, made, alpha=0.25)) == pytest.approx(true + generated, abs=close)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(TrainerError, match="60 training rows"):
        fit(SCHEMA, people(60), QUICK)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"constraint": "fair"}, "expected none, parity or odds"),
        ({"lam": 1.0}, "none takes 0"),
        ({"constraint": "odds"}, "takes a lam above 0"),
        ({"window": 9999}, "last part of stage 1"),
        ({"pseudo": 1.5}, "share in"),
        ({"batch": 1}, "two rows"),
    ],
)
def test_settings_say_what_is_wrong(change: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainerError, match=words):
        replace(QUICK, **change)


def test_stage_2_draws_what_the_generator_misses_more_often() -> None:
    found = fit(SCHEMA, people(), QUICK)
    assert found.weights is not None and len(found.weights) == 400 and bool((found.weights > 0).all())
    assert {one.stage for one in found.log} == {1, 2} and found.model.rejection is not None
    assert fit(SCHEMA, people(), replace(QUICK, stage2_steps=0)).weights is None


def test_the_constraint_lowers_what_predictions_tell_of_s() -> None:
    """With a dose that tells the sexes apart, I(C(x); S | Y) of generated rows falls when lambda rises."""
    settings = replace(QUICK, steps=800, stage2_steps=0, window=100, hidden=32, batch=128, classifier_steps=200)
    told = {}
    for lam in (0.0, 30.0):
        model = fit(SCHEMA, people(800, 3.0), replace(settings, lam=lam, constraint="odds" if lam else "none")).model
        rows = model.sample(4000, 1)
        encoded = model.encoding.encode(rows)
        x = torch.from_numpy(model.encoding.scores(encoded, np.random.default_rng(0)))
        with torch.no_grad():
            probability = model.classifier(x).sigmoid()
        y, s = torch.from_numpy(encoded.y), torch.from_numpy(encoded.s)
        told[lam] = float(conditional_mutual_information(probability, s, y, 2))
    assert told[30.0] < 0.5 * told[0.0] and told[0.0] > 0.005


def test_mutual_information_is_the_plug_in_estimate_and_gradients_flow() -> None:
    draw = np.random.default_rng(0)
    s = draw.integers(0, 3, 2000)
    predicted = (draw.random(2000) < 0.2 + 0.3 * (s == 1)).astype(np.float64)
    y = draw.integers(0, 2, 2000)
    soft = torch.tensor(predicted)
    groups = torch.from_numpy(s)
    found = mutual_information(soft, groups, 3)
    assert float(found) == pytest.approx(information(joint_shares(predicted.astype(int), s, 2, 3)), abs=1e-7)
    given = conditional_mutual_information(soft, groups, torch.from_numpy(y), 3)
    plain = sum(
        (y == value).mean() * information(joint_shares(predicted[y == value].astype(int), s[y == value], 2, 3))
        for value in (0, 1)
    )
    assert float(given) == pytest.approx(plain, abs=1e-7)
    nothing = torch.full((2000,), 0.3)
    assert float(mutual_information(nothing.double(), groups, 3)) == pytest.approx(0, abs=1e-12)
    # of independent ones I is 1 - sum p to first order, and p are float32 sums over 2,000 rows
    assert float(mutual_information(nothing, groups, 3)) == pytest.approx(0, abs=float32_error(2000))
    blurred = torch.tensor(0.1 + 0.8 * predicted, requires_grad=True)
    mutual_information(blurred, groups, 3).backward()
    assert blurred.grad is not None and float(blurred.grad.abs().sum()) > 0


def test_the_joint_goes_from_the_datas_to_independence_and_keeps_its_marginals() -> None:
    joint = np.array([[0.5, 0.1, 0.05], [0.1, 0.2, 0.0]]) / 0.95
    told = []
    for lam in (0.0, 0.5, 3.0, 1e6):
        found = constrained_joint(joint, lam)
        assert np.allclose(found.sum(0), joint.sum(0)) and np.allclose(found.sum(1), joint.sum(1))
        assert found[1, 2] == 0  # what the data lack nobody asks for
        told.append(information(found))
    assert np.allclose(constrained_joint(joint, 0.0), joint) and told == sorted(told, reverse=True)
    full = np.array([[0.5, 0.1], [0.1, 0.3]])
    assert np.allclose(constrained_joint(full, 1e9), np.outer(full.sum(1), full.sum(0)), atol=1e-6)


def test_ratios_are_recorded_and_clipped_as_the_method_says() -> None:
    draw = torch.Generator().manual_seed(0)
    snapshots = torch.randn(20, 100, generator=draw) + torch.linspace(-3, 3, 100)
    record = RatioRecord()
    for one in snapshots:
        record.add(one)
    assert torch.allclose(record.mean, snapshots.mean(0), atol=1e-5)
    assert torch.allclose(record.deviation, snapshots.std(0, correction=0), atol=1e-5)
    scores = sampling_scores(record, 1.0)
    expected = (snapshots.mean(0) + snapshots.std(0, correction=0)).clamp_min(0.01)
    assert torch.allclose(scores, expected.clamp_max(50 * expected.min()), atol=1e-4)
    assert float(scores.max() / scores.min()) <= 50.001


def test_weights_can_balance_the_sub_groups() -> None:
    group = torch.tensor([0] * 80 + [1] * 20)
    scores = torch.rand(100, generator=torch.Generator().manual_seed(0)) + 0.1
    for share, expected in ((0.0, 0.2), (1.0, 0.5)):
        found = balance_groups(scores, group, share)
        assert float(found[80:].sum() / found.sum()) == pytest.approx(expected, abs=1e-5)


def test_pooled_dropout_drops_its_share_and_nothing_in_evaluation() -> None:
    torch.manual_seed(0)
    layer = PooledDropout(0.3)
    x = torch.ones(500, 128)
    dropped = torch.stack([layer(x) for _ in range(5)])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.02) and not torch.equal(dropped[0], dropped[1])
    assert torch.equal(layer.eval()(x), x)
