"""Bt-GAN's networks: what a block, a gate, a gradient and a batch are, and shapes without numbers or blocks."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from fairshards.generators.tables.encoding import TableEncoding
from fairshards.generators.tables.networks import (
    LARGEST_SCORE,
    Classifier,
    Discriminator,
    Generator,
    PooledDropout,
    Shape,
    one_hot,
    shape_of,
)
from tests.generators.tables.test_table_encoding import SCHEMA, rows

SHAPE = Shape(3, (2, 4, 3), (0, -1, -1), 2, 3, noise=6, hidden=16, depth=2)


def given(shape: Shape, count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return z, condition and uniform of some rows."""
    draw = torch.Generator().manual_seed(seed)
    states, blocks = max(shape.blocks, default=0), len(shape.blocks)
    y, s = (torch.randint(0, size, (count,), generator=draw) for size in (shape.classes, shape.groups))
    uniform = torch.rand(states, count, blocks, generator=draw).clamp(1e-6, 1 - 1e-6)
    return torch.randn(count, shape.noise, generator=draw), one_hot(y, s, shape), uniform


def network(shape: Shape, seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    return Generator(shape)


def test_the_shape_is_the_encodings_and_survives_json() -> None:
    encoding = TableEncoding.fit(SCHEMA, "sex", rows())
    shape = shape_of(encoding, 5, 8, 1, 0.2)
    assert (shape.numerics, shape.blocks, shape.gates) == (2, (2, 3), (0, -1))  # dose may be missing, visits never is
    assert shape.width == encoding.width == 7 and shape.condition == 4
    assert Shape.from_json(json.loads(json.dumps(shape.to_json()))) == shape


def test_a_condition_is_two_one_hot_blocks() -> None:
    found = one_hot(torch.tensor([0, 1]), torch.tensor([2, 0]), SHAPE)
    assert found.tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]] and found.dtype == torch.float32


@pytest.mark.parametrize("tau", [0.05, 0.2, 1.0])
def test_every_block_is_one_hot_and_scores_are_bounded(tau: float) -> None:
    x = network(SHAPE)(*given(SHAPE, 400), tau).detach()
    assert x.shape == (400, SHAPE.width) and x[:, :3].abs().max() < LARGEST_SCORE
    for part in torch.split(x[:, 3:], SHAPE.blocks, 1):
        assert torch.allclose(part.sum(1), torch.ones(400), atol=1e-5)
        assert torch.allclose(part.amax(1), torch.ones(400), atol=1e-5) and part.min() > -1e-5


def test_a_state_is_drawn_with_its_softmax_probability() -> None:
    """Gumbel-max: with the logits held fixed, state shares are softmax(logits), and spare logits never win."""
    one = network(SHAPE).eval()
    z, condition, _ = given(SHAPE, 1)
    n = 20_000
    uniform = torch.rand(4, n, 3, generator=torch.Generator().manual_seed(1)).clamp(1e-7, 1 - 1e-7)
    with torch.no_grad():
        x = one(z.expand(n, -1), condition.expand(n, -1), uniform, 1.0)
        together = torch.cat([z, condition], 1)
        logits = (one.head(one.body(together)) + one.linear(together))[0, 3:].reshape(4, 3)
    for block, part in enumerate(torch.split(x[:, 3:], SHAPE.blocks, 1)):
        expected = logits[: SHAPE.blocks[block], block].softmax(0)
        assert torch.allclose(part.mean(0), expected, atol=0.02)


def test_a_number_that_is_missing_has_score_0_and_the_others_none() -> None:
    x = network(SHAPE)(*given(SHAPE, 300), 0.2).detach()
    present = x[:, 3] > 0.5  # the first score's block: present, missing
    assert 0 < present.sum() < 300
    assert (x[~present, 0].abs() < 1e-5).all() and (x[present, 0] != 0).all() and (x[:, 1:3] != 0).all()


def test_a_gate_may_be_any_block() -> None:
    shape = Shape(2, (3, 2, 2), (2, 1), 2, 2, noise=4, hidden=8, depth=1)
    x = network(shape)(*given(shape, 200), 0.2).detach()
    for score, start in ((0, 2 + 3 + 2), (1, 2 + 3)):
        missing = x[:, start] < 0.5
        assert 0 < missing.sum() < 200 and torch.equal(x[:, score].abs() < 1e-5, missing)


