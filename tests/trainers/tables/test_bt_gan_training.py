"""Bt-GAN's training chunk by chunk: resumed at every boundary, its stages, its weights, its joint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fairshards.catalogs.cohorts.schema import CohortError, Column, Schema
from fairshards.generators.tables.bt_gan import BtGan
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.tables import bt_gan
from fairshards.trainers.tables.bt_gan import Fitted, fit
from fairshards.trainers.tables.joint_shares import information, joint_shares
from fairshards.trainers.tables.settings import BtGanSettings

SCHEMA = Schema(
    "small",
    (
        Column("lactate", "numeric", 1),
        Column("stays", "integer"),
        Column("unit", "category", categories=("a", "b", "c")),
        Column("always", "integer"),
        Column("race", "category", categories=("x", "y", "z")),
        Column("died", "category", categories=("no", "yes")),
    ),
    "died",
    ("race",),
)
QUICK = BtGanSettings(
    "race",
    steps=60,
    stage2_steps=30,
    window=30,
    snapshot=5,
    hidden=16,
    depth=1,
    noise=16,
    batch=64,
    classifier_steps=20,
    constraint="odds",
    lam=1.0,
    group_share=0.5,
)
TURN = 25
"""Steps in a chunk here: stage 1 ends inside one (25, 50, 60), stage 2 has two (85, 90)."""
ENDS = [25, 50, 60, 85, 90]


def people(n: int = 300, bias: float = 0.4) -> pd.DataFrame:
    """Deaths go with lactate, and, by ``bias``, with race; stays have a point mass, some lactates and units miss."""
    draw = np.random.default_rng(0)
    race = draw.choice(3, n, p=[0.6, 0.25, 0.15])
    died = draw.random(n) < 0.3 + bias * (race == 2)
    unit = draw.choice(["a", "b"], n).astype(object)
    unit[draw.random(n) < 0.1] = None
    return pd.DataFrame(
        {
            "lactate": np.where(draw.random(n) < 0.15, np.nan, np.round(3 * died + draw.standard_normal(n), 1)),
            "stays": pd.array(np.where(draw.random(n) < 0.5, 1, draw.poisson(6, n)), "Int64"),
            "unit": unit,
            "always": pd.array([3] * n, "Int64"),
            "race": np.array(["x", "y", "z"])[race],
            "died": np.where(died, "yes", "no"),
        }
    )


@pytest.fixture(autouse=True, scope="module")
def short_chunks() -> Iterator[None]:
    """Chunks, the settling and the rows that rejection is fitted on are short here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bt_gan, "CHUNK", TURN)
        patch.setattr(bt_gan, "SETTLING", 5)
        patch.setattr(bt_gan, "REJECTION_ROWS", 500)
        yield


@pytest.fixture(scope="module")
def whole(short_chunks: None) -> Fitted:
    """An uninterrupted training."""
    return fit(SCHEMA, people(), QUICK)


def saved(model: BtGan, folder: Path) -> bytes:
    model.save(folder / "model")
    return (folder / "model").read_bytes()


@pytest.mark.parametrize("stopped", ENDS)
def test_a_training_stopped_after_any_chunk_goes_on_to_the_same_bytes(
    stopped: int, whole: Fitted, tmp_path: Path
) -> None:

    def stop(step: int) -> None:
        if step == stopped:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(SCHEMA, people(), QUICK, tmp_path / "checkpoint", stop)
    torch.manual_seed(stopped)
    after: list[int] = []
    again = fit(SCHEMA, people(), QUICK, tmp_path / "checkpoint", after.append)
    assert after == [end for end in ENDS if end > stopped]
    assert saved(again.model, tmp_path) == saved(whole.model, tmp_path)
    assert again.log == whole.log and [one.step for one in again.log] == ENDS
    assert whole.weights is not None and again.weights is not None and torch.equal(again.weights, whole.weights)


def test_a_torn_checkpoint_and_one_of_another_seed_are_begun_again(tmp_path: Path) -> None:
    steps: list[int] = []
    (tmp_path / "torn").write_bytes(b"no checkpoint")
    fit(SCHEMA, people(), QUICK, tmp_path / "torn", steps.append)
    fit(SCHEMA, people(), replace(QUICK, seed=1), tmp_path / "torn", steps.append)
    assert steps == ENDS * 2


def test_a_checkpoint_of_the_same_rows_in_another_order_is_another_task(tmp_path: Path) -> None:
    steps: list[int] = []
    fit(SCHEMA, people(), QUICK, tmp_path / "checkpoint")
    fit(SCHEMA, people().iloc[::-1].reset_index(drop=True), QUICK, tmp_path / "checkpoint", steps.append)
    assert steps == ENDS


def test_without_a_checkpoint_nothing_is_written_and_torch_is_as_before(tmp_path: Path) -> None:
    before, kept = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    fit(SCHEMA, people(), QUICK)
    assert list(tmp_path.iterdir()) == [] and torch.equal(torch.get_rng_state(), before)
    assert torch.are_deterministic_algorithms_enabled() == kept


@pytest.mark.parametrize(
    "change",
    [
        {"stage2_steps": 0},
        {"rejection": False},
        {"pseudo": 0.0},
        {"classifier_every": 0},
        {"constraint": "parity"},
        {"constraint": "none", "lam": 0.0},
        {"adversarial": 0.0, "generated": 0.0},
        {"dropout": 0.0},
        {"depth": 2},
    ],
    ids=str,
)
def test_every_part_can_be_left_out(change: dict[str, object]) -> None:
    found = fit(SCHEMA, people(), replace(QUICK, **change))  # type: ignore[arg-type]
    made = found.model.sample(30, 0)
    assert list(made.columns) == SCHEMA.names and set(made["always"]) == {3} and set(made["died"]) <= {"no", "yes"}
    assert (found.model.rejection is None) == ("rejection" in change)
    assert (found.weights is None) == ("stage2_steps" in change)


