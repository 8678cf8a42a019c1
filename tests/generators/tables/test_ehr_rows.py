"""Rows of a Bt-GAN: counts and shares, seeds and batches, rejection's end, files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save

from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.generators.tables import bt_gan as ehr
from fairshards.generators.tables.bt_gan import BtGan, Drawn, apportioned, fingerprint, row_seeds
from fairshards.generators.tables.rejection import Rejection
from fairshards.generators.tables.row_noise import normal, uniform
from tests.generators.tables.test_ehr import untrained
from tests.generators.tables.test_table_encoding import SCHEMA, rows

HARDLY = Rejection(100.0, 20.0)
"""Accepts one row in 10**50."""


def pairs(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y, s and seeds of some rows."""
    draw = np.random.default_rng(0)
    return draw.integers(0, 2, count), draw.integers(0, 2, count), draw.integers(0, 2**64, count, np.uint64)


def scores_of(model: BtGan, y: np.ndarray, s: np.ndarray, seeds: np.ndarray) -> torch.Tensor:
    """Return rows as the generator makes them, before they are decoded."""
    condition = ehr.one_hot(torch.from_numpy(y), torch.from_numpy(s), model.shape)
    with torch.inference_mode():
        return model._rows(seeds, condition)


def assert_same(one: Drawn, other: Drawn) -> None:
    pd.testing.assert_frame_equal(one.rows.reset_index(drop=True), other.rows.reset_index(drop=True))
    assert np.allclose(one.ratios, other.ratios, atol=1e-5)