def test_gradients_reach_every_weight_through_blocks_and_through_scores() -> None:
    for part in (slice(0, 3), slice(3, None)):
        one = network(SHAPE)
        x = one(*given(SHAPE, 64), 0.2)
        (x[:, part] * torch.arange(1.0, x[:, part].shape[1] + 1)).pow(2).sum().backward()
        grads = {
            name: float(parameter.grad.abs().sum())
            for name, parameter in one.named_parameters()
            if parameter.grad is not None and "body" not in name
        }
        assert set(grads) == {"head.weight", "head.bias", "linear.weight"} and min(grads.values()) > 0
        assert all(parameter.grad is not None for parameter in one.body.parameters())


def test_a_gradient_through_a_hard_block_is_the_soft_ones() -> None:
    """Straight-through: d(hard) = d(softmax((logits + gumbel) / tau))."""
    shape = Shape(0, (3,), (), 2, 2, noise=2, hidden=4, depth=0)
    one = network(shape)
    z, condition, uniform = given(shape, 5)
    weights = torch.tensor([1.0, -2.0, 3.0])
    (one(z, condition, uniform, 0.5) * weights).sum().backward()
    found = one.linear.weight.grad
    assert found is not None
    together = torch.cat([z, condition], 1)
    weight = one.linear.weight.detach().clone().requires_grad_()
    logits = together @ weight.T + one.head(together).detach()
    soft = ((logits - torch.log(-torch.log(uniform[:, :, 0].T))) / 0.5).softmax(1)
    (soft * weights).sum().backward()
    assert weight.grad is not None and torch.allclose(found, weight.grad, atol=1e-5)


@pytest.mark.parametrize(
    "shape",
    [Shape(2, (), (-1, -1), 2, 2, 4, 8, 1), Shape(0, (2, 5), (), 2, 2, 4, 8, 1), Shape(1, (2,), (0,), 2, 9, 4, 8, 3)],
)
def test_rows_of_numbers_alone_and_of_blocks_alone_are_made(shape: Shape) -> None:
    x = network(shape)(*given(shape, 10), 0.2)
    assert x.shape == (10, shape.width) and torch.isfinite(x).all()
    told = Classifier(shape.width)(x)
    assert Discriminator(shape)(x, given(shape, 10)[1], told).shape == told.shape == (10,)


def test_in_evaluation_a_row_does_not_depend_on_its_batch() -> None:
    one = network(SHAPE)
    one(*given(SHAPE, 256), 0.2)  # batch statistics that are no longer the first ones
    one.eval()
    z, condition, uniform = given(SHAPE, 100, seed=5)
    with torch.no_grad():
        together = one(z, condition, uniform, 1.0)
        alone = torch.cat([one(z[i : i + 1], condition[i : i + 1], uniform[:, i : i + 1], 1.0) for i in range(100)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_layout_of_blocks_is_no_weight() -> None:
    """Only weights and batch statistics go to the file: an encoding that is read again lays its blocks out itself."""
    names = set(network(SHAPE).state_dict())
    assert not {"spare", "flat", "gate", "always"} & names and "head.weight" in names


def test_the_discriminator_reads_rows_conditions_and_the_classifier_up_to_its_limit() -> None:
    torch.manual_seed(0)
    judge = Discriminator(SHAPE).eval()
    x, condition = torch.randn(4, SHAPE.width), given(SHAPE, 4)[1]
    told = torch.tensor([0.0, 1.0, 8.0, -8.0])
    plain = judge(x, condition, told)
    assert torch.equal(plain, judge(x, condition, torch.tensor([0.0, 1.0, 80.0, -1e9])))
    for changed in ((x + 1, condition, told), (x, condition.roll(1, 1), told), (x, condition, told + 0.5)):
        assert not torch.allclose(plain[:2], judge(*changed)[:2])


def test_dropout_larger_than_its_pool_and_none_at_all() -> None:
    torch.manual_seed(0)
    layer = PooledDropout(0.25)
    large = torch.ones(PooledDropout.POOL // 2 + 1)
    assert float((layer(large) == 0).float().mean()) == pytest.approx(0.25, abs=0.01) and layer.left == 0
    x = torch.ones(10)
    assert torch.equal(PooledDropout(0.0)(x), x)


def test_a_renewed_pool_depends_on_the_seed_alone() -> None:
    layer, x = PooledDropout(0.5), torch.ones(64, 32)
    for _ in range(3):
        layer(x)
    found = []
    for one in (layer, PooledDropout(0.5)):
        torch.manual_seed(7)
        one.renew()
        found.append(torch.stack([one(x) for _ in range(3)]))
    assert torch.equal(*found)
    for _ in range(PooledDropout.LIFE):
        layer(x)
    assert layer.left == PooledDropout.LIFE - 3  # a new pool came in between
