"""Settings: what is refused, and what is part of a training's identity."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from trainers.errors import TrainerError
from trainers.record import training_hash
from trainers.settings import StageSettings, TrainSettings, settings_from

FFR = TrainSettings("ffr")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "frr"}, "method is 'frr'; it must be one of erm, usb, asb, ffr, aspire-erm, aspire-dfr"),
        ({"method": "erm", "loss": "gdro"}, "loss is 'gdro'"),
        ({"method": "erm", "precision": "float16"}, "precision is 'float16'"),
        ({"method": "erm", "image_size": 0}, "image_size is 0"),
        ({"method": "erm", "weights": "somewhere", "pretrained": True}, "starts from one of them"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainerError, match=message):
        TrainSettings(**values)


@pytest.mark.parametrize("values", [{"epochs": 0}, {"lr": 0.0}, {"batch_size": -1}, {"weight_decay": -0.1}])
def test_impossible_stages_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(TrainerError, match=f"{next(iter(values))} is"):
        StageSettings(**values)


def test_settings_come_back_from_their_dictionaries() -> None:
    assert settings_from(asdict(FFR)) == FFR
    assert settings_from(TrainSettings("erm", seed=3).identity()) == TrainSettings("erm", seed=3)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"loss": "resample"}, {"method": "asb"}, {"finetune": StageSettings(lr=1e-3)},
     {"pretrain": StageSettings(epochs=1)}, {"image_size": 32}, {"model": "timm:test_resnet"},
     {"precision": "bfloat16"}],
)  # fmt: skip
def test_a_changed_setting_or_index_is_a_new_training(change: dict[str, Any]) -> None:
    ours = training_hash(FFR, ("real", "synthetic"))
    assert training_hash(replace(FFR, **change), ("real", "synthetic")) != ours
    assert training_hash(FFR, ("real", "curated again")) != ours
    assert training_hash(FFR, ("real", "synthetic")) == ours


def test_speed_settings_and_an_unused_stage_are_no_part_of_the_identity() -> None:
    assert training_hash(replace(FFR, workers=4, cache_bytes=0), ()) == training_hash(FFR, ())
    erm, other = TrainSettings("erm"), StageSettings(lr=1.0)
    assert training_hash(replace(erm, pretrain=other, finetune=other), ()) == training_hash(erm, ())
    assert training_hash(replace(FFR, main=other), ()) == training_hash(FFR, ())
    assert list(FFR.stages) == ["stage1", "stage2"] and list(erm.stages) == ["train"]


def test_the_settings_need_no_torch() -> None:
    """The command line holds them at start-up, where torch isn't imported."""
    import subprocess
    import sys

    code = "import sys, trainers.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