def test_every_row_alone_is_the_row_among_others() -> None:
    model, (y, s, seeds) = untrained(), pairs(40)
    together, drawn = scores_of(model, y, s, seeds), model.draw(y, s, seeds)
    for i in range(40):
        one = slice(i, i + 1)
        assert torch.allclose(scores_of(model, y[one], s[one], seeds[one])[0], together[i], atol=1e-5)
        assert_same(model.draw(y[one], s[one], seeds[one]), Drawn(drawn.rows.iloc[one], drawn.ratios[one]))


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_batches_and_order_change_no_row(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (y, s, seeds) = untrained(), pairs(40)
    drawn, order = model.draw(y, s, seeds), np.random.default_rng(1).permutation(40)
    monkeypatch.setattr(ehr, "BATCH", batch)
    again = model.draw(y[order], s[order], seeds[order])
    assert_same(again, Drawn(drawn.rows.iloc[order], drawn.ratios[order]))


def test_a_row_depends_on_its_seed_and_on_its_condition() -> None:
    model, (y, s, seeds) = untrained(), pairs(200)
    plain = scores_of(model, y, s, seeds)
    for changed in ((1 - y, s, seeds), (y, 1 - s, seeds), (y, s, seeds + np.uint64(1))):
        assert (scores_of(model, *changed) != plain).any(1).float().mean() > 0.9
    assert torch.equal(scores_of(model, y, s, seeds), plain)
    found = model.draw(y, s, seeds).rows
    assert found["died"].tolist() == [("no", "yes")[one] for one in y]
    assert found["sex"].tolist() == [("f", "m")[one] for one in s]


def test_a_rows_normal_noise_and_its_gumbel_noise_are_different_numbers_of_its_sequence() -> None:
    model, (y, s, seeds) = untrained(), pairs(9)
    seen: list[tuple[torch.Tensor, ...]] = []
    handle = model.generator.register_forward_pre_hook(lambda network, given: seen.append(given))
    model.draw(y, s, seeds)
    handle.remove()
    ((z, _, gumbel, _),) = seen
    states, blocks = model.generator.uniforms
    assert np.array_equal(z.numpy(), normal(seeds, 0, 8)) and gumbel.shape == (states, 9, blocks)
    own = uniform(seeds, 8, states * blocks)
    assert sorted(gumbel[:, 4].ravel().tolist()) == sorted(own[4].tolist())


def test_torch_random_state_is_neither_read_nor_moved() -> None:
    model = untrained()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = model.sample(20, 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    pd.testing.assert_frame_equal(model.sample(20, 0), one)


def test_sample_has_the_asked_joint_to_the_row_and_the_schemas_columns() -> None:
    model = untrained()
    joint = np.array([[0.0, 0.5], [0.25, 0.25]])
    for rejection in (None, Rejection(0.3, 0.1), HARDLY):
        model.rejection = rejection
        found = model.sample(400, 1, joint)
        assert found.groupby(["died", "sex"]).size().to_dict() == {
            ("no", "m"): 200,
            ("yes", "f"): 100,
            ("yes", "m"): 100,
        }
        assert list(found.columns) == SCHEMA.names and found.index.tolist() == list(range(400))
        assert [str(kind) for kind in found.dtypes] == [str(kind) for kind in model.sample(4).dtypes]
        assert (found["died"].iloc[:100] == "yes").any() and (found["died"].iloc[:100] == "no").any()  # no order


@pytest.mark.parametrize("rejection", [None, HARDLY])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_no_row_and_few_rows_are_sampled(count: int, rejection: Rejection | None) -> None:
    found = untrained(rejection).sample(count, 0)
    assert len(found) == count and list(found.columns) == SCHEMA.names


def test_seeds_of_samples_differ_and_repeat() -> None:
    model = untrained(Rejection(0.3, 0.1))
    one = model.sample(60, 5)
    pd.testing.assert_frame_equal(model.sample(60, 5), one)
    assert not model.sample(60, 6).equals(one)


def test_rejection_takes_what_is_like_real_rows() -> None:
    """With the discriminator's own ratios, accepted rows have the higher ones."""
    model = untrained()
    y, s, seeds = pairs(4000)
    ratios = model.draw(y, s, seeds).ratios
    model.rejection = Rejection.fit(ratios)
    accepted = model.sample(1000, 3)
    model.rejection = None
    plain = model.sample(1000, 3)
    draw = np.random.default_rng(0)
    assert model.ratios(accepted, draw).mean() > model.ratios(plain, draw).mean() + 0.2 * ratios.std()


def test_rejection_ends_after_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = untrained(HARDLY), []
    plain = model.draw

    def counted(y: np.ndarray, s: np.ndarray, seeds: np.ndarray) -> Drawn:
        asked.append(len(y))
        return plain(y, s, seeds)

    monkeypatch.setattr(model, "draw", counted)
    assert len(model.sample(10, 0)) == 10 and asked == [10] * ehr.REJECTION_TURNS


def test_ratios_of_given_rows_are_the_discriminators() -> None:
    model = untrained()
    given = rows(500)
    found = model.ratios(given, np.random.default_rng(0))
    assert found.shape == (500,) and found.dtype == np.float32 and found.std() > 0
    assert np.array_equal(found, model.ratios(given, np.random.default_rng(0)))
    other = model.ratios(given.assign(died=np.where(given["died"] == "yes", "no", "yes")), np.random.default_rng(0))
    assert not np.allclose(found, other)


@pytest.mark.parametrize(
    ("shares", "total", "expected"),
    [
        ([0.5, 0.5], 3, [2, 1]),
        ([0.1, 0.2, 0.7], 10, [1, 2, 7]),
        ([0.0, 1.0], 7, [0, 7]),
        ([2.0, 6.0], 4, [1, 3]),
        ([0.3, 0.3, 0.4], 0, [0, 0, 0]),
        ([1 / 3] * 3, 2, [1, 1, 0]),
    ],
)
def test_whole_numbers_are_apportioned_by_largest_remainders(
    shares: list[float], total: int, expected: list[int]
) -> None:
    found = apportioned(np.array(shares), total)
    assert found.tolist() == expected and found.dtype == np.int64


def test_apportioned_numbers_sum_to_the_total_and_are_within_one_of_their_share() -> None:
    draw = np.random.default_rng(0)
    for _ in range(200):
        shares, total = draw.dirichlet(np.full(draw.integers(1, 12), 0.3)), int(draw.integers(0, 5000))
        found = apportioned(shares, total)
        assert found.sum() == total and (found >= 0).all() and np.abs(found - shares * total).max() < 1 + 1e-6


# Files


def test_a_file_keeps_all_of_a_model(tmp_path: Path) -> None:
    model = untrained(Rejection(0.25, -0.5))
    name = model.save(tmp_path / "one")
    again = BtGan.load(tmp_path / "one")
    assert len(name) == 64 and name == fingerprint((tmp_path / "one").read_bytes())
    assert again.rejection == model.rejection and again.shape == model.shape and again.settings == model.settings
    assert np.array_equal(again.joint, model.joint) and again.encoding.to_json() == model.encoding.to_json()
    assert not any(network.training for network in (again.generator, again.classifier, again.discriminator))
    y, s, seeds = pairs(50)
    assert np.array_equal(again.draw(y, s, seeds).ratios, model.draw(y, s, seeds).ratios)
    model.rejection = None
    assert model.save(tmp_path / "two") != name and BtGan.load(tmp_path / "two").rejection is None


def rubbish(tmp_path: Path) -> dict[str, bytes]:
    untrained().save(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()

    def header(text: str) -> bytes:
        return len(text).to_bytes(8, "little") + text.encode()

    return {
        "empty": b"",
        "short": b"abc",
        "zeros": bytes(64),
        "text": b"died,sex\nyes,f\n" * 20,
        "torn": whole[:-10],
        "torn early": whole[:300],
        "no header": whole[8:],
        "plain": save({"a": torch.zeros(2)}),
        "another": save({"a": torch.zeros(2)}, metadata={"fairshards": json.dumps({"format": "aspire/1"})}),
        "not json": save({"a": torch.zeros(2)}, metadata={"fairshards": "{"}),
        "a list": save({"a": torch.zeros(2)}, metadata={"fairshards": "[]"}),
        "a list for a header": header("[]"),
        "format alone": save({"a": torch.zeros(2)}, metadata={"fairshards": json.dumps({"format": ehr.FORMAT})}),
        "no weights": save(
            {"a": torch.zeros(2)},
            metadata={"fairshards": ehr.canonical_json(json.loads(ehr._metadata(whole)["fairshards"]))},
        ),
    }


UNCAUGHT = ("a list", "a list for a header", "format alone", "no weights")


@pytest.mark.parametrize(
    "kind",
    [
        "empty",
        "short",
        "zeros",
        "text",
        "torn",
        "torn early",
        "no header",
        "plain",
        "another",
        "not json",
        *(pytest.param(kind) for kind in UNCAUGHT),
    ],
)
def test_what_is_no_model_is_refused_in_words(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(rubbish(tmp_path)[kind])
    with pytest.raises(CohortError, match="this is no Bt-GAN"):
        BtGan.load(tmp_path / "file")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no Bt-GAN at"):
        BtGan.load(tmp_path)


def test_seeds_of_planned_rows_use_all_64_bits() -> None:
    found = row_seeds([0, 2**63, 2**64 - 1])
    assert found.dtype == np.uint64 and [int(one) for one in found] == [0, 2**63, 2**64 - 1]
