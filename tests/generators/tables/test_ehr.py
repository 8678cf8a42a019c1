"""A Bt-GAN as a generator of rows: one-hot blocks, rows that depend on their seed alone, files, rejection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.generators.tables.bt_gan import BtGan, apportioned, networks_of
from fairshards.generators.tables.encoding import TableEncoding
from fairshards.generators.tables.networks import Generator, one_hot, shape_of
from fairshards.generators.tables.rejection import Rejection
from tests.generators.tables.test_table_encoding import SCHEMA, rows


def untrained(rejection: Rejection | None = None) -> BtGan:
    torch.manual_seed(0)
    encoding = TableEncoding.fit(SCHEMA, "sex", rows())
    shape = shape_of(encoding, noise=8, hidden=16, depth=2, dropout=0.1)
    networks = networks_of(shape)
    for network in networks:
        network.eval()
    return BtGan(encoding, shape, *networks, rejection, np.array([[0.4, 0.2], [0.3, 0.1]]), {"seed": 0})


def noise(network: Generator, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    states, blocks = network.uniforms
    condition = one_hot(torch.arange(count) % 2, torch.zeros(count, dtype=torch.long), network.shape)
    return torch.randn(count, network.shape.noise), condition, torch.rand(states, count, blocks)


def test_blocks_are_one_hot_missing_numbers_are_zero_and_gradients_flow() -> None:
    network = untrained().generator.train()
    x = network(*noise(network, 64), 0.2)
    start = network.shape.numerics
    for size in network.shape.blocks:
        part = x[:, start : start + size]
        assert torch.allclose(part.sum(1), torch.ones(64), atol=1e-6) and torch.allclose(part.amax(1), torch.ones(64))
        start += size
    missing = x[:, network.shape.numerics + 1] > 0.5  # the dose's block: present, missing
    assert missing.any() and (x[missing, 0] == 0).all() and (x[~missing, 0] != 0).any()
    x[:, network.shape.numerics :].pow(2).sum().backward()
    grads = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert any(grad.abs().sum() > 0 for grad in grads)


def test_a_row_depends_on_its_seed_label_and_attribute_alone() -> None:
    model = untrained()
    y, s = np.arange(100) % 2, (np.arange(100) // 2) % 2
    seeds = np.arange(100, dtype=np.uint64)
    together = model.draw(y, s, seeds)
    alone = model.draw(y[37:38], s[37:38], seeds[37:38])
    pd.testing.assert_frame_equal(alone.rows, together.rows.iloc[37:38].reset_index(drop=True))
    assert alone.ratios[0] == pytest.approx(together.ratios[37], abs=1e-5)
    assert len(model.draw(y[:0], s[:0], seeds[:0]).rows) == 0


def test_a_file_draws_the_same_rows_and_has_the_same_bytes(tmp_path: Path) -> None:
    model = untrained(Rejection(0.5, -1.0))
    known = model.save(tmp_path / "one.safetensors")
    again = BtGan.load(tmp_path / "one.safetensors")
    assert again.save(tmp_path / "two.safetensors") == known
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    pd.testing.assert_frame_equal(again.sample(50, 3), model.sample(50, 3))
    assert again.groups == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_rubbish_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no safetensors at all")
    with pytest.raises(CohortError, match="no Bt-GAN"):
        BtGan.load(tmp_path / "x")
    with pytest.raises(CohortError, match="no Bt-GAN at"):
        BtGan.load(tmp_path / "missing")


def test_every_sub_group_has_its_share_to_the_row() -> None:
    drawn = untrained().sample(1000, 0)
    assert drawn.groupby(["died", "sex"]).size().to_dict() == {
        ("no", "f"): 400,
        ("no", "m"): 200,
        ("yes", "f"): 300,
        ("yes", "m"): 100,
    }
    assert apportioned(np.array([1.0, 1.0, 1.0]), 10).tolist() == [4, 3, 3]


def test_rejection_comes_to_an_end_where_nothing_is_accepted() -> None:
    drawn = untrained(Rejection(100.0, 50.0)).sample(40, 0)
    assert len(drawn) == 40 and drawn.index.tolist() == list(range(40))


def test_rejection_is_the_formula() -> None:
    ratios = np.random.default_rng(0).normal(0, 1, 5000).astype(np.float32)
    one = Rejection.fit(ratios)
    below = np.minimum(ratios.astype(float) - ratios.max(), 0)
    shifted = below - np.log(1 - np.exp(below - 1e-6))
    assert one.maximum == pytest.approx(float(ratios.max())) and one.gamma == pytest.approx(np.percentile(shifted, 80))
    accepted = one.acceptance(ratios)
    assert np.allclose(accepted, 1 / (1 + np.exp(-(shifted - one.gamma))))
    assert (accepted < 0.5).mean() == pytest.approx(0.8)
    assert (np.diff(accepted[np.argsort(ratios)]) >= 0).all() and 0 < accepted.min() < accepted.max() < 1