def test_the_models_networks_are_frozen_and_the_settings_go_along(whole: Fitted) -> None:
    model = whole.model
    for network in (model.generator, model.classifier, model.discriminator):
        assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
        assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())
    assert model.settings == QUICK.identity and model.groups == [(y, s) for y in (0, 1) for s in (0, 1, 2)]


def test_the_joint_is_the_datas_without_a_constraint_and_less_told_with_one() -> None:
    rows = people()
    y, s = (rows["died"] == "yes").to_numpy(np.int64), rows["race"].map({"x": 0, "y": 1, "z": 2}).to_numpy()
    real = joint_shares(y, s, 2, 3)
    free = fit(SCHEMA, rows, replace(QUICK, constraint="none", lam=0.0)).model
    bound = fit(SCHEMA, rows, replace(QUICK, lam=3.0)).model
    assert np.allclose(free.joint, real) and np.allclose(bound.joint.sum(0), real.sum(0))
    assert information(bound.joint) < 0.2 * information(real)
    drawn = bound.sample(1000, 0).groupby(["died", "race"]).size().unstack() / 1000
    assert np.allclose(drawn.to_numpy(), bound.joint, atol=0.001)


def test_stage_2_weights_are_positive_and_favour_rows_with_high_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    plain = bt_gan._Training._ratios

    def noted(training: bt_gan._Training) -> torch.Tensor:
        seen.append(plain(training))
        return seen[-1]

    monkeypatch.setattr(bt_gan._Training, "_ratios", noted)
    found = fit(SCHEMA, people(), replace(QUICK, group_share=0.0, k=0.0))
    assert found.weights is not None and len(seen) == 6 and len(found.weights) == 300  # steps 35, 40, ... 60
    mean = torch.stack(seen).mean(0)
    assert float(found.weights.min()) > 0
    expected = mean.clamp_min(0.01).clamp_max(0.5)
    group = (people()["died"] + people()["race"]).to_numpy()
    for one in np.unique(group):  # each sub-group's sum is set apart from that
        here = torch.from_numpy(group == one)
        mine, promised = found.weights[here], expected[here]
        assert torch.allclose(mine / mine.sum(), promised / promised.sum(), atol=1e-5)
        assert mine[mean[here].argmax()] == mine.max()
    assert len(set(expected.tolist())) > 20  # the clip doesn't make all alike


def test_stage_2_draws_sub_groups_as_group_share_says() -> None:
    rows = people()
    for share in (0.0, 1.0):
        weights = fit(SCHEMA, rows, replace(QUICK, group_share=share)).weights
        assert weights is not None
        drawn = pd.Series(weights.numpy()).groupby([rows["died"], rows["race"]]).sum() / float(weights.sum())
        expected = rows.groupby(["died", "race"]).size() / 300 if share == 0 else pd.Series(1 / 6, drawn.index)
        assert np.allclose(drawn.sort_index(), expected.sort_index(), atol=1e-4)


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(TrainerError, match="99 training rows; a Bt-GAN needs hundreds, and at least 100"):
        fit(SCHEMA, people(99), QUICK)
    with pytest.raises(CohortError, match="'unit' is no protected attribute"):
        fit(SCHEMA, people(), replace(QUICK, attribute="unit"))
    with pytest.raises(CohortError, match="'died' has one value"):
        fit(SCHEMA, people().assign(died="no"), QUICK)
    fit(SCHEMA, people(100), QUICK)


def test_a_learning_rate_beyond_reason_stops_with_its_name_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"not finite between steps 0 and 25.*Lower learning_rate"):
        fit(SCHEMA, people(), replace(QUICK, learning_rate=1e30), tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


def test_no_error_holds_a_patients_value() -> None:
    planted = people().assign(unit=["ZZPLANTED77", *people()["unit"][1:]])
    with pytest.raises(CohortError) as found:
        fit(SCHEMA, planted, QUICK)
    assert "ZZPLANTED77" not in str(found.value) and "unit" in str(found.value)


def learned(fitted: Fitted) -> tuple[float, float]:
    """Return the generated rows' share of missing lactates, and their mean by death (no minus yes)."""
    made = fitted.model.sample(2000, 0)
    means = made.groupby("died")["lactate"].mean()
    return float(made["lactate"].isna().mean()), float(means["yes"] - means["no"])


def test_a_short_training_learns_what_goes_with_death(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real rows: 15% of lactates miss, those who die have 3 more; stays are 1 in half of the rows."""
    monkeypatch.setattr(bt_gan, "SETTLING", 50)
    settings = replace(QUICK, steps=400, stage2_steps=0, window=50, hidden=32, constraint="none", lam=0.0, average=0.98)
    fitted = fit(SCHEMA, people(), settings)
    missing, apart = learned(fitted)
    made = fitted.model.sample(2000, 0)
    assert 0.05 < missing < 0.3 and 1.5 < apart < 4.5
    assert 0.3 < (made["stays"] == 1).mean() < 0.7 and made["stays"].max() <= people()["stays"].max()
    assert set(made["unit"].dropna()) == {"a", "b"}
