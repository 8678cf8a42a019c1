"""What counts as a proxy of S, and that a constrained Bt-GAN's classifier doesn't look at one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fairshards.catalogs.cohorts.schema import Column, Schema
from fairshards.generators.tables.bt_gan import BtGan
from fairshards.generators.tables.encoding import TableEncoding
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.tables.bt_gan import fit
from fairshards.trainers.tables.proxies import proxies, seen, share_told
from fairshards.trainers.tables.settings import BtGanSettings

SCHEMA = Schema(
    "tiny",
    (
        Column("dose", "numeric", 1),
        Column("height", "numeric", 1),
        Column("site", "category", categories=("a", "b")),
        Column("ward", "category", categories=("n", "s")),
        Column("sex", "category", categories=("f", "m")),
        Column("died", "category", categories=("no", "yes")),
    ),
    "died",
    ("sex",),
)
QUICK = BtGanSettings(
    "sex", steps=40, stage2_steps=20, window=20, snapshot=5, hidden=16, depth=1, batch=64, classifier_steps=20
)


def people(n: int = 2000) -> pd.DataFrame:
    """``site`` is sex in 95% of rows, ``height`` goes with it, men alone lack a ``dose``, ``ward`` is chance."""
    draw = np.random.default_rng(0)
    men = draw.random(n) < 0.5
    return pd.DataFrame(
        {
            "dose": np.where(men & (draw.random(n) < 0.5), np.nan, np.round(draw.standard_normal(n), 1)),
            "height": np.round(160 + 12 * men + 6 * draw.standard_normal(n), 1),
            "site": np.where(men == (draw.random(n) < 0.95), "b", "a"),
            "ward": draw.choice(["n", "s"], n),
            "sex": np.where(men, "m", "f"),
            "died": np.where(draw.random(n) < 0.4, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def told() -> dict[str, float]:
    rows = people()
    encoding = TableEncoding.fit(SCHEMA, "sex", rows)
    return share_told(encoding, encoding.encode(rows))


def test_each_column_is_told_by_what_it_says_of_s(told: dict[str, float]) -> None:
    """A binary channel that errs in 5% tells 1 - H(0.05) = 71% of a fair bit."""
    assert told["site"] == pytest.approx(0.71, abs=0.03)
    assert told["height"] > 0.4 and 0.15 < told["dose"] < 0.4  # by its value; by being missing
    assert told["ward"] < 0.01
    assert set(told) == {"dose", "height", "site", "ward"}


def test_scores_and_states_of_a_proxy_are_hidden_together() -> None:
    rows = people()
    encoding = TableEncoding.fit(SCHEMA, "sex", rows)
    hidden = proxies(encoding, encoding.encode(rows), 0.1)
    assert list(hidden) == ["site", "height", "dose"] and list(hidden.values()) == sorted(hidden.values())[::-1]
    mask = seen(encoding, hidden)
    names = [*encoding.numerics, *(block.column for block in encoding.blocks for _ in block.states)]
    assert {name for name, there in zip(names, mask, strict=True) if there} == {"ward"}
    assert names.count("dose") == 3 and seen(encoding, {}).all()


def test_under_a_constraint_the_classifier_sees_no_proxy_and_keeps_to_it_when_loaded(tmp_path: Path) -> None:
    constrained = fit(SCHEMA, people(), replace(QUICK, constraint="parity", lam=1.0))
    plain, fair = fit(SCHEMA, people(), QUICK).model, constrained.model
    assert list(constrained.proxies) == ["site", "height", "dose"]
    fair.save(tmp_path / "fair")
    x = torch.randn(50, plain.shape.width)
    changed = x + torch.tensor(~seen(plain.encoding, constrained.proxies)) * torch.randn_like(x)
    for model in (fair, BtGan.load(tmp_path / "fair")):
        assert torch.equal(model.classifier(x), model.classifier(changed))
    assert not torch.equal(plain.classifier(x), plain.classifier(changed))
    everything = fit(SCHEMA, people(), replace(QUICK, constraint="parity", lam=1.0, proxy=1.0)).model
    assert everything.classifier.seen.all()


def test_a_share_beyond_1_is_refused() -> None:
    with pytest.raises(TrainerError, match=r"proxy is 1\.5, expected a share"):
        replace(QUICK, proxy=1.5)
