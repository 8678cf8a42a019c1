"""Settings of Bt-GAN: what is refused, and what a trained model's identity depends on."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.tables.settings import BtGanSettings

PLAIN = BtGanSettings("sex")
CONSTRAINED = BtGanSettings("sex", constraint="odds", lam=1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"constraint": "Odds"}, "constraint is 'Odds'; expected none, parity or odds"),
        ({"lam": 0.5}, r"lam is 0\.5 with constraint 'none'"),
        ({"lam": -1.0}, r"lam is -1\.0"),
        ({"constraint": "parity"}, "a constraint takes a lam above 0, and none takes 0"),
        ({"constraint": "odds", "lam": -1.0}, r"lam is -1\.0 with constraint 'odds'"),
        ({"window": 0}, "window is 0 and snapshot 40"),
        ({"window": 5001}, "window is 5001.* for 5000 steps"),
        ({"snapshot": 0}, "snapshot 0"),
        ({"steps": 100}, "for 100 steps; the window is the last part of stage 1"),
        ({"group_share": -0.1}, r"group_share is -0\.1, expected a share"),
        ({"group_share": 1.01}, "group_share"),
        ({"pseudo": 2.0}, "pseudo is"),
        ({"dropout": -1.0}, "dropout is"),
        ({"batch": 1}, "batch is 1;"),
        ({"pseudo": float("nan")}, "pseudo is nan"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainerError, match=words):
        replace(PLAIN, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"window": 20, "snapshot": 40},
        {"stage2_steps": -1},
        {"lam": float("nan")},
        {"learning_rate": -1.0},
        {"tau": 0.0},
        {"average": 1.5},
    ],
    ids=str,
)
def test_what_would_crash_in_training_is_refused(change: dict[str, Any]) -> None:
    """With a window shorter than a snapshot nothing is recorded, and stage 2 takes the least of no scores."""
    with pytest.raises(TrainerError):
        replace(PLAIN, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"window": 5000},
        {"stage2_steps": 0},
        {"group_share": 1.0},
        {"pseudo": 0.0},
        {"dropout": 0.0},
        {"batch": 2},
        {"constraint": "parity", "lam": 0.1},
        {"classifier_every": 0},
    ],
    ids=str,
)
def test_ends_of_what_can_be_are_taken(change: dict[str, Any]) -> None:
    replace(PLAIN, **change)


def test_the_identity_is_every_setting_but_the_device() -> None:
    said = CONSTRAINED.identity
    assert set(said) == {one.name for one in fields(BtGanSettings)} - {"device"}
    assert said["lam"] == 1.0 and said["constraint"] == "odds" and said["attribute"] == "sex"
    assert replace(CONSTRAINED, device="cuda").identity == said
    for change in ({"seed": 1}, {"lam": 2.0}, {"steps": 5001}, {"tau": 0.3}, {"rejection": False}):
        assert replace(CONSTRAINED, **change).identity != said
